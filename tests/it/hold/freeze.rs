//! The very next request after the reply is refused, whatever was frozen and however the process ended in between.

use std::process::Command;
use std::time::Duration;

use super::assert_refused;
use crate::support::audit::records;
use crate::support::fake_node::{Answer, Ask, FakeNode};
use crate::support::poll;
use crate::support::scene::{CHAIN, KEY, Scene};

pub(super) const SCOPES: [&[&str]; 3] = [&["--all"], &["--chain", CHAIN], &["--key", KEY]];

pub(super) fn freeze(scene: &Scene, scope: &[&str]) {
    scene
        .signer
        .run(&[&["freeze"], scope, &["--reason", "drill"]].concat());
}

pub(super) fn unfreeze(scene: &Scene, scope: &[&str]) {
    scene
        .signer
        .run(&[&["unfreeze"], scope, &["--reason", "drill over"]].concat());
}

#[test]
fn after_a_freeze_nothing_is_signed_the_connection_stays_and_unfreezing_goes_on() {
    let mut scene = Scene::new();
    scene.start();
    let mut height = 1;
    for scope in SCOPES {
        scene.sign(height..=height + 1);
        freeze(&scene, scope);
        freeze(&scene, scope);
        assert_refused(&mut scene, Ask::prevote(height + 1, 1), "frozen");
        assert_refused(&mut scene, Ask::prevote(height + 2, 1), "frozen");
        let holds = scene.signer.json(&["holds", "--json"]);
        assert_eq!(holds[0]["kind"], "freeze");
        assert_eq!(holds[0]["reason"], "drill");
        unfreeze(&scene, scope);
        assert_eq!(scene.signer.json(&["holds", "--json"]), serde_json::json!([]));
        // On the connection that was refused before.
        scene.sign(height + 2..=height + 2);
        height += 3;
    }
}

#[test]
fn a_freeze_outlives_kill_9_and_works_without_a_daemon() {
    let mut scene = Scene::new();
    scene.start();
    scene.sign(1..=2);
    freeze(&scene, &["--all"]);
    scene.signer.kill();
    scene.start();
    assert_refused(&mut scene, Ask::prevote(3, 1), "frozen");
    let (ready, said) = scene.signer.ready();
    assert!(!ready, "{said}");
    scene.signer.kill();
    unfreeze(&scene, &["--all"]);
    freeze(&scene, &["--key", KEY]);
    scene.start();
    assert_refused(&mut scene, Ask::prevote(3, 1), "frozen");
    assert!(!scene.signer.ready().0, "its only key: nothing can be signed");
    unfreeze(&scene, &["--key", KEY]);
    scene.sign(3..=3);
}

#[test]
fn a_freeze_under_load_lets_nothing_out_after_its_reply() {
    let mut scene = Scene::new();
    scene.signer.create_key("other");
    let mut node = FakeNode::listen(&scene.home.socket("o.sock"), "other-1");
    scene
        .signer
        .add_chain_at("other-1", "other", &[("a", node.address())]);
    scene.start();
    assert!(node.accept_unless(Duration::from_secs(20), || false));
    let (told, frozen) = std::sync::mpsc::channel::<()>();
    let load = std::thread::spawn(move || {
        let mut after_the_reply = 0;
        for height in 1.. {
            let known = frozen.try_recv().is_ok();
            match node.ask(Ask::prevote(height, 1)) {
                Answer::Signed(_) => assert!(!known, "signed {height} after the reply"),
                Answer::Refused { text, .. } => assert!(text.starts_with("frozen"), "{text}"),
                Answer::Lost => panic!("the connection broke"),
            }
            after_the_reply += u32::from(known || after_the_reply > 0);
            if after_the_reply > 20 {
                return;
            }
        }
    });
    scene.sign(1..=20);
    freeze(&scene, &["--all"]);
    told.send(()).unwrap();
    assert_refused(&mut scene, Ask::prevote(21, 1), "frozen");
    load.join().unwrap();
}

#[test]
fn a_signal_freezes_everything_when_the_admin_socket_is_gone() {
    let mut scene = Scene::new();
    scene.start();
    scene.sign(1..=1);
    std::fs::remove_file(scene.signer.home().join("admin.sock")).unwrap();
    let pid = scene.signer.pid().to_string();
    assert!(
        Command::new("kill")
            .args(["-USR1", &pid])
            .status()
            .unwrap()
            .success()
    );
    let mut height = 2;
    while let Answer::Signed(_) = scene.ask(Ask::prevote(height, 1)) {
        height += 1;
        assert!(height < 100_000, "never frozen: {}", scene.log());
    }
    assert_refused(&mut scene, Ask::prevote(height, 1), "frozen");
    scene.signer.kill();
    scene.start();
    assert_refused(&mut scene, Ask::prevote(height, 1), "frozen");
    assert!(scene.signer.run(&["holds"]).contains("SIGUSR1"));
}

#[test]
fn what_is_mistyped_is_refused_by_name() {
    let scene = Scene::new();
    for (arguments, code) in [
        (&["freeze", "--chain", "no-such-chain"][..], "no_sign_state"),
        (&["freeze", "--key", "nobody"], "key_not_found"),
        (&["unfreeze", "--all", "--reason", "x"], "hold_not_found"),
        (&["unfreeze", "--all", "--reason", " "], "invalid_parameters"),
    ] {
        let refused = scene.signer.attempt(arguments);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(3), "{said}");
        assert!(said.contains(code), "{said}");
    }
}

/// A document looks the chain up before it judges: what is not there is on record all the same.
#[test]
fn whoever_tries_to_freeze_and_cannot_is_on_record_under_a_policy_too() {
    let scene = Scene::new();
    let text = "version = 1\n[[rule]]\nid = \"look\"\neffect = \"allow\"\nsubjects = [\"dns:ada\"]\noperations = [\"status.read\"]\n";
    std::fs::write(scene.signer.home().join("policy.toml"), text).unwrap();
    scene.signer.configure(|config| {
        let file = [("file".to_owned(), "policy.toml".into())].into_iter().collect();
        config.insert("policy".to_owned(), toml::Value::Table(file));
    });
    tries_to_freeze_and_is_on_record(scene);
}

#[test]
fn whoever_tries_to_freeze_and_cannot_is_on_record() {
    tries_to_freeze_and_is_on_record(Scene::new());
}

fn tries_to_freeze_and_is_on_record(mut scene: Scene) {
    scene.start();
    for (arguments, operation, reason) in [
        (
            &["freeze", "--chain", "no-such-chain"][..],
            "freeze",
            "no_sign_state",
        ),
        (
            &["stop-line", "set", "--chain", "no-such-chain", "--at", "9"],
            "stop_line.set",
            "no_sign_state",
        ),
    ] {
        assert_eq!(scene.signer.attempt(arguments).status.code(), Some(3));
        let noted = || {
            let found = records(&scene.signer).into_iter().find(|record| {
                (record.operation.as_str(), record.decision.as_str()) == (operation, "denied")
            });
            found.map(|record| record.reason)
        };
        assert_eq!(poll(Duration::from_secs(20), noted).as_deref(), Some(reason));
    }
}
