//! What every scene begins and ends with: one signer, one chain, one node that it signs for; and the last check.

use std::collections::HashSet;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::support::audit::{Record, assert_no_double_sign};
use crate::support::canonical;
use crate::support::genesis::{Chain, Extensions, Version};
use crate::support::home::Home;
use crate::support::metrics::NODE_CONNECTED;
use crate::support::node::{Node, SignedBy};
use crate::support::poll;
use crate::support::signer::Signer;
use crate::support::turn::{self, Turn};

/// How long a node may take to find its signer again and go on. It notices a dead connection at its next ping (3.3 s), and a
/// loaded machine is slower than an idle one.
pub(super) const RECOVERY: Duration = Duration::from_secs(30);

/// The key's name in sigward.
pub(super) const KEY: &str = "validator";

/// A running signer and the node it signs for. The nodes end first, the folder goes last.
pub(super) struct Stage {
    pub(super) node: Node,
    pub(super) signer: Signer,
    pub(super) chain: Chain,
    pub(super) home: Home,
    _turn: Turn,
}

impl Stage {
    /// Makes the key, puts it into the genesis, starts signer and node, and waits for block 2.
    pub(super) fn new(version: Version, signed_by: SignedBy, extensions: Extensions) -> Self {
        let turn = turn::take();
        let home = Home::new();
        let mut signer = Signer::init(&home);
        let chain = Chain {
            version,
            id: format!("it-{}", version.tag()),
            validator: signer.create_key(KEY),
            extensions,
        };
        let mut node = Node::new(&home, "a", &chain, signed_by);
        signer.add_chain(&chain.id, KEY, &[("a", &node)]);
        signer.start();
        node.start();
        node.wait_for_height(2, RECOVERY);
        Self {
            node,
            signer,
            chain,
            home,
            _turn: turn,
        }
    }

    /// Blocks grow again, and the audit chain tells of one message a position.
    pub(super) fn finish(&mut self) -> Vec<Record> {
        let height = self.node.wait_for_growth(3, RECOVERY);
        self.signer.terminate();
        let records = assert_no_double_sign(&self.signer);
        self.assert_commits_are_in(&records, height);
        records
    }

    /// What the node put into its blocks is what the audit chain says we signed: nothing was signed past it.
    fn assert_commits_are_in(&self, records: &[Record], height: u64) {
        let signed: HashSet<(&str, &str)> = records
            .iter()
            .filter(|record| record.released())
            .map(|record| (&*record.position, &*record.request_digest))
            .collect();
        for height in 1..height {
            let commit = self.node.commit(height).expect("the node has this commit");
            let sign_bytes =
                canonical::precommit(&commit, &self.chain.id).expect("a commit by one validator");
            let digest = hex::encode(Sha256::digest(sign_bytes));
            let position = format!("{height}/{}/precommit", commit["round"]);
            assert!(
                signed.contains(&(&*position, &*digest)),
                "the commit of {position} is not in the audit chain"
            );
        }
    }

    /// Waits until sigward says that it is connected to the node of this name.
    pub(super) fn wait_until_connected(&self, node: &str) {
        let connected = poll(RECOVERY, || {
            let labels = [("chain", &*self.chain.id), ("node", node)];
            self.signer
                .metrics()
                .sum(NODE_CONNECTED, &labels)
                .filter(|&value| value == 1.0)
        });
        assert!(
            connected.is_some(),
            "not connected to {node}\n{}",
            self.signer.log_tail()
        );
    }
}
