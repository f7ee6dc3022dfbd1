//! Beside real nodes.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use toml::Value;

use super::doctor;
use crate::support::genesis::{Chain, Extensions, Validator, Version};
use crate::support::home::Home;
use crate::support::node::{Node, SignedBy};
use crate::support::poll;
use crate::support::signer::Signer;
use crate::support::turn;

const LIMIT: Duration = Duration::from_secs(60);

struct Stage {
    node: Node,
    signer: Signer,
    chain: Chain,
    _home: Home,
    _turn: turn::Turn,
}

fn stage(version: Version, signed_by: SignedBy) -> Stage {
    let turn = turn::take();
    let home = Home::new();
    let mut signer = Signer::init(&home);
    let chain = Chain {
        version,
        id: format!("doc-{}", version.tag()),
        validator: signer.create_key("validator"),
        extensions: Extensions::Off,
    };
    let mut node = Node::new(&home, "a", &chain, signed_by);
    signer.add_chain(&chain.id, "validator", &[("a", &node)]);
    let url = node.rpc_url();
    set(&signer, |chain| {
        chain["node"][0]
            .as_table_mut()
            .unwrap()
            .insert("rpc".to_owned(), url.into());
    });
    signer.start();
    node.start();
    node.wait_for_height(3, LIMIT);
    Stage {
        node,
        signer,
        chain,
        _home: home,
        _turn: turn,
    }
}

/// Edits the one chain of the configuration.
fn set(signer: &Signer, edit: impl FnOnce(&mut Value)) {
    signer.configure(|config| edit(&mut config["chain"][0]));
}

/// Signs, is looked at, and goes on over the same connection.
fn healthy(stage: &mut Stage) {
    let connections = |stage: &Stage| stage.signer.log().matches(" connected ").count();
    let (before, in_log) = (
        connections(stage),
        stage.node.log_lines("SignerListener: Connected"),
    );
    let seen = doctor(&stage.signer, &[]);
    seen.assert_no_failure();
    for check in [
        "config.valid",
        "config.in_force",
        "files.seal",
        "memory.lock",
        "daemon.running",
        "daemon.ready",
        "daemon.version",
        "keys.known",
        "state.row",
        "node.connected",
        "chain.rpc",
        "chain.id",
        "chain.version",
        "chain.key",
        "chain.validator",
        "chain.other_signer",
        "chain.watermark",
    ] {
        seen.assert(check, "ok");
    }
    stage.node.wait_for_growth(3, LIMIT);
    assert_eq!(
        connections(stage),
        before,
        "the connection stands\n{}",
        stage.signer.log_tail()
    );
    assert_eq!(stage.node.log_lines("SignerListener: Connected"), in_log);
}

#[test]
fn v0_38_on_a_unix_socket_healthy_then_taken_then_stale() {
    let mut stage = stage(Version::V038, SignedBy::Unix);
    healthy(&mut stage);
    stage.signer.terminate();
    // A second signer takes the place; the node accepts it when it next wants one.
    let socket = stage.node.laddr().strip_prefix("unix://").unwrap().to_owned();
    let other = UnixStream::connect(socket).unwrap();
    let taken = poll(LIMIT, || {
        let seen = doctor(&stage.signer, &[]);
        (seen.status("node.other_signer") == "failure").then_some(())
    });
    assert!(taken.is_some());
    drop(other);
    stage.node.kill();
    let seen = doctor(&stage.signer, &[]);
    seen.assert("node.reachable", "failure");
    seen.assert("chain.rpc", "warning");
    assert!(
        seen.of("node.reachable")
            .any(|f| f["fact"].as_str().unwrap().contains("stale"))
    );
}

#[test]
fn v1_0_on_a_port_healthy_then_dialled_then_wrong_key_and_chain() {
    let mut stage = stage(Version::V1, SignedBy::Tcp);
    healthy(&mut stage);
    stage.signer.terminate();
    let free = poll(LIMIT, || {
        let seen = doctor(&stage.signer, &[]);
        let greeted = seen
            .of("node.reachable")
            .any(|f| f["status"] == "ok" && f["fact"].as_str().unwrap().contains("dialled"));
        greeted.then_some(())
    });
    assert!(free.is_some(), "{:#?}", doctor(&stage.signer, &[]).findings);
    // The dial did no harm: blocks again.
    stage.signer.start();
    stage.node.wait_for_growth(2, LIMIT);
    stage.signer.terminate();

    stage.signer.create_key("another");
    set(&stage.signer, |chain| chain["key"] = "another".into());
    let seen = doctor(&stage.signer, &[]);
    seen.assert("chain.key", "failure");
    seen.assert("chain.validator", "warning");
    let fact = seen.of("chain.key").next().unwrap()["fact"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(fact.contains(&stage.chain.validator.address), "{fact}");
    set(&stage.signer, |chain| chain["id"] = "wrong-1".into());
    doctor(&stage.signer, &[]).assert("chain.id", "failure");
}

#[test]
fn another_signer_that_signs_ahead_is_named() {
    let _turn = turn::take();
    let home = Home::new();
    let signer = Signer::init(&home);
    let mut chain = Chain {
        version: Version::V038,
        id: "doc-ahead".to_owned(),
        validator: Validator {
            public_key: String::new(),
            address: String::new(),
        },
        extensions: Extensions::Off,
    };
    let mut node = Node::new(&home, "a", &chain, SignedBy::Itself);
    let key = node.file("config/priv_validator_key.json");
    chain.validator = Validator::of_key_file(&key);
    chain.write_genesis(&node.file("config/genesis.json"));
    signer.run(&[
        "keys",
        "import",
        "validator",
        "--file",
        key.to_str().unwrap(),
        "--chain",
        &chain.id,
        "--above",
        "1",
    ]);
    signer.add_chain_at(&chain.id, "validator", &[("a", "unix:///nowhere")]);
    node.start();
    node.wait_for_height(5, LIMIT);
    let seen = doctor(&signer, &["--rpc", &format!("{}={}", chain.id, node.rpc_url())]);
    seen.assert("chain.other_signer", "failure");
}
