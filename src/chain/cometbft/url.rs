//! Where a node's RPC is: `http://`, `https://` or `tcp://`, a host, a port, perhaps a path. Nothing else of a URL has a meaning
//! here, so nothing else is taken.

use super::error::{RpcCode, RpcError};

/// The longest address that is read.
const MAX: usize = 2_000;
/// CometBFT's RPC port.
const DEFAULT_PORT: u16 = 26_657;

/// A parsed address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Url {
    text: String,
    pub(super) tls: bool,
    /// A name or an address; IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// What stands before `/status`: empty, or `/…` without a slash at its end.
    pub(super) path: String,
}

impl Url {
    pub(super) fn parse(text: &str) -> Result<Self, RpcError> {
        let bad = |why: &str| {
            RpcError::new(
                RpcCode::InvalidUrl,
                format!(
                    "{text:?} {why}; give http://host:{DEFAULT_PORT}, or https://host",
                    text = text.chars().take(100).collect::<String>()
                ),
            )
        };
        if text.len() > MAX || text.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(bad("is too long, or has characters that no address has"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("has no scheme"))?;
        let (tls, scheme_port) = match scheme.to_ascii_lowercase().as_str() {
            "https" => (true, 443),
            "http" => (false, 80),
            "tcp" => (false, DEFAULT_PORT),
            _ => return Err(bad("is neither http:// nor https://")),
        };
        if rest.contains(['?', '#', '@', '\\', '%']) {
            return Err(bad(
                "has a user, a query or an escape, which an RPC address has not",
            ));
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = if let Some(inner) = authority.strip_prefix('[') {
            let (host, port) = inner.split_once(']').ok_or_else(|| bad("has no closing ]"))?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(bad("has no IPv6 address between its brackets"));
            }
            (host, port.strip_prefix(':').or(port.is_empty().then_some("")))
        } else {
            match authority.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, Some("")),
            }
        };
        let port = match port {
            Some("") => scheme_port,
            Some(port) => port
                .parse::<u16>()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| bad("has no valid port"))?,
            None => return Err(bad("has something behind its address")),
        };
        let fits = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_' | b':');
        if host.is_empty() || !host.bytes().all(fits) {
            return Err(bad("has no valid host"));
        }
        Ok(Self {
            text: text.trim_end_matches('/').to_owned(),
            tls,
            host: host.to_owned(),
            port,
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// `Host:` as RFC 9112, 3.2 wants it.
    pub(super) fn host_header(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}
