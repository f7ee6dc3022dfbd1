//! What is held back is seen where one looks: in `status`, in the metrics that alerts read, and in `/readyz`.

use std::time::Duration;

use serde_json::Value;

use super::freeze::{SCOPES, freeze, unfreeze};
use crate::support::fake_node::FakeNode;
use crate::support::poll;
use crate::support::scene::{CHAIN, KEY, Scene};

fn chain(scene: &Scene, name: &str) -> Value {
    let status = scene.signer.json(&["status", "--json"]);
    let chains = status["chains"].as_array().unwrap();
    let found = chains.iter().find(|chain| chain["chain_id"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {status}")).clone()
}

fn metric(scene: &Scene, name: &str) -> Option<f64> {
    scene.signer.metrics().sum(name, &[("chain", CHAIN)])
}

fn assert_frozen(scene: &Scene, frozen: bool) {
    assert_eq!(chain(scene, CHAIN)["frozen"], frozen);
    assert_eq!(scene.signer.run(&["status"]).contains("FROZEN"), frozen);
    let told = poll(Duration::from_secs(5), || {
        (metric(scene, "sigward_chain_frozen") == Some(f64::from(u8::from(frozen)))).then_some(())
    });
    assert!(told.is_some(), "sigward_chain_frozen {frozen}");
}

#[test]
fn a_freeze_of_any_scope_is_seen_and_outlives_a_restart() {
    let mut scene = Scene::new();
    scene.start();
    for scope in SCOPES {
        assert_frozen(&scene, false);
        freeze(&scene, scope);
        assert_frozen(&scene, true);
        scene.signer.kill();
        let without = scene.signer.attempt(&["status"]);
        assert!(String::from_utf8_lossy(&without.stdout).contains("FROZEN"));
        scene.start();
        assert_frozen(&scene, true);
        unfreeze(&scene, scope);
    }
    assert_frozen(&scene, false);
}

#[test]
fn a_stop_line_is_seen() {
    let mut scene = Scene::new();
    scene.start();
    let set = ["stop-line", "set", "--chain", CHAIN, "--at", "7", "--key", KEY];
    scene.signer.run(&set);
    assert_eq!(chain(&scene, CHAIN)["stop_line"], 7);
    let text = scene.signer.run(&["status"]);
    assert!(text.contains("STOP LINE") && text.contains("above 7"), "{text}");
    scene
        .signer
        .run(&["stop-line", "clear", "--chain", CHAIN, "--key", KEY]);
    assert_eq!(chain(&scene, CHAIN)["stop_line"], Value::Null);
}

#[test]
fn one_frozen_chain_of_two_is_an_alarm_and_both_are_not_ready() {
    let mut scene = Scene::new();
    scene.signer.create_key("other");
    let mut node = FakeNode::listen(&scene.home.socket("o.sock"), "other-1");
    scene
        .signer
        .add_chain_at("other-1", "other", &[("a", node.address())]);
    scene.start();
    assert!(node.accept_unless(Duration::from_secs(20), || false));
    assert!(scene.signer.comes_ready(), "{}", scene.signer.ready().1);
    freeze(&scene, &["--chain", CHAIN]);
    assert_frozen(&scene, true);
    assert_eq!(chain(&scene, "other-1")["frozen"], false);
    assert!(scene.signer.comes_ready(), "the other one signs");
    freeze(&scene, &["--key", "other"]);
    let told = poll(Duration::from_secs(5), || (!scene.signer.ready().0).then_some(()));
    assert!(told.is_some(), "nothing can be signed");
    assert_eq!(scene.signer.check("freeze"), "failing");
}
