//! A signer with several chains, a fake node at each, and the ways of changing its configuration.

use std::time::Duration;

use serde_json::Value;
use toml::Table;

use crate::support::fake_node::{Answer, Ask, FakeNode};
use crate::support::home::Home;
use crate::support::poll;
use crate::support::signer::Signer;

/// A debug build on a loaded machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The signer ends first, the folder goes last.
pub(super) struct Stage {
    pub(super) signer: Signer,
    pub(super) home: Home,
}

impl Stage {
    /// A home with keys of these names; nothing runs yet.
    pub(super) fn with_keys<S: AsRef<str>>(keys: impl IntoIterator<Item = S>) -> Self {
        let home = Home::new();
        let signer = Signer::init(&home);
        keys.into_iter()
            .for_each(|key| drop(signer.create_key(key.as_ref())));
        Self { signer, home }
    }

    /// Adds a chain with a fake node called `a` at its own socket.
    pub(super) fn chain(&self, id: &str, key: &str) -> FakeNode {
        let node = self.node(id);
        self.signer.add_chain_at(id, key, &[("a", node.address())]);
        node
    }

    /// A fake node of chain `id`, which the configuration does not name yet.
    pub(super) fn node(&self, id: &str) -> FakeNode {
        self.node_at(&format!("{id}.sock"), id)
    }

    pub(super) fn node_at(&self, socket: &str, id: &str) -> FakeNode {
        FakeNode::listen(&self.home.socket(socket), id)
    }

    /// Edits the entry of a chain.
    pub(super) fn edit(&self, id: &str, edit: impl FnOnce(&mut Table)) {
        self.signer.configure(|config| {
            let chains = config["chain"].as_array_mut().unwrap();
            let chain = chains.iter_mut().find(|chain| chain["id"].as_str() == Some(id));
            edit(chain.expect("the chain is there").as_table_mut().unwrap());
        });
    }

    /// Takes a chain out.
    pub(super) fn remove(&self, id: &str) {
        self.signer.configure(|config| {
            let chains = config["chain"].as_array_mut().unwrap();
            chains.retain(|chain| chain["id"].as_str() != Some(id));
        });
    }

    /// `sigward reload`, which must succeed.
    pub(super) fn reload(&self) -> Value {
        self.signer.json(&["reload", "--json"])
    }

    /// SIGHUP, and waits until something came of it. Returns whether it was taken.
    pub(super) fn hang_up(&self) -> bool {
        let before = self.reloads();
        self.signer.hang_up();
        let after = poll(PATIENCE, || Some(self.reloads()).filter(|now| *now != before));
        let (applied, refused) =
            after.unwrap_or_else(|| panic!("SIGHUP is not heard\n{}", self.signer.log_tail()));
        assert_eq!(
            applied + refused,
            before.0 + before.1 + 1,
            "one signal is one reload"
        );
        applied > before.0
    }

    /// Reloads so far: taken, refused.
    pub(super) fn reloads(&self) -> (u64, u64) {
        let metrics = self.signer.metrics();
        let count = |result| {
            metrics
                .sum("sigward_reload_total", &[("result", result)])
                .unwrap() as u64
        };
        (count("applied"), count("refused"))
    }

    /// What a reload that must be refused says, and that what runs is as it was.
    pub(super) fn refused_with(&self, code: &str) -> String {
        let output = self.signer.attempt(&["reload"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(code), "{said}");
        said
    }

    /// `node list`: the entry of one node.
    pub(super) fn listed(&self, chain: &str, node: &str) -> Value {
        let listed = self.signer.json(&["node", "list", "--json"]);
        let nodes = listed["nodes"].as_array().unwrap();
        let found = nodes
            .iter()
            .find(|entry| entry["chain"] == chain && entry["name"] == node);
        found
            .unwrap_or_else(|| panic!("no {chain} {node} in {listed}"))
            .clone()
    }
}

/// Waits until the signer has dialled.
pub(super) fn accept(node: &mut FakeNode) {
    assert!(
        node.accept_unless(PATIENCE, || false),
        "{} is not dialled",
        node.address()
    );
}

pub(super) fn signed(node: &mut FakeNode, height: i64) {
    let answer = node.ask(Ask::prevote(height, 1));
    assert!(
        matches!(answer, Answer::Signed(_)),
        "height {height} at {}: {answer:?}",
        node.address()
    );
}
