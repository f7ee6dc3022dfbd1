//! Who is at the other end: establishes a [`Caller`] from what a connection proves, never from what a request says.

pub mod api_key;
pub mod bearer;
mod means;

pub use means::Means;
use sigward_policies::model::caller::{Caller, SubjectName};
use sigward_policies::model::id::{ChainId, NodeName};

/// The node that sigward itself dialled, by its entry in the configuration. The address is all there is: a node's
/// SecretConnection key is new at every start (CometBFT `privval/utils.go`), so pinning it would prove nothing.
pub fn dialled_node(chain: &ChainId, node: &NodeName) -> Caller {
    Caller::Node {
        chain: chain.clone(),
        node: node.clone(),
    }
}

/// A process on this machine, by the credentials that the kernel gives for its unix socket.
pub fn unix_peer(credentials: &tokio::net::unix::UCred) -> Caller {
    Caller::LocalUser {
        uid: credentials.uid(),
    }
}

/// The user who runs this very process, for the command line without a daemon.
pub fn this_process() -> Caller {
    Caller::LocalUser {
        uid: rustix::process::geteuid().as_raw(),
    }
}

/// Whoever holds the private key of the client certificate that a handshake has verified, by its alternative name.
pub fn certificate(name: &SubjectName) -> Caller {
    Caller::Certificate { name: name.clone() }
}
