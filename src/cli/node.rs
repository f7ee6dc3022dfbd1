//! `sigward node`: the nodes of the configuration and their connections; leave one alone, or dial it again.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};
use sigward_proto::v1::node_service_client::NodeServiceClient;
use sigward_proto::v1::{DrainNodeRequest, ListNodesRequest, Node, NodeLink, UndrainNodeRequest};

use super::client::{at_once, explain, with_services};
use super::output::{Output, one_line};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show each node: where it is, since when it is connected, its last request, and how many signatures it was the first to get
    List {
        /// Only the nodes of this chain
        #[arg(long, value_name = "CHAIN_ID")]
        chain: Option<String>,
    },
    /// Leave a node alone: its connection ends after the request under way, and it is not dialled until `undrain`, restarts included
    ///
    /// For maintenance of one of several nodes, and for a node that is no longer trusted.
    ///
    ///   sigward node drain my-chain-1/node-0
    #[command(verbatim_doc_comment)]
    Drain {
        #[command(flatten)]
        place: Place,
        /// Even if it is the last node of its chain: the chain then signs nothing
        #[arg(long)]
        force: bool,
    },
    /// Dial a drained node again
    Undrain {
        #[command(flatten)]
        place: Place,
    },
}

/// A node of a chain.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The node's chain, where it does not stand before the node's name
    #[arg(long, value_name = "CHAIN_ID")]
    chain: Option<String>,
    /// The node as `sigward status` calls it, or with --chain its name alone
    #[arg(value_name = "CHAIN_ID/NODE")]
    name: String,
}

impl Place {
    /// Chain and name. A chain id may hold a slash; a node's name holds none.
    fn split(self) -> anyhow::Result<(String, String)> {
        match (self.chain, self.name.rsplit_once('/')) {
            (Some(chain), None) => Ok((chain, self.name)),
            (Some(chain), Some((before, name))) if before == chain => Ok((chain, name.to_owned())),
            (None, Some((chain, name))) => Ok((chain.to_owned(), name.to_owned())),
            (Some(chain), Some(_)) => {
                anyhow::bail!(
                    "{} is not on {chain}\nname the chain once: {chain}/NODE",
                    one_line(&self.name)
                )
            }
            (None, None) => anyhow::bail!(
                "on which chain?\nwrite CHAIN_ID/{}, as `sigward status` does; `sigward node list` shows all nodes",
                one_line(&self.name)
            ),
        }
    }
}

pub(super) fn run(command: Command, home: &Path, output: &Output) -> anyhow::Result<()> {
    match command {
        Command::List { chain } => {
            let request = ListNodesRequest {
                chain_id: chain.unwrap_or_default(),
            };
            let reply = at_once(home, async |channel| {
                let reply = NodeServiceClient::new(channel).list(request).await;
                Ok(reply.map_err(explain)?.into_inner())
            })?;
            let nodes: Vec<_> = reply.nodes.iter().map(value).collect();
            output.result(
                &json!({ "serving": reply.serving, "nodes": nodes }),
                table(&reply.nodes, reply.serving),
            );
            Ok(())
        }
        Command::Drain { place, force } => {
            let (chain_id, name) = place.split()?;
            let request = DrainNodeRequest {
                chain_id,
                name,
                force,
            };
            let node = with_services(home, async |channel| {
                let reply = NodeServiceClient::new(channel).drain(request).await;
                let node = reply.map_err(explain)?.into_inner().node;
                node.context("the service returned no node")
            })?;
            let text = format!(
                "{} of {} is drained: it gets no signature until `sigward node undrain {}/{}`",
                node.name, node.chain_id, node.chain_id, node.name
            );
            output.result(&value(&node), text);
            Ok(())
        }
        Command::Undrain { place } => {
            let (chain_id, name) = place.split()?;
            let request = UndrainNodeRequest {
                chain_id: chain_id.clone(),
                name: name.clone(),
            };
            let node = with_services(home, async |channel| {
                let reply = NodeServiceClient::new(channel).undrain(request).await;
                Ok(reply.map_err(explain)?.into_inner().node)
            })?;
            let gone = json!({ "chain": chain_id, "name": name, "drained": false });
            output.result(
                &node.as_ref().map_or(gone, value),
                format!("{name} of {chain_id} is drained no more"),
            );
            Ok(())
        }
    }
}

fn value(node: &Node) -> Value {
    json!({
        "chain": node.chain_id,
        "name": node.name,
        "address": node.address,
        "link": link(node),
        "drained": node.drained,
        "connected_since": node.connected_since.map(|at| at.to_string()),
        "last_request": node.last_request.map(|at| at.to_string()),
        "signatures": node.signatures,
        "connections": node.connections,
    })
}

fn link(node: &Node) -> &'static str {
    match node.link() {
        NodeLink::Unspecified => "unknown",
        NodeLink::Unix => "unix",
        NodeLink::Loopback => "loopback",
        NodeLink::UnauthenticatedNetwork => "unauthenticated-network",
    }
}

fn table(nodes: &[Node], serving: bool) -> String {
    if nodes.is_empty() {
        return "no nodes; add a [[chain.node]] to sigward.toml".to_owned();
    }
    let heads = [
        "CHAIN",
        "NODE",
        "STATE",
        "SINCE",
        "LAST REQUEST",
        "ASKED FIRST",
        "LINK",
        "ADDRESS",
    ];
    let rows: Vec<[String; 8]> = nodes.iter().map(|node| row(node, serving)).collect();
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(column, head)| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell| cell.chars().count())
                .fold(head.len(), usize::max)
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<_> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(heads.to_vec())];
    lines.extend(
        rows.iter()
            .map(|row| line(row.iter().map(String::as_str).collect())),
    );
    if !serving {
        lines.push("sigward does not serve: nothing is connected".to_owned());
    }
    lines.join("\n")
}

fn row(node: &Node, serving: bool) -> [String; 8] {
    let state = match (node.drained, node.connected_since.is_some()) {
        (true, _) => "drained",
        (false, true) => "connected",
        (false, false) if serving => "out of reach",
        (false, false) => "-",
    };
    let time = |at: Option<prost_types::Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    [
        node.chain_id.clone(),
        node.name.clone(),
        state.to_owned(),
        time(node.connected_since),
        time(node.last_request),
        node.signatures.to_string(),
        link(node).to_owned(),
        one_line(&node.address),
    ]
}
