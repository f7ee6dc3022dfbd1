//! API keys: who asks, by a secret that was made here and shown once, for programs that can neither have a certificate nor sign tokens.
//! May import `store` (which keys count) and `policies`.
//!
//! `key` is the secret and how it is written, `known` which of them count. `listener` calls [`ApiKeys::who`] for each request.
//!
//! # Invariants
//! * A secret is 256 random bits. It is kept nowhere here: what is known of it is a digest, from which nobody comes back.
//! * Whether a key is unknown, has ended or is revoked, no answer tells, nor its time: each is compared with every key that counts.
//! * What counts is what the store has: a key that was revoked is refused from the next request on, whoever is connected.

mod key;
mod known;

pub use key::{ApiKey, LENGTH, PREFIX};
pub use known::ApiKeys;

/// Whether what was shown means to be an API key, and no token: no token begins so.
pub fn is_one(shown: &str) -> bool {
    shown.starts_with(PREFIX)
}
