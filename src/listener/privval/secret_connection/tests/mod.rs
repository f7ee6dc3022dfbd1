//! The secret connection against vectors, against another implementation, and against bad peers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod bad_peers;
mod oracle;
mod vectors;

use ed25519_dalek::{Signer as _, SigningKey};

use super::Identity;

/// An identity in plain memory.
pub(super) struct TestIdentity(SigningKey);

impl TestIdentity {
    pub(super) fn new(secret: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&secret))
    }
}

impl Identity for TestIdentity {
    fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    fn sign_challenge(&self, challenge: &[u8; 32]) -> [u8; 64] {
        self.0.sign(challenge).to_bytes()
    }
}
