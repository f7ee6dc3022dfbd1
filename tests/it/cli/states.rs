//! Sign states: shown, begun, moved out, brought in; the same with a daemon and without one.

use serde_json::{Value, json};

use super::{fails, keys_of, refused};
use crate::support::fake_node::{Answer, Ask};
use crate::support::home::Home;
use crate::support::keys::{KeyFile, restart_dialling};
use crate::support::scene::{CHAIN, KEY, Scene};
use crate::support::signer::Signer;

const SEED: [u8; 32] = [9; 32];

fn imported(beginning: &[&str]) -> Scene {
    let home = Home::new();
    let signer = Signer::init(&home);
    let file = KeyFile::of_seed(SEED).write(&home.path("key.json"));
    let import = ["keys", "import", KEY, "--file", &file, "--chain", CHAIN];
    signer.run(&[&import[..], beginning].concat());
    Scene::with(home, signer)
}

fn only_state(signer: &Signer) -> Value {
    let states = signer.json(&["state", "show", "--json"]);
    assert_eq!(states.as_array().unwrap().len(), 1, "{states}");
    states[0].clone()
}

#[test]
fn a_state_leaves_with_its_key_file_and_comes_back_only_newer() {
    let mut scene = imported(&["--never-signed"]);
    scene.start();
    scene.sign(1..=5);
    scene.signer.terminate();
    let state = only_state(&scene.signer);
    assert_eq!(
        keys_of(&state),
        [
            "allow_until",
            "block_hash",
            "chain_id",
            "height",
            "key",
            "kind",
            "last_signed_at",
            "public_key_hex",
            "round",
            "shared",
            "sign_bytes_sha256",
            "step",
        ]
    );
    assert_eq!(
        (&state["kind"], &state["height"], &state["step"]),
        (&json!("signed"), &json!(5), &json!(2))
    );

    // Out: an existing file is never overwritten, and costs the key nothing.
    let out = home_path(&scene, "state.json");
    std::fs::write(&out, "precious").unwrap();
    let export = ["state", "export", "--key", KEY, "--chain", CHAIN, "--file", &out];
    fails(&scene.signer, 1, &export);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "precious");
    assert_eq!(only_state(&scene.signer)["kind"], "signed");
    std::fs::remove_file(&out).unwrap();
    scene.signer.run(&export);
    assert_eq!(only_state(&scene.signer)["kind"], "exported");
    let key = scene.signer.json(&["keys", "show", KEY, "--json"]);
    assert_eq!(
        (&key["exported"], &key["stopped_chains"]),
        (&json!(true), &json!([CHAIN]))
    );
    for words in [&["keys", "list"][..], &["keys", "show", KEY]] {
        let said = scene.signer.run(words);
        assert!(said.contains(&format!("{CHAIN} (signs no more here)")), "{said}");
    }
    let file: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!(
        keys_of(&file),
        ["height", "round", "signature", "signbytes", "step"]
    );
    assert_eq!(file["height"], "5");
    let message = scene.start_and_wait(std::time::Duration::from_secs(10));
    if let Ok(true) = message {
        let answer = scene.ask(Ask::prevote(6, 1));
        assert_eq!(answer.refusal(), "key_stopped", "moved out");
    }
    let log = scene.log();
    assert!(
        log.contains("alarm=true") && log.contains("code=\"key_stopped\"") && log.contains("was moved out"),
        "{log}"
    );
    scene.signer.stop();

    // Into another home, with its key.
    let mut other = imported(&["--state", &out]);
    let state = only_state(&other.signer);
    assert_eq!((&state["kind"], &state["height"]), (&json!("signed"), &json!(5)));
    other.start();
    let stored = other.node.ask(Ask::prevote(5, 1));
    assert_eq!(
        stored.signature(),
        scene.node_signature(5),
        "the same message, the same signature"
    );
    assert_eq!(
        other.node.ask(Ask::prevote(5, 2)).refusal(),
        "double_sign_conflict"
    );
    other.sign(6..=9);
    other.signer.terminate();
    let newer = home_path(&other, "newer.json");
    other.signer.run(&[
        "state", "export", "--key", KEY, "--chain", CHAIN, "--file", &newer,
    ]);

    // And back: the state it left with does not do.
    let back =
        |file: &str| ["state", "import", "--key", KEY, "--chain", CHAIN, "--file", file].map(str::to_owned);
    let words = back(&out);
    refused(
        &scene.signer,
        "state_conflict",
        &words.each_ref().map(String::as_str),
    );
    // Nor does it without its sign bytes, which proves nothing: only the height is left to judge by.
    let mut bare: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    for field in ["signbytes", "signature"] {
        bare.as_object_mut().unwrap().remove(field).unwrap();
    }
    let bare_path = home_path(&scene, "bare.json");
    std::fs::write(&bare_path, bare.to_string()).unwrap();
    let words = back(&bare_path);
    refused(
        &scene.signer,
        "state_conflict",
        &words.each_ref().map(String::as_str),
    );
    let words = back(&newer);
    scene.signer.run(&words.each_ref().map(String::as_str));
    let mut scene = scene.forget();
    scene.start();
    scene.assert_refuses(8, "height_regression");
    scene.sign(10..=11);
}

