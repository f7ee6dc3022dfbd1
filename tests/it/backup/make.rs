//! Making and checking a backup.

use std::os::unix::fs::PermissionsExt as _;

use sha2::{Digest as _, Sha256};

use super::{PASSPHRASE, backed_up, files_of, furnished, passphrase};
use crate::support::audit::records;
use crate::support::home::Home;

#[test]
fn a_backup_is_private_recorded_and_known_to_the_list() {
    let home = Home::new();
    let mut signer = furnished(&home);
    let before = signer.json(&["keys", "show", "val", "--json"]);
    assert_eq!(before["backed_up_at"], serde_json::Value::Null);
    assert!(signer.run(&["keys", "list"]).contains("no backup"));
    let (file, secret) = backed_up(&home, &signer);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let bytes = std::fs::read(&file).unwrap();
    assert!(
        !bytes.windows(32).any(|window| window == [7; 32]),
        "no seed in the clear"
    );

    let shown = signer.json(&["keys", "backup", "--inspect", &file, "--json"]);
    let names: Vec<_> = shown["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["name"])
        .collect();
    assert_eq!(names, ["made", "val"]);
    assert_eq!(shown["keys"][1]["chains"][0]["at_least_height"], 100);
    assert_eq!(shown["lock"]["kind"], "passphrase");
    assert_eq!(shown["sha256"], hex::encode(Sha256::digest(&bytes)));
    let key = signer.json(&["keys", "show", "val", "--json"]);
    assert_eq!(key["backup_bundle_id"], shown["bundle_id"]);
    assert_eq!(key["backed_up_at"], shown["made_at"]);
    for operation in ["key.backup", "key.backup_verified"] {
        let found: Vec<_> = records(&signer)
            .into_iter()
            .filter(|record| record.operation == operation)
            .collect();
        assert_eq!(found.len(), 2, "{operation}: one record a key");
        let said = format!(
            "bundle {} sha256 {}",
            shown["bundle_id"].as_str().unwrap(),
            hex::encode(Sha256::digest(&bytes))
        );
        assert!(
            found.iter().all(|record| record.reason.starts_with(&said)),
            "{found:?}"
        );
    }
    let verified = signer.run(&["keys", "verify-backup", &file, "--passphrase-file", &secret]);
    assert!(verified.contains("Nothing was restored"), "{verified}");

    // The same through a daemon, and by a descriptor; a file that is there stays.
    signer.start();
    let second = home.path("one.backup");
    let second = second.to_str().unwrap();
    let script = format!(
        "exec '{}' --home '{}' keys backup val --file '{second}' --passphrase-fd 3 3< '{secret}'",
        env!("CARGO_BIN_EXE_sigward"),
        signer.home().display()
    );
    let made = std::process::Command::new("bash")
        .args(["-c", &script])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let again = signer.attempt(&[
        "keys",
        "backup",
        "val",
        "--file",
        second,
        "--passphrase-file",
        &secret,
    ]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("file_exists"));
    signer.terminate();
    signer.run(&["audit", "verify"]);
}

#[test]
fn a_wrong_passphrase_a_tampered_backup_and_a_weak_word_are_told_apart_from_success() {
    let home = Home::new();
    let signer = furnished(&home);
    let (file, secret) = backed_up(&home, &signer);
    let wrong = passphrase(&home, "wrong", "another passphrase of the tests");
    let verify = |file: &str, secret: &str| {
        let output = signer.attempt(&["keys", "verify-backup", file, "--passphrase-file", secret]);
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, said) = verify(&file, &wrong);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.starts_with("sigward: bundle_does_not_open: "), "{said}");
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let bad = home.path("bad.backup");
    std::fs::write(&bad, &bytes).unwrap();
    assert_eq!(verify(bad.to_str().unwrap(), &secret).0, Some(4));
    std::fs::write(&bad, b"something else").unwrap();
    let (code, said) = verify(bad.to_str().unwrap(), &secret);
    assert_eq!(code, Some(4));
    assert!(said.starts_with("sigward: invalid_bundle: "), "{said}");

    let weak = passphrase(&home, "weak", "short");
    let out = home.path("out");
    std::fs::create_dir(&out).unwrap();
    let target = out.join("x.backup");
    let target = target.to_str().unwrap();
    let refused = signer.attempt(&[
        "keys",
        "backup",
        "val",
        "--file",
        target,
        "--passphrase-file",
        &weak,
    ]);
    assert_eq!(refused.status.code(), Some(3));
    let unknown = signer.attempt(&[
        "keys",
        "backup",
        "nobody",
        "--file",
        target,
        "--passphrase-file",
        &secret,
    ]);
    assert_eq!(unknown.status.code(), Some(3));
    let asked = signer.attempt(&["keys", "backup", "--file", target]);
    assert_eq!(asked.status.code(), Some(2), "keys are named, or all of them");
    assert_eq!(files_of(&out), Vec::<String>::new(), "nothing is left behind");
    assert_eq!(PASSPHRASE.len(), 25);
}
