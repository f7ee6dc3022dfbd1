//! What can go wrong on a secret connection. Every one of these ends it.

use std::io;

/// What a peer did against the protocol, or what we could not do for it. No variant holds a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The first 35 bytes are not an ephemeral public key; most often the peer speaks another protocol.
    #[error(
        "the peer's first message is not a SecretConnection hello: is this the node's priv_validator_laddr?"
    )]
    HelloMalformed,
    /// The peer's ephemeral key is one of the points that make the shared secret known to everybody.
    #[error("the peer's ephemeral key is a low-order point")]
    LowOrderPoint,
    /// The peer sent our own ephemeral key back.
    #[error("the peer sent our own ephemeral key back")]
    ReflectedKey,
    /// The Diffie-Hellman result is all zero.
    #[error("no shared secret comes of the peer's ephemeral key")]
    NotContributory,
    /// The authentication message is not the 103 bytes that it must be.
    #[error("the peer's authentication message is malformed")]
    AuthMalformed,
    /// The peer authenticates with a key that is not Ed25519.
    #[error("the peer authenticates with a key that is not ed25519")]
    AuthKeyType,
    /// The peer's signature over the challenge does not verify: somebody is in between.
    #[error("the peer's signature over the handshake does not verify")]
    AuthSignature,
    /// A frame's tag does not fit: it was altered, repeated, reordered or cut.
    #[error("a frame does not decrypt")]
    FrameTag,
    /// A frame says that it holds more than 1024 bytes.
    #[error("a frame claims to hold {claimed} bytes, which is more than 1024")]
    ChunkTooLong {
        /// What it says.
        claimed: u32,
    },
    /// 2^64 frames went one way; the nonce must not repeat.
    #[error("the nonces of this connection are used up")]
    NonceExhausted,
    /// The connection has failed before; nothing more is read from it.
    #[error("this connection has failed already")]
    Failed,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
    /// A key could not be derived or a frame not be sealed; lengths are constant, so this is a defect.
    #[error("a cryptographic step failed that cannot fail")]
    Internal,
}

/// Why a secret connection ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The socket failed.
    #[error("the socket failed: {0}")]
    Io(io::Error),
    /// The peer closed the connection in the middle of the handshake or of a frame.
    #[error("the peer closed the connection in the middle of {during}")]
    Truncated {
        /// "the handshake" or "a frame".
        during: &'static str,
    },
    /// The protocol was broken.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

impl From<io::Error> for ConnectionError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
