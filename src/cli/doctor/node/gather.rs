//! Gathers what this machine shows of each node, and what a running daemon says of its link.

use std::time::{Duration, Instant};

use super::super::{daemon, door};
use super::Facts;
use crate::config::Config;

/// A node notices a broken connection at its next ping (3.3 s, CometBFT `privval/signer_listener_endpoint.go`): until then its
/// place looks taken twice.
const SETTLES: Duration = Duration::from_secs(5);

/// `offline` dials nothing.
pub(in crate::cli::doctor) fn gather(
    config: &Config,
    running: Option<&daemon::Facts>,
    offline: bool,
) -> Vec<Facts> {
    let may_dial = running.is_none() && !offline;
    let mut nodes = Vec::new();
    for chain in &config.chains {
        for node in &chain.nodes {
            nodes.push(Facts {
                chain: chain.id.to_string(),
                node: node.name.to_string(),
                door: door::look(&node.address, may_dial),
                address: node.address.clone(),
                daemon: running.is_some(),
                word: running
                    .and_then(|daemon| daemon.link(chain.id.as_str(), node.name.as_str()))
                    .cloned(),
            });
        }
    }
    // What looks taken twice may be the end of a connection that was just replaced.
    let began = Instant::now();
    let taken = |facts: &Facts| {
        facts.daemon
            && matches!(
                facts.door,
                door::Door::Listening {
                    accepted: 1..,
                    waiting: 1..
                }
            )
    };
    while nodes.iter().any(taken) && began.elapsed() < SETTLES {
        std::thread::sleep(Duration::from_millis(250));
        for facts in nodes.iter_mut().filter(|facts| taken(facts)) {
            facts.door = door::look(&facts.address, false);
        }
    }
    nodes
}
