//! Every act that can wait does, and is done with what the others approved; what cannot is refused; without a daemon nothing is.

use super::super::stage::said;
use super::{CHAIN, KEY, POLICY, Team, id_in, leaving, refused, under};
use crate::support::keys::KeyFile;

#[test]
fn what_lets_more_happen_waits_for_the_others() {
    let team = Team::new();
    let signer = &team.stage.signer;
    signer.run(&["stop-line", "set", "--chain", CHAIN, "--at", "500"]);
    signer.run(&["freeze", "--key", KEY]);
    let file = team.stage.home.path("state.json");
    let file = file.to_str().unwrap();
    let row = ["--key", KEY, "--chain", CHAIN];
    let next = "it-approvals-2";
    for act in [
        vec!["unfreeze", "--key", KEY, "--reason", "found it"],
        vec!["stop-line", "clear", "--chain", CHAIN],
        [&["state", "allow"], &row[..], &["--until", "1000000"]].concat(),
        [&["state", "rebind"], &row[..], &["--to", next]].concat(),
        vec!["state", "export", "--key", KEY, "--chain", next, "--file", file],
    ] {
        let id = team.waits("ada", &act);
        let more = team.refused("ada", &under(&act, &id), "approval_required");
        assert!(more.contains("waits for 2 more"), "{act:?}: {more}");
        assert!(
            !std::path::Path::new(file).exists(),
            "a refused export leaves no file"
        );
        team.approved(&id);
        team.does("ada", &under(&act, &id));
        assert_eq!(team.request(&id)["state"], "used", "{act:?}");
    }
    assert!(std::path::Path::new(file).exists());
    let states = signer.json(&["state", "show", "--json"]).to_string();
    assert!(states.contains(next) && states.contains("exported"), "{states}");
    assert_eq!(
        signer.json(&["holds", "--json"]).as_array().unwrap().len(),
        1,
        "the rebinding"
    );
    // A rule may ask for approvals where nothing looks for them: then nobody gets through.
    let none = team.refused("ada", &["keys", "create", "another"], "approval_required");
    assert!(none.contains("no way yet"), "{none}");
    signer.run(&["audit", "verify"]);
}

#[test]
fn keys_leave_the_machine_when_somebody_elsewhere_agrees() {
    let team = Team::new();
    let signer = &team.stage.signer;
    let secret = team.stage.home.path("pw");
    std::fs::write(&secret, "a passphrase of the tests").unwrap();
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let at = |name: &str| team.stage.home.path(name).to_str().unwrap().to_owned();
    let (bundle, secret) = (at("val.backup"), secret.to_str().unwrap().to_owned());
    let backup = [
        "keys",
        "backup",
        KEY,
        "--file",
        &bundle,
        "--passphrase-file",
        &secret,
    ];
    let key_file = KeyFile::of_seed([7; 32]).write(&team.stage.home.path("key.json"));
    signer.run(&[
        "keys", "import", "old", "--file", &key_file, "--chain", "old-1", "--above", "100",
    ]);
    let (state, key) = (at("out-state.json"), at("out-key.json"));
    let leave = leaving(&state, &key);
    for (act, file) in [(&backup[..], &bundle), (&leave[..], &key)] {
        let asked = refused(&signer.attempt(act), "asked", "approval_required");
        assert!(!std::path::Path::new(file).exists(), "{act:?}");
        let id = id_in(&asked);
        // The administrator of the machine asked: they cannot agree with themselves.
        refused(
            &signer.attempt(&["approvals", "approve", &id]),
            "own",
            "approval_not_yours",
        );
        team.approve("bob", &id);
        signer.run(&under(act, &id));
        assert!(std::path::Path::new(file).exists(), "{act:?}");
        let again = signer.attempt(&under(act, &id));
        assert!(!again.status.success(), "{act:?}: {}", said(&again));
    }
    signer.run(&["keys", "verify-backup", &bundle, "--passphrase-file", &secret]);
    assert!(signer.json(&["keys", "show", KEY, "--json"])["backup_bundle_id"].is_string());
}

#[test]
fn without_a_daemon_nothing_that_needs_others_is_done() {
    let mut team = Team::new();
    team.write_policy(&POLICY.replace("\"key.export\", \"key.backup\"", "\"state.allow\", \"unfreeze\""));
    let signer = &mut team.stage.signer;
    signer.run(&["reload"]);
    let allow = [
        "state", "allow", "--key", KEY, "--chain", CHAIN, "--until", "1000000",
    ];
    let id = id_in(&refused(&signer.attempt(&allow), "asked", "approval_required"));
    signer.terminate();
    for act in [allow.to_vec(), under(&allow, &id)] {
        let text = refused(&signer.attempt(&act), "alone", "approval_required");
        assert!(text.contains("none runs"), "{text}");
    }
    refused(
        &signer.attempt(&["approvals", "approve", &id]),
        "alone",
        "not_serving",
    );
    refused(
        &signer.attempt(&["approvals", "reject", &id]),
        "alone",
        "not_serving",
    );
    let adopt = refused(
        &signer.attempt(&["state", "adopt", "--above", "1000"]),
        "adopt",
        "approval_required",
    );
    assert!(adopt.contains("`state adopt` is more than that"), "{adopt}");
    assert_eq!(
        signer.json(&["approvals", "show", &id, "--json"])["state"],
        "open"
    );
    // What stops signing never waits.
    signer.run(&["freeze", "--all", "--reason", "at night"]);
}
