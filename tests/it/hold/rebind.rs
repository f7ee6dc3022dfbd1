//! A chain gets another id: the key goes on above, and the old id is closed for ever.

use crate::support::fake_node::{Answer, Ask, FakeNode};
use crate::support::scene::{CHAIN, KEY, Scene};

const NEW: &str = "it-fake-2";

#[test]
fn the_key_goes_on_under_the_new_id_and_never_again_under_the_old_one() {
    let mut scene = Scene::new();
    scene.start();
    scene.sign(1..=5);
    let row = scene.signer.json(&[
        "state", "rebind", "--key", KEY, "--chain", CHAIN, "--to", NEW, "--above", "7", "--json",
    ]);
    assert_eq!(
        (&row["chain_id"], &row["kind"], &row["height"]),
        (&NEW.into(), &"closed".into(), &7.into())
    );
    // The daemon runs: in force for the very next request.
    match scene.ask(Ask::prevote(8, 1)) {
        Answer::Refused { text, .. } => assert!(text.starts_with("chain_rebound"), "{text}"),
        other => panic!("{other:?}"),
    }
    let again = scene
        .signer
        .attempt(&["state", "init", "--key", KEY, "--chain", CHAIN, "--above", "100"]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        !again.status.success() && said.contains("chain_rebound"),
        "{said}"
    );
    scene.signer.kill();

    let mut node = FakeNode::listen(&scene.home.socket("m.sock"), NEW);
    scene.signer.configure(|table| {
        let chains = table["chain"].as_array_mut().unwrap();
        let chain = chains[0].as_table_mut().unwrap();
        chain.insert("id".to_owned(), NEW.into());
        let nodes = chain["node"].as_array_mut().unwrap();
        let entry = nodes[0].as_table_mut().unwrap();
        entry.insert("address".to_owned(), node.address().into());
    });
    scene.signer.start();
    assert!(node.accept_unless(std::time::Duration::from_secs(20), || false));
    assert_eq!(node.ask(Ask::prevote(7, 1)).refusal(), "height_closed");
    assert!(matches!(node.ask(Ask::prevote(8, 1)), Answer::Signed(_)));
}
