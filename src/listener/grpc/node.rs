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
use super::key::refuse;
use super::serve::{Services, caller};
use crate::admin::live::Answer;
use crate::admin::node::{ConfiguredNode, LastNode};
use crate::config::{NodeAddress, Reach};
use crate::telemetry::activity::Seen;

#[tonic::async_trait]
impl NodeService for Services {
    async fn list(&self, request: Request<ListNodesRequest>) -> Result<Response<ListNodesResponse>, Status> {
        let asked = request.into_inner().chain_id;
        let chain = if asked.is_empty() {
            None
        } else {
            Some(ChainId::new(&asked).map_err(refuse)?)
        };
        let nodes = self.nodes(chain.as_ref()).await.map_err(status)?;
        Ok(Response::new(ListNodesResponse {
            nodes,
            serving: self.live.is_some(),
        }))
    }

    async fn drain(&self, request: Request<DrainNodeRequest>) -> Result<Response<DrainNodeResponse>, Status> {
        let who = caller(&request);
        let request = request.into_inner();
        let (chain, name) = place(&request.chain_id, &request.name)?;
        let last = if request.force {
            LastNode::Drain
        } else {
            LastNode::Keep
        };
        let (admin, on, node) = (self.admin.clone(), chain.clone(), name.clone());
        let change = Box::pin(async move { admin.drain(&who, &on, &node, last).await });
        self.change(change).await.map_err(status)?;
        let node = Some(self.node(&chain, &name).await.map_err(status)?);
        Ok(Response::new(DrainNodeResponse { node }))
    }

    async fn undrain(
        &self,
        request: Request<UndrainNodeRequest>,
    ) -> Result<Response<UndrainNodeResponse>, Status> {
        let who = caller(&request);
        let request = request.into_inner();
        let (chain, name) = place(&request.chain_id, &request.name)?;
        let (admin, on, node) = (self.admin.clone(), chain.clone(), name.clone());
        let change = Box::pin(async move { admin.undrain(&who, &on, &node).await });
        self.change(change).await.map_err(status)?;
        // One that the configuration does not name any more is drained no more, and not shown.
        let node = self.node(&chain, &name).await.ok();
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

    async fn nodes(&self, chain: Option<&ChainId>) -> Result<Vec<Node>, Refused> {
        let configured = self.admin.nodes(chain).await?;
        let seen = match self.live.clone() {
            Some(live) => live.seen().await,
            None => Vec::new(),
        };
        let seen: HashMap<_, _> = seen.into_iter().map(|s| ((s.chain, s.node), s.seen)).collect();
        let to_wire = |node: ConfiguredNode| {
            let seen = seen.get(&(node.chain.clone(), node.name.clone()));
            to_wire(&node, seen.copied().unwrap_or_default())
        };
        Ok(configured.into_iter().map(to_wire).collect())
    }

    async fn node(&self, chain: &ChainId, name: &NodeName) -> Result<Node, Refused> {
        let nodes = self.nodes(Some(chain)).await?;
        let gone = || Failure::new(FailureCode::RulesChanged, "the configuration changed meanwhile").into();
        nodes
            .into_iter()
            .find(|node| node.name == name.as_str())
            .ok_or_else(gone)
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
