//! `sigward.v1.NodeService`.

use std::collections::HashMap;

use sigward_policies::decision::{Failure, FailureCode, Refused};
use sigward_policies::model::id::{ChainId, NodeName, UnixSeconds};
use sigward_proto::v1::node_service_server::NodeService;
use sigward_proto::v1::{
    DrainNodeRequest, DrainNodeResponse, ListNodesRequest, ListNodesResponse, Node, NodeLink,
    UndrainNodeRequest, UndrainNodeResponse,
};
use tonic::{Request, Response, Status};

use super::errors::status;
use super::gate::admitted;
use super::key::refuse;
use super::serve::Services;
use super::target::{Target, no_nodes};
use crate::admin::live::Answer;
use crate::admin::node::{ConfiguredNode, LastNode, NO_CHAIN};
use crate::authz::MayAct;
use crate::config::{NodeAddress, Reach};
use crate::telemetry::activity::Seen;

#[tonic::async_trait]
impl NodeService for Services {
    async fn list(&self, request: Request<ListNodesRequest>) -> Result<Response<ListNodesResponse>, Status> {
        let (call, request) = admitted(request)?;
        let asked = request.chain_id;
        let chain = if asked.is_empty() {
            None
        } else {
            Some(ChainId::new(&asked).map_err(refuse)?)
        };
        let sight = self.may_look(call)?;
        let nodes = self.nodes_in(&sight, chain.as_ref()).await?;
        let nodes = self.with_links(nodes).await;
        Ok(Response::new(ListNodesResponse {
            nodes,
            serving: self.live.is_some(),
        }))
    }

    async fn drain(&self, request: Request<DrainNodeRequest>) -> Result<Response<DrainNodeResponse>, Status> {
        let (call, request) = admitted(request)?;
        let (chain, name) = place(&request.chain_id, &request.name)?;
        let may = self.may(call, Target::NodesOf(&chain)).await?;
        let last = if request.force {
            LastNode::Drain
        } else {
            LastNode::Keep
        };
        let (admin, on, node) = (self.gate.open(&may).clone(), chain.clone(), name.clone());
        let who = may.who().clone();
        let change = Box::pin(async move { admin.drain(&who, &on, &node, last).await });
        let changed = self.change(change).await;
        changed.map_err(|refused| not_there(&may, &chain, refused))?;
        let node = Some(self.node(&may, &chain, &name).await.map_err(status)?);
        Ok(Response::new(DrainNodeResponse { node }))
    }

    async fn undrain(
        &self,
        request: Request<UndrainNodeRequest>,
    ) -> Result<Response<UndrainNodeResponse>, Status> {
        let (call, request) = admitted(request)?;
        let (chain, name) = place(&request.chain_id, &request.name)?;
        let may = self.may(call, Target::NodesOf(&chain)).await?;
        let (admin, on, node) = (self.gate.open(&may).clone(), chain.clone(), name.clone());
        let who = may.who().clone();
        let change = Box::pin(async move { admin.undrain(&who, &on, &node).await });
        let changed = self.change(change).await;
        changed.map_err(|refused| not_there(&may, &chain, refused))?;
        // One that the configuration does not name any more is drained no more, and not shown.
        let node = self.node(&may, &chain, &name).await.ok();
        Ok(Response::new(UndrainNodeResponse { node }))
    }
}

impl Services {
    /// Makes the change and, in a daemon, has the connections follow before anybody hears of it.
    async fn change(&self, change: Answer<Result<(), Refused>>) -> Result<(), Refused> {
        match self.live.clone() {
            Some(live) => live.after(change).await,
            None => change.await,
        }
    }

    /// What the daemon knows of the connections to these nodes.
    async fn with_links(&self, nodes: Vec<ConfiguredNode>) -> Vec<Node> {
        let seen = match self.live.clone() {
            Some(live) => live.seen().await,
            None => Vec::new(),
        };
        let seen: HashMap<_, _> = seen.into_iter().map(|s| ((s.chain, s.node), s.seen)).collect();
        let to_wire = |node: ConfiguredNode| {
            let seen = seen.get(&(node.chain.clone(), node.name.clone()));
            to_wire(&node, seen.copied().unwrap_or_default())
        };
        nodes.into_iter().map(to_wire).collect()
    }

    async fn node(&self, may: &MayAct, chain: &ChainId, name: &NodeName) -> Result<Node, Refused> {
        let mut nodes = self.gate.open(may).nodes(Some(chain)).await?;
        nodes.retain(|node| node.name == *name);
        let gone = || Failure::new(FailureCode::RulesChanged, "the configuration changed meanwhile").into();
        self.with_links(nodes).await.pop().ok_or_else(gone)
    }
}

/// A chain that is not there is answered as one whose nodes the caller may not use.
fn not_there(may: &MayAct, chain: &ChainId, refused: Refused) -> Status {
    let unknown = |message: &str| message.starts_with(NO_CHAIN);
    match refused {
        Refused::Denied(refusal) if !may.sight().is_whole() && unknown(&refusal.message) => {
            refuse(no_nodes(chain))
        }
        other => status(other),
    }
}

fn place(chain: &str, name: &str) -> Result<(ChainId, NodeName), Status> {
    Ok((
        ChainId::new(chain).map_err(refuse)?,
        NodeName::new(name).map_err(refuse)?,
    ))
}

fn to_wire(node: &ConfiguredNode, seen: Seen) -> Node {
    let mut wire = Node {
        chain_id: node.chain.to_string(),
        name: node.name.to_string(),
        address: node.address.to_string(),
        drained: node.drained,
        connected_since: seen.connected_since.map(time),
        last_request: seen.last_request.map(time),
        signatures: seen.signatures,
        connections: seen.connections,
        ..Node::default()
    };
    wire.set_link(match (&node.address, node.address.reach()) {
        (NodeAddress::Unix(_), _) => NodeLink::Unix,
        (NodeAddress::Tcp { .. }, Reach::ThisMachine) => NodeLink::Loopback,
        (NodeAddress::Tcp { .. }, Reach::Network) => NodeLink::UnauthenticatedNetwork,
    });
    wire
}

const fn time(at: UnixSeconds) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.0,
        nanos: 0,
    }
}