#[test]
fn a_file_in_a_folder_that_is_not_there_costs_the_key_nothing() {
    let scene = imported(&["--above", "10"]);
    let row = ["--key", KEY, "--chain", CHAIN];
    let (good, bad) = (home_path(&scene, "s.json"), home_path(&scene, "nodir/s.json"));
    for files in [
        &["--file", &bad][..],
        &["--file", &bad, "--key-file", &good],
        &["--file", &good, "--key-file", &bad],
    ] {
        let said = fails(
            &scene.signer,
            1,
            &[&["state", "export"][..], &row, files].concat(),
        );
        let (first, second) = said.split_once('\n').unwrap();
        assert!(first.contains("file_not_found: there is no folder"), "{said}");
        assert!(
            second.starts_with("  make it: mkdir -p '") && second.contains("/nodir'"),
            "{said}"
        );
        assert!(!std::path::Path::new(&good).exists(), "nothing is left behind");
    }
    assert_eq!(only_state(&scene.signer)["kind"], "closed");
    let backup = [
        "keys",
        "backup",
        KEY,
        "--file",
        &bad,
        "--passphrase-file",
        "/nowhere",
    ];
    let said = fails(&scene.signer, 1, &backup);
    assert!(
        said.contains("there is no folder") && said.contains("mkdir -p") && !said.contains(".tmp"),
        "{said}"
    );
}

#[test]
fn a_state_that_does_not_prove_itself_is_refused() {
    let mut scene = imported(&["--never-signed"]);
    scene.start();
    scene.sign(1..=5);
    scene.signer.terminate();
    let out = home_path(&scene, "state.json");
    scene
        .signer
        .run(&["state", "export", "--key", KEY, "--chain", CHAIN, "--file", &out]);

    let home = Home::new();
    let signer = Signer::init(&home);
    let own = KeyFile::of_seed(SEED).write(&home.path("own.json"));
    let foreign = KeyFile::of_seed([8; 32]).write(&home.path("foreign.json"));
    let import = |file: &str, chain: &str, state: &str| {
        [
            "keys", "import", "k", "--file", file, "--chain", chain, "--state", state,
        ]
        .map(str::to_owned)
    };
    let no = |code: &str, words: [String; 9]| refused(&signer, code, &words.each_ref().map(String::as_str));
    no("foreign_state_file", import(&foreign, CHAIN, &out));
    no("foreign_state_file", import(&own, "another-1", &out));
    let good: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    let spoilt = home.path("spoilt.json").to_str().unwrap().to_owned();
    for (field, value) in [
        ("height", json!("4")),
        ("height", json!("0")),
        ("height", json!("-1")),
        ("height", json!(5)),
        ("height", json!("many")),
        ("round", json!(1)),
        ("round", json!(-1)),
        ("step", json!(3)),
        ("step", json!(7)),
        ("signature", json!(null)),
        ("signature", json!("AAAA")),
        ("signbytes", json!(null)),
        ("signbytes", json!("00")),
        ("signbytes", json!("zz")),
        ("surprise", json!(1)),
    ] {
        let mut state = good.clone();
        state[field] = value;
        std::fs::write(&spoilt, state.to_string()).unwrap();
        no("invalid_state_file", import(&own, CHAIN, &spoilt));
    }
    for text in ["", "{}", "[]", "null", &"{".repeat(5_000)] {
        std::fs::write(&spoilt, text).unwrap();
        no("invalid_state_file", import(&own, CHAIN, &spoilt));
    }
    assert_eq!(
        signer.json(&["keys", "list", "--json"]),
        json!([]),
        "no key without its past"
    );
    let words = import(&own, CHAIN, &out);
    signer.run(&words.each_ref().map(String::as_str));
}

