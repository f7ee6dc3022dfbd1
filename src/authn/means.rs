//! By what a caller proved who it is, and until when that is good: for telling it so. Nothing is decided by it.

use sigward_policies::model::id::UnixSeconds;

/// What was shown, where it was no connection of this machine's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Means {
    /// A client certificate.
    Certificate {
        /// SHA-256 of it.
        fingerprint: [u8; 32],
        /// The last second in which it is good.
        ends: UnixSeconds,
    },
    /// A token of one request.
    Token {
        /// When it expires.
        ends: UnixSeconds,
    },
    /// An API key.
    ApiKey {
        /// From when on it counts no more.
        ends: UnixSeconds,
    },
}
