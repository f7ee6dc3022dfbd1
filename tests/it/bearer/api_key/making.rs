//! A key is made: shown once, kept nowhere, and by those who may.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::super::stage::{Stage, said};

/// Every file below `folder`, but those called `but`.
fn files(folder: &Path, but: &str, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            files(&path, but, found);
        } else if kind.is_file() && !path.ends_with(but) {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn a_secret_is_shown_once_and_is_nowhere_after_that() {
    let mut stage = Stage::new();
    stage.signer.configure(|config| {
        let log = [("level".to_owned(), "debug".into())].into_iter().collect();
        config.insert("log".to_owned(), toml::Value::Table(log));
    });
    // Without a daemon, and with one.
    let mut secrets = vec![stage.api_key("before")];
    stage.signer.start();
    stage.until_it_takes_tokens();
    let file = stage.file("ci.api-key");
    let out = ["--out", file.to_str().unwrap()];
    let told = stage.signer.run(&["api-key", "create", "ci", out[0], out[1]]);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(!told.contains(written.trim()), "{told}");
    secrets.push(written.trim().to_owned());
    let plain = stage.signer.attempt(&["api-key", "create", "plain"]);
    secrets.push(String::from_utf8(plain.stdout.clone()).unwrap().trim().to_owned());
    assert!(
        !String::from_utf8_lossy(&plain.stderr).contains(&secrets[2]),
        "{}",
        said(&plain)
    );
    for secret in &secrets {
        assert_eq!(
            secret.len(),
            80,
            "standard output is the secret and nothing else: {secret:?}"
        );
        assert_eq!(stage.shows(secret).0, "0");
    }
    // Never over a file that is there, and then no key is made.
    let again = stage
        .signer
        .attempt(&["api-key", "create", "third", out[0], out[1]]);
    assert!(said(&again).contains("file_exists: "), "{}", said(&again));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
    // A key that is not made leaves no file.
    let twice = stage.file("twice.api-key");
    let refused = stage
        .signer
        .attempt(&["api-key", "create", "ci", "--out", twice.to_str().unwrap()]);
    assert!(
        said(&refused).contains("api_key_exists: ") && !twice.exists(),
        "{}",
        said(&refused)
    );
    let list = stage.signer.json(&["api-key", "list", "--json"]);
    let names: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["before", "ci", "plain"]);
    for bad in [["a b", "1"], ["", "1"], ["long", "366"], ["short", "0"]] {
        let output = stage
            .signer
            .attempt(&["api-key", "create", bad[0], "--days", bad[1]]);
        assert!(!output.status.success(), "{bad:?}");
    }

    let asked = [
        stage.signer.log(),
        list.to_string(),
        stage.signer.run(&["api-key", "list", "--all"]),
        stage.signer.run(&["audit", "query", "--json"]),
        stage.signer.run(&["status", "--json"]),
    ];
    let made = stage
        .signer
        .run(&["audit", "query", "--operation", "api_key.create"]);
    assert!(made.contains("ci for 90 days"), "{made}");
    stage.signer.terminate();
    let mut kept: Vec<_> = asked.map(|text| ("asked".to_owned(), text.into_bytes())).into();
    kept.push(("log".to_owned(), stage.signer.log().into_bytes()));
    files(&stage.home.path(""), "ci.api-key", &mut kept);
    assert!(
        kept.iter().any(|(name, _)| name.ends_with("witness")),
        "the state is looked through"
    );
    for secret in &secrets {
        let digits = &secret[8..72];
        let bytes = hex::decode(digits).unwrap();
        for (name, content) in &kept {
            // Whole, in part, and as bytes.
            for wanted in [
                &digits.as_bytes()[..16],
                &digits.as_bytes()[48..],
                &bytes[..8],
                &bytes[24..],
            ] {
                assert!(!holds(content, wanted), "{name} holds a part of a secret");
            }
        }
    }
    stage.signer.start();
    for secret in &secrets {
        assert_eq!(
            stage.shows(secret).0,
            "0",
            "they outlive a restart, and need no waiting after it"
        );
    }
    stage.signer.run(&["audit", "verify"]);
    stage.assert_unharmed();
}
