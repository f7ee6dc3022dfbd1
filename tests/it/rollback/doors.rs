//! Files that are open to others, missing or mistyped: everything that this touches refuses, everything else signs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::assert_explained;
use crate::support::fake_node::{Answer, Ask, FakeNode};
use crate::support::http;
use crate::support::keys::restart_dialling;
use crate::support::scene::Scene;

fn open_to_others(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn a_seal_key_that_is_missing_or_open_to_others_or_another_is_refused() {
    let mut scene = Scene::new();
    let seal = scene.signer.home().join("seal.key");
    let bytes = std::fs::read(&seal).unwrap();

    open_to_others(&seal);
    let refused = scene.try_start().unwrap_err();
    assert_explained(&refused, &["file_permissions"], "open to others");

    std::fs::remove_file(&seal).unwrap();
    let refused = scene.try_start().unwrap_err();
    assert_explained(&refused, &["file_not_found"], "missing");

    std::fs::write(&seal, &bytes[..31]).unwrap();
    std::fs::set_permissions(&seal, std::fs::Permissions::from_mode(0o600)).unwrap();
    let refused = scene.try_start().unwrap_err();
    assert_explained(&refused, &["file_size"], "too short");

    let another: [u8; 32] = std::array::from_fn(|index| index as u8 + 1);
    std::fs::write(&seal, another).unwrap();
    let said = restart_dialling(&mut scene).unwrap_err();
    assert!(
        said.contains("alarm=true"),
        "another seal opens no key, loudly: {said}"
    );

    std::fs::write(&seal, bytes).unwrap();
    scene.start();
    scene.sign(1..=2);
}

#[test]
fn a_key_that_is_open_to_others_stops_its_chain_and_no_other() {
    let mut scene = Scene::new();
    let first: Vec<_> = std::fs::read_dir(scene.signer.home().join("keys"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sealed"))
        .collect();
    scene.signer.create_key("other");
    let mut node = FakeNode::listen(&scene.home.socket("o.sock"), "other-1");
    scene
        .signer
        .add_chain_at("other-1", "other", &[("a", node.address())]);
    assert_eq!(first.len(), 1);
    open_to_others(&first[0]);

    scene.signer.start();
    assert!(node.accept_unless(std::time::Duration::from_secs(20), || false));
    assert!(
        matches!(node.ask(Ask::prevote(1, 1)), Answer::Signed(_)),
        "the other chain signs"
    );
    assert!(
        !scene
            .node
            .accept_unless(std::time::Duration::from_millis(500), || false)
    );
    let said = http::get(scene.signer.http_port(), "/readyz?verbose")
        .unwrap()
        .body;
    let checks: serde_json::Value = serde_json::from_str(&said).unwrap();
    let check = |name: &str| {
        let found = checks["checks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|check| check["name"] == name);
        found.unwrap_or_else(|| panic!("{name} in {said}")).clone()
    };
    assert_eq!(check("chain/it-fake-1")["status"], "failing", "{said}");
    assert!(
        check("chain/it-fake-1")["reason"]
            .as_str()
            .unwrap()
            .contains("key_not_found"),
        "why: {said}"
    );
    assert_eq!(check("chain/other-1")["status"], "ok", "{said}");
    let log = scene.signer.log();
    assert!(
        log.contains("file_permissions") && log.contains("alarm=true"),
        "{log}"
    );
}

#[test]
fn a_state_folder_that_is_open_to_others_is_refused() {
    let mut scene = Scene::new();
    let state = scene.signer.home().join("state");
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = scene.try_start().unwrap_err();
    assert_explained(&refused, &["store_permissions"], "open to others");
}

#[test]
fn a_typo_in_the_configuration_is_refused_with_its_line_and_the_likely_word() {
    let mut scene = Scene::new();
    let file = scene.signer.home().join("sigward.toml");
    let whole = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, whole.replace("[[chain.node]]", "[[chain.nodes]]")).unwrap();
    let refused = scene.try_start().unwrap_err();
    assert_explained(&refused, &["config_invalid"], "typo");
    assert!(refused.log.contains("sigward.toml:"), "the line: {}", refused.log);
    assert!(
        refused.log.contains("`node`") || refused.log.contains("\"node\""),
        "the word: {}",
        refused.log
    );
}
