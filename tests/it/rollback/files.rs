//! Every file of the state folder, in every way that files get lost.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};

use super::assert_explained;
use crate::support::audit::assert_no_double_sign;
use crate::support::fake_node::{Answer, Ask};
use crate::support::scene::{CHAIN, Scene};

const OLD: i64 = 6;
const LAST: i64 = 12;

const DAMAGED: &[&str] = &[
    "store_missing",
    "store_empty",
    "store_corrupt",
    "store_behind_witness",
    "witness_behind",
    "witness_disagrees",
    "witness_missing",
    "witness_foreign",
    "witness_corrupt",
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Damage {
    Delete,
    Empty,
    Halve,
    /// One bit, this many hundredths into the file.
    Flip(u64),
    /// As it was at height [`OLD`].
    Older,
}

const DAMAGES: &[Damage] = &[
    Damage::Delete,
    Damage::Empty,
    Damage::Halve,
    Damage::Flip(0),
    Damage::Flip(1),
    Damage::Flip(35),
    Damage::Flip(70),
    Damage::Flip(99),
    Damage::Older,
];

#[test]
fn a_state_file_that_is_lost_damaged_or_older_is_refused_or_harmless() {
    let mut scene = Scene::new();
    let state = scene.signer.home().join("state");
    let (old, newest) = (scene.home.path("old"), scene.home.path("newest"));
    scene.start();
    scene.sign(1..=OLD);
    scene.signer.kill();
    copy(&state, &old);
    scene.start();
    scene.sign(OLD + 1..=LAST);
    scene.signer.kill();
    copy(&state, &newest);
    let files = names(&newest);
    for needed in ["guard.db", "guard.db-wal", "guard.lock", "witness"] {
        assert!(
            files.iter().any(|name| name == needed),
            "{needed} is among {files:?}"
        );
    }

    let mut outcomes = BTreeMap::new();
    for file in &files {
        for damage in DAMAGES {
            let case = format!("{file} {damage:?}");
            copy(&newest, &state);
            harm(&state.join(file), &old.join(file), *damage);
            let outcome = judge(&mut scene, &case);
            outcomes.insert(case, outcome);
        }
    }
    // All of the store, and all but the witness.
    copy(&old, &state);
    std::fs::copy(newest.join("witness"), state.join("witness")).unwrap();
    outcomes.insert(
        "all but the witness older".to_owned(),
        judge(&mut scene, "all but the witness older"),
    );
    for (case, outcome) in &outcomes {
        println!("{case:32} {outcome}");
    }

    for (case, code) in [
        ("guard.db Delete", "store_missing"),
        ("guard.db Empty", "store_empty"),
        ("guard.db-wal Delete", "store_behind_witness"),
        ("guard.db-wal Empty", "store_behind_witness"),
        ("guard.db-wal Halve", "store_behind_witness"),
        ("guard.db-wal Older", "store_behind_witness"),
        ("witness Delete", "witness_missing"),
        ("witness Empty", "witness_corrupt"),
        ("witness Halve", "witness_corrupt"),
        ("witness Older", "witness_behind"),
        ("guard.lock Delete", "harmless"),
        ("all but the witness older", "store_behind_witness"),
    ] {
        assert_eq!(outcomes[case], code, "{case}");
    }

    // What was refused stays as it was found: the newest copy, put back, is whole.
    copy(&newest, &state);
    assert_eq!(judge(&mut scene, "the newest copy put back"), "harmless");
    scene.start();
    scene.journal.ask_again(&mut scene.node);
    scene.sign(LAST + 1..=LAST + 3);
    scene.signer.terminate();
    scene
        .journal
        .assert_recorded(CHAIN, &assert_no_double_sign(&scene.signer));
}

/// The code that the start was refused with, or `harmless`: it runs, and holds to everything that was signed.
fn judge(scene: &mut Scene, case: &str) -> String {
    match scene.try_start() {
        Err(refused) => assert_explained(&refused, DAMAGED, case),
        Ok(()) => {
            for height in 1..=LAST {
                let answer = scene.node.ask(Ask::prevote(height, 1).conflicting());
                assert!(
                    matches!(answer, Answer::Refused { .. }),
                    "{case}: SIGNED SOMETHING ELSE at height {height}: {answer:?}"
                );
            }
            let again = scene.ask(Ask::prevote(LAST, 1));
            assert!(
                matches!(again, Answer::Signed(_)),
                "{case}: the last message again: {again:?}"
            );
            scene.signer.kill();
            "harmless".to_owned()
        }
    }
}

fn harm(file: &Path, older: &Path, damage: Damage) {
    let open = || {
        std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(file)
            .unwrap()
    };
    match damage {
        Damage::Delete => std::fs::remove_file(file).unwrap(),
        Damage::Empty => open().set_len(0).unwrap(),
        Damage::Halve => {
            let file = open();
            let length = file.metadata().unwrap().len();
            file.set_len(length / 2).unwrap();
        }
        Damage::Flip(hundredths) => {
            let file = open();
            let length = file.metadata().unwrap().len();
            if length > 0 {
                let at = length * hundredths / 100;
                let mut byte = [0];
                file.read_exact_at(&mut byte, at).unwrap();
                file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
            }
        }
        Damage::Older => {
            std::fs::copy(older, file).unwrap();
        }
    }
}

/// Makes `to` hold what `from` holds, and nothing else.
pub(super) fn copy(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap();
    }
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for name in names(from) {
        std::fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

fn names(folder: &Path) -> Vec<String> {
    let path = |entry: std::io::Result<std::fs::DirEntry>| -> PathBuf { entry.unwrap().path() };
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(path)
        .filter(|path| path.is_file())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}
