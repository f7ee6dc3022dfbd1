//! Backups, restores and leavings that are cut off: no file has its name before it was tried, and asking again finishes the act.

use super::dying::dies;
use crate::support::home::Home;
use crate::support::keys::KeyFile;
use crate::support::signer::Signer;

/// From the record of a bundle to its name; from a restored key's file to its row; between the stop of a key and its leaving.
pub(super) const POINTS: &[&str] = &[
    "admin_backup_recorded",
    "cli_backup_written",
    "cli_backup_verified",
    "cli_backup_renamed",
    "admin_restore_sealed",
    "admin_restore_committed",
    "admin_leave_stopped",
];

fn passphrase(home: &Home) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = home.path("pw");
    std::fs::write(&path, "a passphrase of the tests").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_backup_that_dies_has_no_name_and_one_that_has_a_name_opens() {
    let home = Home::new();
    let signer = Signer::init(&home);
    signer.create_key("val");
    let secret = passphrase(&home);
    for point in &POINTS[..4] {
        let file = home.path(&format!("{point}.backup"));
        let file = file.to_str().unwrap();
        let backup = [
            "keys",
            "backup",
            "val",
            "--file",
            file,
            "--passphrase-file",
            &secret,
        ];
        let known = signer.json(&["keys", "show", "val", "--json"])["backup_bundle_id"].clone();
        dies(signer.command(&backup), point);
        let renamed = *point == "cli_backup_renamed";
        assert_eq!(std::path::Path::new(file).exists(), renamed, "{point}");
        let now = signer.json(&["keys", "show", "val", "--json"])["backup_bundle_id"].clone();
        assert_eq!(now, known, "{point}: it does not count before it was confirmed");
        if !renamed {
            signer.run(&backup);
        }
        signer.run(&["keys", "verify-backup", file, "--passphrase-file", &secret]);
    }
    signer.run(&["audit", "verify"]);
}

#[test]
fn a_restore_that_dies_leaves_no_key_without_its_height_and_is_finished_by_repeating_it() {
    let home = Home::new();
    let old = Signer::init(&home);
    let key = KeyFile::of_seed([7; 32]).write(&home.path("key.json"));
    old.run(&[
        "keys", "import", "val", "--file", &key, "--chain", "c-1", "--above", "100",
    ]);
    let secret = passphrase(&home);
    let file = home.path("all.backup");
    let file = file.to_str().unwrap();
    old.run(&[
        "keys",
        "backup",
        "--all",
        "--file",
        file,
        "--passphrase-file",
        &secret,
    ]);
    for point in &POINTS[4..6] {
        let new = Signer::named(&home, point);
        new.make();
        let restore = [
            "keys",
            "restore",
            file,
            "--passphrase-file",
            &secret,
            "--key",
            "val",
            "--above",
            "1000",
        ];
        dies(new.command(&restore), point);
        let again = new.attempt(&restore);
        let expected = if *point == "admin_restore_sealed" { 0 } else { 3 };
        assert_eq!(
            again.status.code(),
            Some(expected),
            "{point}: {}",
            String::from_utf8_lossy(&again.stderr)
        );
        let states = new.json(&["state", "show", "--json"]);
        assert_eq!(states[0]["height"], 1000, "{point}: {states}");
        new.run(&["audit", "verify"]);
    }
}

#[test]
fn a_leaving_that_dies_after_the_stop_gives_the_key_when_it_is_repeated() {
    let home = Home::new();
    let signer = Signer::init(&home);
    let key = KeyFile::of_seed([7; 32]).write(&home.path("key.json"));
    signer.run(&[
        "keys", "import", "val", "--file", &key, "--chain", "c-1", "--above", "100",
    ]);
    let path = |name: &str| home.path(name).to_str().unwrap().to_owned();
    let export = |state: &str, key: &str| {
        [
            "state",
            "export",
            "--key",
            "val",
            "--chain",
            "c-1",
            "--file",
            state,
            "--key-file",
            key,
        ]
        .map(str::to_owned)
    };
    let first = export(&path("s1"), &path("k1"));
    dies(signer.command(&first.each_ref().map(String::as_str)), POINTS[6]);
    assert_eq!(signer.json(&["state", "show", "--json"])[0]["kind"], "exported");
    assert_eq!(std::fs::read(path("k1")).unwrap(), b"", "nothing has left");
    let second = export(&path("s2"), &path("k2"));
    signer.run(&second.each_ref().map(String::as_str));
    let read =
        |file: &str| -> serde_json::Value { serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap() };
    assert_eq!(read(&path("k2")), read(&key), "a whole key file");
}
