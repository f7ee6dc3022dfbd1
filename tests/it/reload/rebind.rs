//! A chain id that was mistyped at first, or has changed: what is said, and that a reload is enough after `state rebind`.

use super::stage::{Stage, accept, signed};

#[test]
fn a_mistyped_chain_id_is_cured_by_what_the_refusal_says() {
    let mut stage = Stage::with_keys(["one"]);
    let node = stage.chain("c-tpyo", "one");
    stage.signer.start();
    drop(node);
    let mut node = stage.node("c-1");
    stage.edit("c-tpyo", |chain| {
        chain.insert("id".to_owned(), "c-1".into());
        let nodes = chain["node"].as_array_mut().unwrap();
        let entry = nodes[0].as_table_mut().unwrap();
        entry.insert("address".to_owned(), node.address().into());
    });
    let cure = [
        "state", "rebind", "--key", "one", "--chain", "c-tpyo", "--to", "c-1",
    ];
    let command = format!("sigward {}", cure.join(" "));
    let names_it = |said: &str| {
        assert!(
            said.contains(&command) && said.contains("signed nothing there"),
            "{said}"
        );
        assert!(!said.contains("shared = true"), "{said}");
    };
    let reply = stage.reload();
    names_it(reply["warnings"][0].as_str().unwrap());
    let status = stage.signer.attempt(&["status"]);
    let shown = String::from_utf8(status.stdout).unwrap();
    let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    names_it(&flat);
    let checked = stage.signer.attempt(&["config", "check"]);
    assert_eq!(checked.status.code(), Some(4));
    names_it(&String::from_utf8(checked.stdout).unwrap());

    let said = stage.signer.run(&cure);
    assert!(said.contains("sigward reload"), "{said}");
    assert_eq!(stage.reload()["warnings"], serde_json::json!([]));
    accept(&mut node);
    signed(&mut node, 1);
    stage.signer.run(&["config", "check"]);
}

#[test]
fn a_chain_that_changed_its_id_goes_on_after_a_reload() {
    let mut stage = Stage::with_keys(["one"]);
    let mut before = stage.chain("c-1", "one");
    stage.signer.start();
    accept(&mut before);
    (1..=3).for_each(|height| signed(&mut before, height));
    drop(before);
    stage
        .signer
        .run(&["state", "rebind", "--key", "one", "--chain", "c-1", "--to", "c-2"]);
    let mut after = stage.node("c-2");
    stage.edit("c-1", |chain| {
        chain.insert("id".to_owned(), "c-2".into());
        let nodes = chain["node"].as_array_mut().unwrap();
        let entry = nodes[0].as_table_mut().unwrap();
        entry.insert("address".to_owned(), after.address().into());
    });
    stage.reload();
    accept(&mut after);
    signed(&mut after, 4);
}