#[test]
fn an_imported_key_signs_on_no_chain_without_a_beginning_there() {
    let mut scene = imported(&["--above", "10"]);
    // The configuration names the key for another chain, of which nothing was said.
    scene.signer.configure(|config| {
        let chain = config["chain"].as_array_mut().unwrap();
        chain[0].as_table_mut().unwrap()["id"] = "another-1".into();
    });
    let said = restart_dialling(&mut scene).unwrap_err();
    assert!(
        said.contains("sharing_refused") || said.contains("beginning_required"),
        "{said}"
    );
    refused(
        &scene.signer,
        "sharing_refused",
        &[
            "state",
            "init",
            "--key",
            KEY,
            "--chain",
            "another-1",
            "--above",
            "5",
        ],
    );
    refused(
        &scene.signer,
        "already_bound",
        &["state", "init", "--key", KEY, "--chain", CHAIN, "--never-signed"],
    );
    refused(
        &scene.signer,
        "key_not_found",
        &[
            "state", "init", "--key", "nobody", "--chain", CHAIN, "--above", "5",
        ],
    );
    refused(
        &scene.signer,
        "no_sign_state",
        &[
            "state",
            "allow",
            "--key",
            KEY,
            "--chain",
            "another-1",
            "--until",
            "9",
        ],
    );
}

/// The same questions and acts over the admin socket and without it, answered alike.
#[test]
fn a_command_does_the_same_with_a_daemon_and_without_one() {
    let mut scene = imported(&["--above", "10"]);
    let ask = |signer: &Signer| -> Vec<Value> {
        [
            &["keys", "list", "--json"][..],
            &["keys", "show", KEY, "--json"],
            &["state", "show", "--json"],
            &["state", "show", "--key", KEY, "--chain", CHAIN, "--json"],
        ]
        .map(|words| signer.json(words))
        .to_vec()
    };
    let without = ask(&scene.signer);
    scene.start();
    assert!(scene.signer.home().join("admin.sock").exists() || wait_for_socket(&scene));
    assert_eq!(ask(&scene.signer), without);

    // Far beyond what is plausible, until an operator says that the chain really is there; at once, without a restart.
    assert_eq!(scene.ask(Ask::prevote(5_000_000, 1)).refusal(), "height_jump");
    let allow = [
        "state", "allow", "--key", KEY, "--chain", CHAIN, "--until", "5000000", "--json",
    ];
    assert_eq!(scene.signer.json(&allow)["allow_until"], 5_000_000);
    assert_eq!(scene.ask(Ask::prevote(5_000_001, 1)).refusal(), "height_jump");
    assert!(matches!(scene.ask(Ask::prevote(5_000_000, 1)), Answer::Signed(_)));

    // A key that is made, and a state that moves out, while the daemon serves.
    scene.signer.create_key("second");
    refused(&scene.signer, "key_exists", &["keys", "create", "second"]);
    let out = home_path(&scene, "out.json");
    scene
        .signer
        .run(&["state", "export", "--key", KEY, "--chain", CHAIN, "--file", &out]);
    assert_eq!(
        scene.ask(Ask::prevote(5_000_001, 1)).refusal(),
        "key_stopped",
        "in force at once"
    );
    let tail = scene.signer.run(&["audit", "tail", "--lines", "0", "--json"]);
    let over_socket = scene.signer.json(&["audit", "verify", "--json"]);
    assert_eq!(over_socket["first_broken"], Value::Null);
    scene.signer.terminate();
    assert!(
        !scene.signer.home().join("admin.sock").exists(),
        "a clean end takes its socket along"
    );
    let after = scene.signer.run(&["audit", "tail", "--lines", "0", "--json"]);
    assert!(after.starts_with(&tail), "the chain only grows");
    assert!(after.contains("\"subject\":\"uid:"), "who did it: {after}");
    let last: Value =
        serde_json::from_str(scene.signer.run(&["audit", "tail", "-n", "1", "--json"]).trim()).unwrap();
    assert_eq!(
        keys_of(&last),
        [
            "authentication",
            "chain_id",
            "count",
            "decision",
            "form",
            "hash",
            "key",
            "key_version",
            "operation",
            "position",
            "previous_hash",
            "reason",
            "request_digest",
            "ruling",
            "sequence",
            "signature_digest",
            "subject",
            "time",
            "trace_id",
        ]
    );
    let lines = scene.signer.run(&["audit", "tail", "--from", "1", "-n", "2"]);
    assert_eq!(lines.lines().count(), 2, "{lines}");
}

fn wait_for_socket(scene: &Scene) -> bool {
    let socket = scene.signer.home().join("admin.sock");
    crate::support::poll(std::time::Duration::from_secs(10), || {
        socket.exists().then_some(())
    })
    .is_some()
}

fn home_path(scene: &Scene, name: &str) -> String {
    scene.home.path(name).to_str().unwrap().to_owned()
}
