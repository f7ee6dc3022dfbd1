//! `/readyz` is a promise that every chain of the configuration can be signed for: it is broken by a chain that is not served, and by
//! one that no node asks for.

use super::stage::{PATIENCE, Stage, accept, signed};
use crate::support::fake_node::Ask;
use crate::support::poll;

fn wait(stage: &Stage, ready: bool) {
    let came = poll(PATIENCE, || (stage.signer.ready().0 == ready).then_some(()));
    assert!(came.is_some(), "ready {ready}: {}", stage.signer.ready().1);
}

#[test]
fn one_node_of_two_is_enough_and_none_is_not() {
    let mut stage = Stage::with_keys(["one"]);
    let (mut a, b) = (stage.node_at("a.sock", "c-1"), stage.home.socket("b.sock"));
    let gone = format!("unix://{}", b.display());
    stage
        .signer
        .add_chain_at("c-1", "one", &[("a", a.address()), ("b", &gone)]);
    stage.signer.start();
    accept(&mut a);
    wait(&stage, true);
    assert_eq!(stage.signer.check("nodes/c-1"), "ok");
    assert_eq!(stage.signer.check("node/c-1/b"), "failing");
    drop(a);
    wait(&stage, false);
    assert_eq!(stage.signer.check("nodes/c-1"), "failing");
    assert_eq!(stage.signer.check("chain/c-1"), "ok", "it would be signed for");
    let mut a = stage.node_at("a.sock", "c-1");
    accept(&mut a);
    wait(&stage, true);
}

#[test]
fn a_drained_node_stays_in_sight_and_does_not_count() {
    let mut stage = Stage::with_keys(["one"]);
    let (mut a, mut b) = (stage.node_at("a.sock", "c-1"), stage.node_at("b.sock", "c-1"));
    let nodes = [("a", a.address()), ("b", b.address())];
    stage.signer.add_chain_at("c-1", "one", &nodes);
    stage.signer.start();
    accept(&mut a);
    accept(&mut b);
    let node = |stage: &Stage, name: &str| {
        let status = stage.signer.json(&["status", "--json"]);
        let nodes = status["chains"][0]["nodes"].as_array().unwrap().clone();
        let found = nodes.into_iter().find(|node| node["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {status}"))
    };
    let metric = |stage: &Stage, name: &str, of: &str| stage.signer.metrics().sum(name, &[("node", of)]);

    stage.signer.run(&["node", "drain", "c-1/a"]);
    for again in [false, true] {
        let seen = node(&stage, "a");
        assert_eq!(
            (&seen["drained"], &seen["connected"]),
            (&true.into(), &false.into()),
            "{again}"
        );
        assert_eq!(metric(&stage, "sigward_node_connected", "a"), Some(0.0));
        assert_eq!(metric(&stage, "sigward_node_drained", "a"), Some(1.0));
        assert_eq!(metric(&stage, "sigward_node_drained", "b"), Some(0.0));
        let text = stage.signer.run(&["status"]);
        assert!(text.contains("DRAINED"), "{text}");
        assert_eq!(stage.signer.check("node/c-1/a"), "failing");
        wait(&stage, true);
        if !again {
            stage.signer.kill();
            stage.signer.start();
            accept(&mut b);
        }
    }
    stage.signer.run(&["node", "drain", "--force", "c-1/b"]);
    wait(&stage, false);
    assert!(
        !stage.signer.run(&["holds"]).contains(": drained"),
        "no reason was given"
    );
    let tail = stage.signer.run(&["audit", "tail"]);
    let line = tail.lines().find(|line| line.contains("node.drain")).unwrap();
    assert!(line.contains("c-1"), "{line}");

    stage.signer.run(&["node", "undrain", "c-1/a"]);
    accept(&mut a);
    wait(&stage, true);
    assert_eq!(metric(&stage, "sigward_node_drained", "a"), Some(0.0));
    assert_eq!(metric(&stage, "sigward_node_connected", "a"), Some(1.0));
    for wrong in ["a", "c-2/a"] {
        let output = stage
            .signer
            .attempt(&["node", "drain", "--chain", "c-1", "c-2/a"]);
        assert!(!output.status.success());
        assert!(!stage.signer.attempt(&["node", "undrain", wrong]).status.success());
    }
    // One that leaves the configuration leaves the sight.
    stage.edit("c-1", |chain| {
        chain["node"].as_array_mut().unwrap().truncate(1);
    });
    stage.reload();
    assert_eq!(metric(&stage, "sigward_node_drained", "b"), None);
    wait(&stage, true);
}

