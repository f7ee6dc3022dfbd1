//! Who asks. A caller is what `authn` could prove, never what a request says of itself.

use std::fmt;
use std::sync::Arc;

use super::id::{ChainId, NodeName};
use crate::decision::{Refusal, RefusalCode};

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
    /// Whoever holds the key of a client certificate, by one of its subject alternative names (RFC 5280, 4.2.1.6).
    Certificate {
        /// That name.
        name: SubjectName,
    },
    /// sigward itself: start-up, binding of configured chains.
    Service,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node { chain, node } => write!(f, "node:{chain}/{node}"),
            Self::LocalUser { uid } => write!(f, "uid:{uid}"),
            Self::Certificate { name } => write!(f, "cert:{name}"),
            Self::Service => f.write_str("service"),
        }
    }
}

/// Longest subject name, its kind included, in bytes. SPIFFE gives an id 2048.
pub const MAX_SUBJECT_NAME: usize = 2048;

/// One subject alternative name of a client certificate: `dns:NAME`, lower case, or `uri:URI`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SubjectName(Arc<str>);

impl SubjectName {
    /// Reads `dns:NAME` or `uri:URI`. A name with a wildcard names nobody, and a path with `..` in it is not what it looks like.
    pub fn new(text: &str) -> Result<Self, Refusal> {
        let good = text.len() <= MAX_SUBJECT_NAME
            && match text.split_once(':') {
                Some(("dns", name)) => is_dns_name(name),
                Some(("uri", uri)) => is_uri(uri),
                _ => false,
            };
        if good {
            return Ok(match text.split_once(':') {
                Some(("dns", name)) => Self(format!("dns:{}", name.to_ascii_lowercase()).into()),
                _ => Self(text.into()),
            });
        }
        Err(Refusal::new(
            RefusalCode::InvalidName,
            "a subject name is dns:NAME or uri:URI, as it stands in a certificate, without wildcards",
        ))
    }

    /// `dns:NAME` or `uri:URI`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 1123, 2.1, with the underscore that services use.
fn is_dns_name(name: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    name.len() <= 253
        && name
            .split('.')
            .all(|label| (1..=63).contains(&label.len()) && label.bytes().all(letter))
}

/// RFC 3986 as far as a name needs it: a scheme, then printable ASCII.
fn is_uri(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return false;
    };
    let scheme_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(scheme_byte)
        && !rest.is_empty()
        && rest.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'*')
        && !rest.split(['/', '?', '#']).any(|part| matches!(part, "." | ".."))
}
