//! Reading a chain of which something is missing, and taking it elsewhere.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use super::{PATIENCE, kept, scene};
use crate::support::poll;
use crate::support::scene::Scene;
use crate::support::signer::Signer;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A signer that has ended, whose oldest records are in segments alone.
fn with_segments() -> Scene {
    let mut scene = scene();
    scene.start();
    scene.sign(1..=15);
    poll(PATIENCE, || {
        (kept(&scene.signer)["base"].as_u64().unwrap() > 14).then_some(())
    })
    .expect("records leave the database");
    scene.signer.terminate();
    scene
}

fn segments(signer: &Signer) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(signer.home().join("audit"))
        .unwrap()
        .next()
        .unwrap();
    let files = std::fs::read_dir(folder.unwrap().path()).unwrap();
    let mut segments: Vec<_> = files
        .map(|file| file.unwrap().path())
        .filter(|file| file.extension().is_some_and(|extension| extension == "sgwa"))
        .collect();
    segments.sort();
    segments
}

fn names_in(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap();
    files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn who_takes_a_few_records_hears_of_a_missing_beginning_and_nothing_is_left_of_half_an_export() {
    let scene = with_segments();
    let signer = &scene.signer;
    let oldest = segments(signer).remove(0);
    let aside = scene.home.path("aside.sgwa");
    std::fs::rename(&oldest, &aside).unwrap();
    let out = scene.home.path("out");
    std::fs::create_dir(&out).unwrap();
    let file = out.join("all.jsonl");
    let export = ["audit", "export", "--to", file.to_str().unwrap()];
    let few = ["audit", "query", "--limit", "2"];
    for command in [&few[..], &["audit", "tail", "--from", "1", "-n", "2"], &export] {
        let output = signer.attempt(command);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {}", said(&output));
        assert!(
            output.stdout.is_empty() && said(&output).contains("missing, and no record says"),
            "{command:?}: {}",
            said(&output)
        );
    }
    assert!(names_in(&out).is_empty(), "{:?}", names_in(&out));
    std::fs::rename(&aside, &oldest).unwrap();

    // A gap in the middle: what comes before it was written, and is not taken for all of it.
    let second = segments(signer).remove(1);
    std::fs::rename(&second, &aside).unwrap();
    assert_eq!(signer.run(&few).lines().count(), 2);
    let output = signer.attempt(&export);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(names_in(&out).is_empty(), "{:?}", names_in(&out));
    std::fs::rename(&aside, &second).unwrap();

    // The next try is not in the way of the one before.
    signer.run(&export);
    assert_eq!(names_in(&out), ["all.jsonl"]);
    let whole = std::fs::read_to_string(&file).unwrap();
    for (index, line) in whole.lines().enumerate() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["sequence"], index + 1);
    }
    assert!(whole.lines().count() > 15, "{whole}");
    let again = signer.attempt(&export);
    assert!(said(&again).contains("file_exists: "), "{}", said(&again));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), whole);
}

#[test]
fn what_is_chosen_goes_to_a_file_and_segments_take_everything() {
    let scene = scene();
    for choice in [
        &["--limit", "3"][..],
        &["--from", "2026-11-22T10:19:06Z"],
        &["--decision", "denied"],
    ] {
        let output = scene.signer.attempt(&[&["audit", "export"], choice].concat());
        assert_eq!(output.status.code(), Some(2), "{choice:?}: {}", said(&output));
        assert!(said(&output).contains("--to FILE"), "{}", said(&output));
    }
    assert_eq!(kept(&scene.signer)["number"], 0, "nothing was signed");
}

#[test]
fn a_line_of_a_freeze_says_what_was_frozen_and_one_checkpoint_is_one() {
    let scene = scene();
    scene.signer.run(&["freeze", "--all"]);
    let key = crate::support::scene::KEY;
    scene.signer.run(&["freeze", "--key", key]);
    let refused = scene.signer.attempt(&["freeze", "--chain", "nowhere"]);
    assert_eq!(refused.status.code(), Some(3));
    let lines = scene.signer.run(&["audit", "query", "--operation", "freeze"]);
    let hex = scene.signer.json(&["keys", "show", key, "--json"])["public_key_hex"].clone();
    let beginning = hex.as_str().unwrap().get(..8).unwrap();
    assert_eq!(lines.matches("everything").count(), 1, "{lines}");
    assert!(lines.contains(&format!(" key {beginning}… ")), "{lines}");
    scene.signer.run(&["audit", "export"]);
    let found = scene.signer.run(&["audit", "verify"]);
    assert!(found.contains("1 checkpoint vouches for them"), "{found}");
}
