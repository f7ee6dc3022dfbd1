//! The proof that a key signs no more here: what a provider demands before bytes of a private key leave it.

use crate::model::algorithm::PublicKey;

/// Proof that every guard row of a key is stopped, durably. Not `Clone`; used up by the key's leaving.
#[derive(Debug)]
#[must_use = "a key that was stopped in order to leave should leave"]
pub struct Stopped {
    key: PublicKey,
}

impl Stopped {
    /// For the store alone, after it has read that the key has rows and that each of them is stopped.
    pub const fn asserted_by_store(key: PublicKey) -> Self {
        Self { key }
    }

    /// The key that signs no more.
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }
}
