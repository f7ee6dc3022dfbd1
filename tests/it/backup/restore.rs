//! Restoring: only with a height, never below what the backup knows, never over what is there.

use serde_json::json;

use super::{backed_up, furnished};
use crate::support::audit::{assert_no_double_sign, records};
use crate::support::home::Home;
use crate::support::keys::KeyFile;
use crate::support::scene::{CHAIN, KEY, Scene};
use crate::support::signer::Signer;

#[test]
fn a_key_is_restored_above_a_height_and_never_begins_as_fresh() {
    let home = Home::new();
    let old = furnished(&home);
    let (file, secret) = backed_up(&home, &old);
    let new = Signer::named(&home, "new");
    new.make();
    let restore = |more: &[&str]| {
        let words = ["keys", "restore", &file, "--passphrase-file", &secret];
        [&words[..], more]
            .concat()
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let attempt = |more: &[&str]| {
        let words = restore(more);
        let output = new.attempt(&words.iter().map(String::as_str).collect::<Vec<_>>());
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    for (words, code, said) in [
        (&["--key", "val"][..], 2, "--above"),
        (&["--key", "val", "--above", "99"], 3, "below_backup: "),
        (&["--key", "val", "--above", "c-1=99"], 3, "below_backup: "),
        (
            &["--key", "val", "--above", "c-2=1000"],
            3,
            "beginning_required: ",
        ),
        (
            &["--key", "val", "--above", "c-1=1000", "--above", "c-2=5"],
            3,
            "invalid_parameters: ",
        ),
        (&["--key", "nobody", "--above", "1000"], 3, "key_not_found: "),
        (&["--key", "val", "--above", "0"], 3, "invalid_height: "),
    ] {
        let (found, text) = attempt(words);
        assert_eq!(found, Some(code), "{words:?}: {text}");
        assert!(text.contains(said), "{words:?}: {text}");
        assert_eq!(new.json(&["keys", "list", "--json"]), json!([]), "{words:?}");
    }

    let words = restore(&["--key", "val", "--key", "made", "--above", "1000", "--json"]);
    let restored = new.json(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(restored["restored"].as_array().map(Vec::len), Some(2));
    let val = new.json(&["keys", "show", "val", "--json"]);
    let made = new.json(&["keys", "show", "made", "--json"]);
    assert_eq!(
        (&val["origin"], &made["origin"]),
        (&json!("imported"), &json!("restored"))
    );
    assert_eq!(
        (&val["exported"], &made["exported"]),
        (&json!(true), &json!(true))
    );
    let known = old.json(&["keys", "show", "made", "--json"]);
    assert_eq!(known["public_key_hex"], made["public_key_hex"]);
    assert_eq!(known["backup_bundle_id"], made["backup_bundle_id"]);
    let states = new.json(&["state", "show", "--json"]);
    assert_eq!(states.as_array().map(Vec::len), Some(1), "{states}");
    assert_eq!(
        (&states[0]["kind"], &states[0]["height"]),
        (&json!("closed"), &json!(1000))
    );

    let (code, text) = attempt(&["--key", "val", "--above", "2000"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("key_exists"), "{text}");
    // A key that never signed there does not begin as fresh, whoever vouches for it.
    let fresh = new.attempt(&[
        "state",
        "init",
        "--key",
        "made",
        "--chain",
        "c-9",
        "--never-signed",
    ]);
    assert_eq!(fresh.status.code(), Some(3));
    // And one that is here under another name is not taken in a second time.
    let third = Signer::named(&home, "third");
    third.make();
    let key = KeyFile::of_seed([7; 32]).write(&home.path("again.json"));
    third.run(&[
        "keys", "import", "other", "--file", &key, "--chain", "c-1", "--above", "5",
    ]);
    let twice = third.attempt(
        &restore(&["--key", "val", "--above", "1000"])
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    );
    let said = String::from_utf8_lossy(&twice.stderr).into_owned();
    assert_eq!(twice.status.code(), Some(3));
    assert!(
        said.contains("public_key_exists") && said.contains("other"),
        "{said}"
    );
    let acts = records(&new)
        .into_iter()
        .filter(|record| record.operation == "key.restore")
        .count();
    assert_eq!(acts, 2);
    new.run(&["audit", "verify"]);
}

#[test]
fn a_restored_key_signs_above_its_height_and_nothing_below() {
    let mut scene = Scene::new();
    scene.start();
    scene.sign(1..=5);
    let (file, secret) = backed_up(&scene.home, &scene.signer);
    scene.sign(6..=9);
    scene.signer.terminate();
    std::fs::remove_dir_all(scene.signer.home()).unwrap();

    let home = scene.home;
    let signer = Signer::not_yet(&home);
    signer.make();
    let below = [
        "keys",
        "restore",
        &file,
        "--passphrase-file",
        &secret,
        "--key",
        KEY,
        "--above",
        "4",
    ];
    let refused = signer.attempt(&below);
    assert_eq!(
        refused.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&refused.stderr)
    );
    signer.run(&[&below[..8], &["20"]].concat());
    drop(scene.node);
    let mut scene = Scene::with(home, signer);
    scene.start();
    for height in [1, 5, 9, 20] {
        scene.assert_refuses(height, "height_closed");
    }
    scene.sign(21..=23);
    scene.signer.terminate();
    scene
        .journal
        .assert_recorded(CHAIN, &assert_no_double_sign(&scene.signer));
}

#[test]
fn a_chain_id_that_was_left_stays_closed_after_a_restore() {
    let home = Home::new();
    let old = Signer::init(&home);
    old.run(&["keys", "create", "val"]);
    old.run(&[
        "state", "init", "--key", "val", "--chain", "r-1", "--above", "1000",
    ]);
    for (from, to) in [("r-1", "r-2"), ("r-2", "r-3")] {
        old.run(&["state", "rebind", "--key", "val", "--chain", from, "--to", to]);
    }
    let (file, secret) = backed_up(&home, &old);
    let new = Signer::named(&home, "new");
    new.make();
    new.run(&[
        "keys",
        "restore",
        &file,
        "--passphrase-file",
        &secret,
        "--key",
        "val",
        "--above",
        "r-3=5000",
    ]);
    let holds = new.json(&["holds", "--json"]);
    let left: Vec<_> = holds
        .as_array()
        .unwrap()
        .iter()
        .map(|hold| (&hold["kind"], &hold["chain_id"], &hold["new_chain_id"]))
        .collect();
    let rebound = json!("rebound");
    assert_eq!(
        left,
        [
            (&rebound, &json!("r-1"), &json!("r-2")),
            (&rebound, &json!("r-2"), &json!("r-3"))
        ]
    );
    for old_id in ["r-1", "r-2"] {
        let again = new.attempt(&[
            "state", "init", "--key", "val", "--chain", old_id, "--above", "9000", "--shared",
        ]);
        let said = String::from_utf8_lossy(&again.stderr).into_owned();
        assert!(said.contains("chain_rebound"), "{old_id}: {said}");
    }
    let states = new.json(&["state", "show", "--json"]);
    let row = |chain: &str| {
        let rows = states.as_array().unwrap();
        let row = rows.iter().find(|row| row["chain_id"] == chain).unwrap();
        (row["kind"].clone(), row["height"].clone())
    };
    assert_eq!(row("r-3"), (json!("closed"), json!(5000)));
    assert_eq!(row("r-1").0, json!("exported"));
}
