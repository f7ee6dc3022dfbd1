//! Acts are judged by all that they touch, and approvals rest on all that was asked.

use prost::Message as _;
use sigward_proto::Procedure;
use sigward_proto::v1::ConfirmBackupRequest;

use super::super::calls::{Client, ask};
use super::{CHAIN, KEY, POLICY, Team, id_in, leaving, refused, under};
use crate::support::home::Home;
use crate::support::keys::KeyFile;
use crate::support::signer::Signer;

fn secret(team: &Team) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = team.stage.home.path("pw");
    std::fs::write(&path, "a passphrase of the tests").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Denies the users of the machine `operation` on `chain`, whatever comes after.
fn denied(operation: &str, chain: &str) -> String {
    format!(
        "[[rule]]\nid = \"never\"\neffect = \"deny\"\nsubjects = [\"uid:*\"]\noperations = [\"{operation}\"]\nchains = [\"{chain}\"]\n"
    )
}

#[test]
fn a_backup_is_made_for_whom_it_was_approved_and_nobody_ends_what_waits() {
    let team = Team::new();
    let signer = &team.stage.signer;
    let secret = secret(&team);
    let recipients: Vec<String> = (0..2)
        .map(|_| {
            let made = std::process::Command::new("age-keygen")
                .output()
                .expect("age-keygen is installed");
            let text = String::from_utf8(made.stdout).unwrap();
            let (_, rest) = text.split_once("public key: ").unwrap();
            rest.lines().next().unwrap().to_owned()
        })
        .collect();
    let at = |name: &str| team.stage.home.path(name).to_str().unwrap().to_owned();
    let file = at("val.backup");
    let backup = |more: &[&'static str], recipient: &str| -> Vec<String> {
        let mut all = [
            "keys",
            "backup",
            KEY,
            "--file",
            &file,
            "--age-recipient",
            recipient,
        ]
        .map(str::to_owned)
        .to_vec();
        all.extend(more.iter().map(|&word| word.to_owned()));
        all
    };
    let attempt = |words: &[String], id: Option<&str>| {
        let mut all: Vec<&str> = words.iter().map(String::as_str).collect();
        all.extend(id.into_iter().flat_map(|id| ["--approval", id]));
        signer.attempt(&all)
    };
    let wanted = backup(&[], &recipients[0]);
    let id = id_in(&refused(&attempt(&wanted, None), "asked", "approval_required"));
    let what = team.request(&id)["what"].as_str().unwrap().to_owned();
    assert!(what.contains(&recipients[0]), "{what}");

    // A bundle that nobody made counts as a backup of nothing, and what waits goes on waiting.
    let shown = signer.json(&["keys", "show", KEY, "--json"]);
    let invented = ConfirmBackupRequest {
        bundle_id: vec![7; 16],
        sha256: vec![7; 32],
        made_at: 1,
        public_keys: vec![format!("ed25519:{}", shown["public_key_hex"].as_str().unwrap())],
    };
    let answers = ask(
        &team.stage,
        &Client::Local,
        &[(Procedure::BackupConfirm, invented.encode_to_vec())],
    );
    assert!(answers[0].message.starts_with("invalid_bundle: "), "{answers:?}");

    team.approve("bob", &id);
    for other in [
        backup(&[], &recipients[1]),
        backup(&["--with-config"], &recipients[0]),
        [
            "keys",
            "backup",
            KEY,
            "--file",
            &file,
            "--passphrase-file",
            &secret,
        ]
        .map(str::to_owned)
        .to_vec(),
    ] {
        refused(
            &attempt(&other, Some(&id)),
            &format!("{other:?}"),
            "approval_void",
        );
        assert!(!std::path::Path::new(&file).exists());
    }
    let done = attempt(&wanted, Some(&id));
    assert!(done.status.success(), "{done:?}");
    let records = team.records();
    assert!(
        records.contains(&format!("opens for {}", recipients[0])),
        "{records}"
    );
    assert!(signer.json(&["keys", "show", KEY, "--json"])["backup_bundle_id"].is_string());
}

#[test]
fn a_key_that_leaves_and_one_that_comes_back_are_judged_on_every_chain_of_theirs() {
    let team = Team::new();
    let signer = &team.stage.signer;
    let key_file = KeyFile::of_seed([9; 32]).write(&team.stage.home.path("key.json"));
    signer.run(&[
        "keys", "import", "old", "--file", &key_file, "--chain", "old-1", "--above", "100", "--shared",
    ]);
    signer.run(&[
        "state", "init", "--key", "old", "--chain", "old-2", "--above", "100", "--shared",
    ]);
    let at = |name: &str| team.stage.home.path(name).to_str().unwrap().to_owned();
    let (state, key, secret) = (at("s.json"), at("k.json"), secret(&team));
    let stop = at("stopped.json");
    signer.run(&[
        "state", "export", "--key", "old", "--chain", "old-2", "--file", &stop,
    ]);
    team.write_policy(&POLICY.replace(
        "[[rule]]\nid = \"together\"",
        &format!("{}[[rule]]\nid = \"together\"", denied("key.export", "old-2")),
    ));
    signer.run(&["reload"]);
    let leave = leaving(&state, &key);
    // It is stopped on the other one, and would be out all the same.
    refused(&signer.attempt(&leave), "leaves", "key_not_found");

    let bundle = at("val.backup");
    let backup = [
        "keys",
        "backup",
        KEY,
        "--file",
        &bundle,
        "--passphrase-file",
        &secret,
    ];
    let id = id_in(&refused(&signer.attempt(&backup), "asked", "approval_required"));
    team.approve("bob", &id);
    signer.run(&under(&backup, &id));
    let home = Home::new();
    let other = Signer::init(&home);
    let rules = format!("version = 1\n{}", denied("key.restore", CHAIN));
    std::fs::write(other.home().join("policy.toml"), rules).unwrap();
    other.configure(|config| {
        let policy = [("file".to_owned(), "policy.toml".into())].into_iter().collect();
        config.insert("policy".to_owned(), toml::Value::Table(policy));
    });
    let restore = [
        "keys",
        "restore",
        "--key",
        KEY,
        &bundle,
        "--passphrase-file",
        &secret,
        "--above",
        "1000",
    ];
    refused(&other.attempt(&restore), "restored", "not_permitted");
}

#[test]
fn a_rebinding_shows_both_chains() {
    let team = Team::new();
    let next = "it-approvals-2";
    let id = team.waits(
        "ada",
        &["state", "rebind", "--key", KEY, "--chain", CHAIN, "--to", next],
    );
    let request = team.request(&id);
    assert_eq!(
        (&request["chain_id"], &request["new_chain_id"]),
        (&CHAIN.into(), &next.into())
    );
    let text = team.stage.signer.run(&["approvals", "show", &id]);
    assert!(text.contains("new chain") && text.contains(next), "{text}");
    // Who may not act on the new one does not see it, and cannot agree.
    team.write_policy(&POLICY.replace(
        "[[rule]]\nid = \"together\"",
        &format!(
            "[[rule]]\nid = \"not-there\"\neffect = \"deny\"\nsubjects = [\"dns:bob\"]\noperations = [\"*\"]\nchains = [\"{next}\"]\n[[rule]]\nid = \"together\""
        ),
    ));
    team.stage.signer.run(&["reload"]);
    team.refused("bob", &["approvals", "show", &id], "approval_not_found");
    team.refused("bob", &["approvals", "approve", &id], "approval_not_found");
    team.does("cyd", &["approvals", "show", &id]);
}
