//! What can go wrong with a node's RPC, with stable codes.

use std::fmt;

/// The kinds of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RpcCode {
    /// The address is no URL of an RPC.
    InvalidUrl,
    /// Nobody is there, or the connection broke.
    Unreachable,
    /// The TLS handshake failed.
    Tls,
    /// It took too long.
    Timeout,
    /// An HTTP status other than 200.
    HttpStatus,
    /// More bytes than an answer has.
    TooLarge,
    /// Not the answer of a CometBFT node.
    InvalidAnswer,
    /// The node answered with an error: a height that it does not have, for example.
    NodeError,
}

impl RpcCode {
    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidUrl => "rpc_invalid_url",
            Self::Unreachable => "rpc_unreachable",
            Self::Tls => "rpc_tls",
            Self::Timeout => "rpc_timeout",
            Self::HttpStatus => "rpc_http_status",
            Self::TooLarge => "rpc_too_large",
            Self::InvalidAnswer => "rpc_invalid_answer",
            Self::NodeError => "rpc_node_error",
        }
    }
}

/// A request to a node's RPC failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct RpcError {
    /// What kind.
    pub code: RpcCode,
    /// Which node, once known.
    pub url: Option<String>,
    /// What happened, in words without control characters.
    pub message: String,
}

impl RpcError {
    pub(super) fn new(code: RpcCode, message: impl Into<String>) -> Self {
        Self {
            code,
            url: None,
            message: message.into(),
        }
    }

    /// Names the node, unless it is named.
    pub(super) fn at(mut self, url: &str) -> Self {
        self.url.get_or_insert_with(|| url.to_owned());
        self
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.url {
            Some(url) => write!(f, "{}: {url}: {}", self.code.as_str(), self.message),
            None => write!(f, "{}: {}", self.code.as_str(), self.message),
        }
    }
}

/// What a stranger wrote, fit to be printed: short, one line, no control characters.
pub(super) fn printable(text: &str, most: usize) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(most)
        .collect()
}
