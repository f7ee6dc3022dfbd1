//! A backup for an age recipient, by the age tool itself.

use std::process::Command;

use super::furnished;
use crate::support::home::Home;
use crate::support::signer::Signer;

/// An identity file of age's own making, and its recipient. A machine without age fails here (scripts/setup.sh installs it).
fn identity(home: &Home, name: &str) -> (String, String) {
    let path = home.path(name);
    let made = Command::new("age-keygen")
        .arg("-o")
        .arg(&path)
        .output()
        .expect("age-keygen is installed");
    assert!(made.status.success());
    let text = std::fs::read_to_string(&path).unwrap();
    let recipient = text
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "))
        .unwrap();
    (path.to_str().unwrap().to_owned(), recipient.to_owned())
}

#[test]
fn a_backup_for_age_recipients_opens_with_each_identity_and_with_no_other() {
    let home = Home::new();
    let signer = furnished(&home);
    let (mine, first) = identity(&home, "mine");
    let (yours, second) = identity(&home, "yours");
    let (other, _) = identity(&home, "other");
    let file = home.path("age.backup");
    let file = file.to_str().unwrap();
    signer.run(&[
        "keys",
        "backup",
        "--all",
        "--file",
        file,
        "--age-recipient",
        &first,
        "--age-recipient",
        &second,
    ]);
    let shown = signer.json(&["keys", "backup", "--inspect", file, "--json"]);
    assert_eq!(shown["lock"]["kind"], "age");
    for identity in [&mine, &yours] {
        signer.run(&["keys", "verify-backup", file, "--age-identity", identity]);
    }
    let refused = signer.attempt(&["keys", "verify-backup", file, "--age-identity", &other]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("age_failed"), "{said}");
    let not_said = signer.attempt(&["keys", "verify-backup", file]);
    assert_eq!(not_said.status.code(), Some(4));

    let new = Signer::named(&home, "new");
    new.make();
    new.run(&[
        "keys",
        "restore",
        file,
        "--age-identity",
        &mine,
        "--key",
        "made",
        "--above",
        "10",
    ]);
    assert_eq!(
        new.json(&["keys", "show", "made", "--json"])["origin"],
        "restored"
    );
}

#[test]
fn what_age_refuses_leaves_nothing_and_an_option_is_no_recipient() {
    let home = Home::new();
    let signer = furnished(&home);
    let file = home.path("age.backup");
    for recipient in ["age1nonsense", "--output=x", ""] {
        let flag = format!("--age-recipient={recipient}");
        let refused = signer.attempt(&["keys", "backup", "--all", "--file", file.to_str().unwrap(), &flag]);
        assert_eq!(
            refused.status.code(),
            Some(3),
            "{recipient}: {}",
            String::from_utf8_lossy(&refused.stderr)
        );
        assert!(!file.exists());
    }
    let mut command = signer.command(&[
        "keys",
        "backup",
        "--all",
        "--file",
        file.to_str().unwrap(),
        "--age-recipient",
        "age1x",
    ]);
    let missing = command.env("PATH", home.path("nowhere")).output().unwrap();
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert_eq!(missing.status.code(), Some(1));
    assert!(said.contains("age_failed") && said.contains("install"), "{said}");
}
