//! Who asks. A caller is what `authn` could prove, never what a request says of itself.

use std::fmt;

use super::id::{ChainId, NodeName};

/// A caller whose identity has been established.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Caller {
    /// The node at the other end of a connection that sigward itself dialled, by its entry in the configuration.
    Node {
        /// The chain the entry belongs to.
        chain: ChainId,
        /// The name of the entry.
        node: NodeName,
    },
    /// A process on this machine, by the peer credentials of the admin socket.
    LocalUser {
        /// The user id that the kernel reports.
        uid: u32,
    },
    /// sigward itself: start-up, binding of configured chains.
    Service,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node { chain, node } => write!(f, "node:{chain}/{node}"),
            Self::LocalUser { uid } => write!(f, "uid:{uid}"),
            Self::Service => f.write_str("service"),
        }
    }
}
