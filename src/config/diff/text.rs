//! Differences as lines for people: `+` is new, `-` is gone, `~` is another value. One line each, no control characters.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::{Change, Diff, Effect, Entry, Subject};
use crate::config::error::quote;
use crate::config::{
    BearerConfig, ChainConfig, IssuerConfig, ListenConfig, LogFormat, NodeAddress, PinFrom, Pkcs11Config,
    Revoked, RpcUrl, SealSource, TokenName,
};

/// How much of a list is shown.
const SHOWN: usize = 4;

impl Effect {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Tightens => "tightens",
            Self::Loosens => "loosens",
            Self::NeedsRestart => "needs_restart",
        }
    }
}

impl Diff {
    /// How much differs, in a few words: for the audit chain.
    pub fn summary(&self) -> String {
        if self.is_empty() {
            return "nothing differs".to_owned();
        }
        let count = |wanted: fn(&Change) -> bool| {
            let of = |chains: bool| {
                self.entries
                    .iter()
                    .filter(|entry| {
                        wanted(&entry.change) && matches!(entry.subject, Subject::Chain(_)) == chains
                    })
                    .count()
            };
            (of(true), of(false))
        };
        let (new_chains, new_nodes) = count(|change| matches!(change, Change::Added(_)));
        let (old_chains, old_nodes) = count(|change| matches!(change, Change::Removed(_)));
        let (of_chains, others) = count(|change| matches!(change, Change::Set { .. }));
        format!(
            "chains +{new_chains} -{old_chains}, nodes +{new_nodes} -{old_nodes}, settings ~{}",
            of_chains + others
        )
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, entry) in self.entries.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{entry}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = &self.subject;
        match &self.change {
            Change::Added(what) => write!(f, "+ {subject}: {what}"),
            Change::Removed(what) => write!(f, "- {subject}: {what}"),
            Change::Set {
                name,
                old,
                new,
                effect,
            } => {
                match subject {
                    Subject::Setting => write!(f, "~ {name}: {old} -> {new}")?,
                    Subject::Provider(_) | Subject::Chain(_) | Subject::Node(..) => {
                        write!(f, "~ {subject}: {name} {old} -> {new}")?
                    }
                }
                match effect {
                    Effect::Live => Ok(()),
                    Effect::Tightens => f.write_str(" (tightens)"),
                    Effect::Loosens => f.write_str(" (loosens the guard: refused, needs a restart)"),
                    Effect::NeedsRestart => f.write_str(" (needs a restart)"),
                }
            }
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting => f.write_str("settings"),
            Self::Provider(provider) => write!(f, "provider {provider}"),
            Self::Chain(chain) => write!(f, "chain {chain}"),
            Self::Node(chain, node) => write!(f, "chain {chain}: node {node}"),
        }
    }
}

impl fmt::Display for SealSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyFile(file) => write!(f, "key_file {}", path(file)),
            Self::PassphraseFile(file) => write!(f, "passphrase_file {}", path(file)),
            Self::Credential(name) => write!(f, "credential {}", quote(name)),
            Self::Pkcs11(token) => write!(
                f,
                "pkcs11 {}, key {}, file {}",
                token.provider,
                quote(&token.key_label),
                path(&token.file)
            ),
        }
    }
}

impl fmt::Display for PinFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "pin_file {}", path(file)),
            Self::Credential(name) => write!(f, "pin_credential {}", quote(name)),
            Self::Descriptor(number) => write!(f, "pin_fd {number}"),
        }
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => write!(f, "label {}", quote(label)),
            Self::Serial(serial) => write!(f, "serial {}", quote(serial)),
            Self::Slot(slot) => write!(f, "slot {slot}"),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

pub(super) fn chain(chain: &ChainConfig) -> String {
    let nodes: Vec<_> = chain
        .nodes
        .iter()
        .map(|node| format!("{} at {}", node.name, address(&node.address)))
        .collect();
    let nodes = if nodes.is_empty() {
        "no node".to_owned()
    } else {
        nodes.join(", ")
    };
    format!("key {}, {nodes}", chain.key)
}

/// Everything of a token but where its PIN is.
pub(super) fn token(pkcs11: &Pkcs11Config) -> String {
    let Pkcs11Config {
        module,
        token,
        pin: _,
        sessions,
        deadline,
    } = pkcs11;
    format!(
        "{token} of {}, {sessions} sessions, {} ms",
        path(module),
        deadline.as_millis()
    )
}

pub(super) fn path(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

pub(super) fn optional_path(place: &Option<PathBuf>) -> String {
    place.as_deref().map_or_else(|| "none".to_owned(), path)
}

pub(super) fn listen(address: &Option<SocketAddr>) -> String {
    address.map_or_else(|| "off".to_owned(), |address| address.to_string())
}

/// What of `[listen]` is read at the start; what stands in the files is looked at all the time.
pub(super) fn door(listen: &Option<ListenConfig>) -> String {
    let Some(listen) = listen else {
        return "off".to_owned();
    };
    let ListenConfig {
        address,
        certificate,
        private_key,
        client_ca,
        crl,
    } = listen;
    format!(
        "{address}, certificate {}, private_key {}, client_ca {}, crl {}",
        path(certificate),
        path(private_key),
        path(client_ca),
        crl.as_deref().map_or_else(|| "none".to_owned(), path)
    )
}

/// What of `[listen.bearer]` is read at the start.
pub(super) fn bearer(bearer: &Option<BearerConfig>) -> String {
    let Some(bearer) = bearer else {
        return "off".to_owned();
    };
    let BearerConfig {
        address,
        certificate,
        private_key,
        audience,
        issuers: _,
    } = bearer;
    format!(
        "{address}, certificate {}, private_key {}, audience {}",
        path(certificate),
        path(private_key),
        quote(audience)
    )
}

pub(super) fn issuer(issuer: &Option<IssuerConfig>) -> String {
    let Some(issuer) = issuer else {
        return "none".to_owned();
    };
    let IssuerConfig {
        name,
        key_file,
        revoked,
    } = issuer;
    let word = |word: &Revoked| match word {
        Revoked::Subject(subject) => quote(&format!("sub:{subject}")),
        Revoked::Token(id) => quote(&format!("jti:{id}")),
    };
    let mut words: Vec<_> = revoked.iter().take(SHOWN).map(word).collect();
    words.extend((revoked.len() > SHOWN).then(|| "…".to_owned()));
    format!(
        "{name}, key_file {}, {} revoked [{}]",
        path(key_file),
        revoked.len(),
        words.join(", ")
    )
}

pub(super) fn rpc(url: &Option<RpcUrl>) -> String {
    url.as_ref().map_or_else(|| "none".to_owned(), RpcUrl::to_string)
}

/// A unix socket's path may hold anything.
pub(super) fn address(address: &NodeAddress) -> String {
    address
        .to_string()
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