#[test]
fn a_setting_that_waits_for_a_restart_is_told_until_it_is_in_force() {
    let mut stage = Stage::with_keys(["one"]);
    let mut node = stage.chain("c-1", "one");
    stage.signer.start();
    accept(&mut node);
    let listen = |stage: &Stage, address: &str| {
        stage.signer.configure(|config| {
            let http = config["http"].as_table_mut().unwrap();
            http.insert("listen".to_owned(), address.into());
        });
    };
    let before = format!("127.0.0.1:{}", stage.signer.http_port());
    listen(&stage, "127.0.0.1:0");
    let said = stage.signer.run(&["reload"]);
    assert!(
        said.contains("waits for a restart") && !said.contains("reloaded"),
        "{said}"
    );
    assert_eq!(stage.signer.check("restart"), "failing");
    assert!(stage.signer.comes_ready(), "it signs by what runs");
    let text = stage.signer.run(&["status"]);
    assert!(text.contains("! restart: ~ http.listen"), "{text}");
    let doctor = stage.signer.attempt(&["doctor", "--offline"]);
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(
        doctor.contains("restart: ~ http.listen") && !doctor.contains("All is well"),
        "{doctor}"
    );
    listen(&stage, &before);
    stage.reload();
    assert_eq!(stage.signer.check("restart"), "ok");
}

#[test]
fn another_rpc_is_taken_and_ends_no_connection() {
    let mut stage = Stage::with_keys(["one"]);
    let mut node = stage.chain("c-1", "one");
    stage.signer.start();
    accept(&mut node);
    signed(&mut node, 1);
    stage.edit("c-1", |chain| {
        let nodes = chain["node"].as_array_mut().unwrap();
        let entry = nodes[0].as_table_mut().unwrap();
        entry.insert("rpc".to_owned(), "http://127.0.0.1:26657".into());
    });
    let reply = stage.reload();
    assert_eq!(reply["changes"][0]["setting"], "rpc", "{reply}");
    assert_eq!(stage.reload()["changes"].as_array().unwrap().len(), 0);
    signed(&mut node, 2);
    assert_eq!(stage.listed("c-1", "a")["connections"], 1);
}

#[test]
fn a_node_of_another_chain_is_named_and_does_not_reach_the_terminal() {
    let mut stage = Stage::with_keys(["one"]);
    let address = stage.home.socket("w.sock");
    let asked = "other-9\x1b[2J\n";
    let mut node = crate::support::fake_node::FakeNode::listen(&address, asked);
    stage.signer.add_chain_at("c-1", "one", &[("a", node.address())]);
    stage.signer.start();
    accept(&mut node);
    assert_eq!(node.ask(Ask::prevote(1, 1)).refusal(), "chain_id_mismatch");
    let said = stage.signer.run(&["status"]);
    assert!(
        said.contains("other-9") && said.contains("node of another chain"),
        "{said}"
    );
    assert!(!stage.signer.ready().0, "it asks for nothing that is signed");
    assert!(
        stage.signer.log().contains("other-9"),
        "{}",
        stage.signer.log_tail()
    );
    assert!(stage.signer.log().chars().all(|c| c == '\n' || !c.is_control()));
}
