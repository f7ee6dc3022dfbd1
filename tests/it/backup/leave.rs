//! An imported key leaves with its state; a key that was made here does not.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::furnished;
use crate::support::home::Home;
use crate::support::keys::KeyFile;
use crate::support::signer::Signer;

fn export(home: &Home, key: &str, chain: &str, name: &str) -> [String; 10] {
    let path = |what: &str| {
        home.path(&format!("{name}-{what}.json"))
            .to_str()
            .unwrap()
            .to_owned()
    };
    [
        "state",
        "export",
        "--key",
        key,
        "--chain",
        chain,
        "--file",
        &path("state"),
        "--key-file",
        &path("key"),
    ]
    .map(str::to_owned)
}

fn words(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

#[test]
fn an_imported_key_leaves_as_it_came_and_signs_no_more() {
    let home = Home::new();
    let signer = furnished(&home);
    signer.run(&words(&export(&home, "val", "c-1", "out")));
    let read =
        |name: &str| -> Value { serde_json::from_slice(&std::fs::read(home.path(name)).unwrap()).unwrap() };
    assert_eq!(read("out-key.json"), read("key.json"), "the file that it came in");
    assert_eq!(read("out-state.json")["height"], "100");
    for file in ["out-key.json", "out-state.json"] {
        let mode = std::fs::metadata(home.path(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(signer.json(&["state", "show", "--json"])[0]["kind"], "exported");
    // To another path it is given again; to the same path it is not.
    let again = signer.attempt(&words(&export(&home, "val", "c-1", "out")));
    assert_eq!(again.status.code(), Some(1));
    signer.run(&words(&export(&home, "val", "c-1", "again")));
    assert_eq!(read("again-key.json"), read("key.json"));
    // The way back in is closed to the state that it left with.
    let state = home.path("out-state.json");
    let import = [
        "state",
        "import",
        "--key",
        "val",
        "--chain",
        "c-1",
        "--file",
        state.to_str().unwrap(),
    ];
    assert_eq!(signer.attempt(&import).status.code(), Some(3));
    signer.run(&["audit", "verify"]);
}

#[test]
fn a_key_that_was_made_here_or_signs_elsewhere_does_not_leave() {
    let home = Home::new();
    let signer = furnished(&home);
    let refused = |signer: &Signer, key: &str, chain: &str, code: &str| {
        let output = signer.attempt(&words(&export(&home, key, chain, "no")));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(code), "{said}");
        assert!(!home.path("no-key.json").exists() && !home.path("no-state.json").exists());
    };
    signer.run(&["state", "init", "--key", "made", "--chain", "m-1", "--above", "5"]);
    refused(&signer, "made", "m-1", "key_not_exportable");
    refused(&signer, "nobody", "m-1", "key_not_found");
    assert_eq!(
        signer.json(&["state", "show", "--key", "made", "--json"])[0]["kind"],
        "closed"
    );

    let file = KeyFile::of_seed([8; 32]).write(&home.path("shared.json"));
    signer.run(&[
        "keys", "import", "two", "--file", &file, "--chain", "s-1", "--shared", "--above", "3",
    ]);
    signer.run(&[
        "state", "init", "--key", "two", "--chain", "s-2", "--shared", "--above", "4",
    ]);
    refused(&signer, "two", "s-1", "key_in_use");
    let kinds = |signer: &Signer| {
        let states = signer.json(&["state", "show", "--key", "two", "--json"]);
        states
            .as_array()
            .unwrap()
            .iter()
            .map(|state| state["kind"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(&signer), [json!("closed"), json!("closed")]);
    let all = export(&home, "two", "s-1", "all");
    signer.run(&[&words(&all)[..], &["--all-chains"]].concat());
    assert_eq!(kinds(&signer), [json!("exported"), json!("exported")]);
}
