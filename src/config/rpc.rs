//! Where a node's JSON-RPC is: `http://host:port` or `https://host:port`, with a path where a proxy wants one.
//!
//! *Invariant:* a URL that exists has one of the two schemes, a host, and nothing that could carry a password or split a line.

use std::fmt;

use super::error::quote;

/// Longest URL, in bytes.
const MAX: usize = 512;
const EXAMPLE: &str = "write `http://HOST:PORT`, such as http://127.0.0.1:26657 (`laddr` under [rpc] of the node's config.toml)";

/// The URL of a node's JSON-RPC.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RpcUrl(String);

/// What is wrong with a URL, and what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}; {advice}")]
pub struct RpcUrlError {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub advice: &'static str,
}

impl RpcUrl {
    /// Reads a URL, as a configuration or a command line names it.
    pub fn parse(text: &str) -> Result<Self, RpcUrlError> {
        let refuse = |message: String, advice| Err(RpcUrlError { message, advice });
        let Some((scheme, rest)) = text.split_once("://") else {
            return refuse(format!("{} has no scheme", quote(text)), EXAMPLE);
        };
        if scheme != "http" && scheme != "https" {
            // CometBFT's own `laddr` says tcp:// where HTTP is spoken.
            return refuse(
                format!(
                    "{} is not spoken by an RPC: the scheme is http or https",
                    quote(scheme)
                ),
                EXAMPLE,
            );
        }
        if text.len() > MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refuse(format!("{} is no URL", quote(text)), EXAMPLE);
        }
        if rest.contains(['@', '?', '#', '\\', '"', '<', '>']) {
            return refuse(
                format!("{} has a user, a query or a fragment", quote(text)),
                "write the host, the port and, where a proxy wants one, a path; secrets do not belong there",
            );
        }
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = match authority.strip_prefix('[') {
            Some(six) => match six.split_once(']') {
                Some((host, "")) => (host, None),
                Some((host, port)) => (host, port.strip_prefix(':').or(Some(""))),
                None => ("", None),
            },
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port_is_good = port.is_none_or(|port| {
            port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        if host.is_empty() || !port_is_good {
            return refuse(format!("{} has no host, or no good port", quote(text)), EXAMPLE);
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    /// As it was written, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RpcUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_http_or_https_with_a_host_and_nothing_secret() {
        for (text, kept) in [
            ("http://127.0.0.1:26657", "http://127.0.0.1:26657"),
            ("http://127.0.0.1:26657/", "http://127.0.0.1:26657"),
            ("http://[::1]:26657", "http://[::1]:26657"),
            ("http://[::1]", "http://[::1]"),
            ("https://rpc.example.com", "https://rpc.example.com"),
            ("https://example.com/rpc/hub", "https://example.com/rpc/hub"),
        ] {
            assert_eq!(RpcUrl::parse(text).unwrap().as_str(), kept);
        }
        for text in [
            "",
            "127.0.0.1:26657",
            "tcp://127.0.0.1:26657",
            "http://",
            "http:///x",
            "http://:1",
            "http://h:",
            "http://h:0",
            "http://h:65536",
            "http://h:+1",
            "http://[::1",
            "http://[::1]x",
            "http://u:p@h:1",
            "http://h/?k=v",
            "http://h/#a",
            "http://h h",
            "http://h\r\nX: y",
            "HTTP://h",
        ] {
            assert!(RpcUrl::parse(text).is_err(), "{text:?}");
        }
        assert!(RpcUrl::parse(&format!("http://{}", "a".repeat(600))).is_err());
    }
}
