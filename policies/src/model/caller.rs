//! Who asks. A caller is what `authn` could prove, never what a request says of itself.

use std::fmt;

use super::bearer::TokenHolder;
use super::id::{ApiKeyName, ChainId, NodeName};
use crate::decision::{Refusal, RefusalCode};

/// Longest DNS name (RFC 1035, section 2.3.4), and longest label of one.
const MAX_DNS: usize = 253;
const MAX_LABEL: usize = 63;
/// Longest URI that names somebody: what a SPIFFE id may have (SPIFFE-ID, section 2.3).
const MAX_URI: usize = 2048;

/// Whom a client certificate names: one of its alternative names, as `dns:NAME` or `uri:URI`. Never its common name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SubjectName(Box<str>);

impl SubjectName {
    /// Somebody called by a DNS name; in small letters, because names of hosts have no others. A wildcard names nobody.
    pub fn dns(name: &str) -> Result<Self, Refusal> {
        let label = |label: &str| {
            (1..=MAX_LABEL).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        if name.len() > MAX_DNS || !name.split('.').all(label) {
            return Err(no_name("a DNS name"));
        }
        Ok(Self(format!("dns:{}", name.to_ascii_lowercase()).into()))
    }

    /// Somebody called by a URI, such as `spiffe://example.org/pod/7`; compared byte for byte.
    pub fn uri(uri: &str) -> Result<Self, Refusal> {
        let scheme = uri.split_once(':').is_some_and(|(scheme, rest)| {
            !rest.is_empty()
                && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        });
        if !scheme || uri.len() > MAX_URI || !uri.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(no_name("a URI"));
        }
        Ok(Self(format!("uri:{uri}").into()))
    }

    /// Reads what [`as_str`](Self::as_str) writes.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        match text.split_once(':') {
            Some(("dns", name)) => Self::dns(name),
            Some(("uri", uri)) => Self::uri(uri),
            _ => Err(no_name("`dns:NAME` or `uri:URI`")),
        }
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

fn no_name(wanted: &str) -> Refusal {
    Refusal::new(
        RefusalCode::InvalidName,
        format!("the name of a certificate's holder is {wanted}"),
    )
}

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
    /// Whoever holds the private key of a client certificate, by its alternative name.
    Certificate {
        /// The name.
        name: SubjectName,
    },
    /// Whoever showed a token that an issuer of the configuration signed for this very request.
    Token {
        /// By whose word, and who.
        holder: TokenHolder,
    },
    /// Whoever showed an API key that was made here. A program, and for signing only.
    ApiKey {
        /// The name of the key.
        name: ApiKeyName,
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
            Self::Token { holder } => write!(f, "jwt:{holder}"),
            Self::ApiKey { name } => write!(f, "apikey:{name}"),
            Self::Service => f.write_str("service"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_certificates_holder_has_one_plain_name() {
        for (name, kept) in [
            ("Pod-7.example", "dns:pod-7.example"),
            ("a", "dns:a"),
            ("a_b.c", "dns:a_b.c"),
        ] {
            assert_eq!(SubjectName::dns(name).unwrap().as_str(), kept);
            assert_eq!(SubjectName::parse(kept).unwrap().as_str(), kept);
        }
        for name in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "*.example",
            "a b",
            "a\n",
            "\u{e9}",
            "a:b",
            &"a".repeat(64),
        ] {
            assert!(SubjectName::dns(name).is_err(), "{name:?}");
        }
        let spiffe = SubjectName::uri("spiffe://example.org/Pod/7").unwrap();
        assert_eq!(spiffe.as_str(), "uri:spiffe://example.org/Pod/7");
        assert_eq!(SubjectName::parse(spiffe.as_str()).unwrap(), spiffe);
        let long = format!("a:{}", "b".repeat(2047));
        for uri in ["", "a", ":a", "a:", "1:a", "a: b", "a:\u{e9}", "a:\n", &long] {
            assert!(SubjectName::uri(uri).is_err(), "{uri:?}");
        }
        for text in ["", "dns", "cn:a", "email:a@b", "DNS:a"] {
            assert!(SubjectName::parse(text).is_err(), "{text:?}");
        }
        let caller = Caller::Certificate { name: spiffe };
        assert_eq!(caller.to_string(), "cert:uri:spiffe://example.org/Pod/7");
    }
}
