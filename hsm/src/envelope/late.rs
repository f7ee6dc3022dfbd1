//! A key-encryption key that may come later: it is in a token, and the token is not there yet.
//!
//! *Invariant:* until the key came, nothing is sealed and nothing opens; it comes once and is never replaced.

use std::sync::{Mutex, OnceLock, PoisonError};

use super::{
    format::Header,
    kek::{Kek, KekError},
    seal::{SealError, StoreCheck},
};
use crate::{provider::KeyEncryptionProvider, secret::SecretBytes};

/// What a store is sealed with, now or as soon as its token is there.
pub struct LateKek {
    kek: OnceLock<Kek>,
    why: Mutex<String>,
}

impl LateKek {
    /// A key that is here.
    #[must_use]
    pub fn here(kek: Kek) -> Self {
        Self {
            kek: OnceLock::from(kek),
            why: Mutex::default(),
        }
    }

    /// A key that is away, and why.
    #[must_use]
    pub const fn away(why: String) -> Self {
        Self {
            kek: OnceLock::new(),
            why: Mutex::new(why),
        }
    }

    /// The key came. One that is here already stays.
    pub fn came(&self, kek: Kek) {
        let _here_already = self.kek.set(kek);
    }

    /// It is still away, and why.
    pub fn still_away(&self, why: String) {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Why it is away; none where it is here.
    pub fn why_away(&self) -> Option<String> {
        match self.kek.get() {
            Some(_) => None,
            None => Some(self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        }
    }

    fn kek(&self) -> Result<&Kek, SealError> {
        self.kek
            .get()
            .ok_or_else(|| KekError::Away(self.why_away().unwrap_or_default()).into())
    }
}

impl KeyEncryptionProvider for LateKek {
    fn encrypt_key(&self, header: Header, secret: &SecretBytes<32>) -> Result<Vec<u8>, SealError> {
        self.kek()?.encrypt_key(header, secret)
    }

    fn decrypt_key(&self, file: &[u8], store: StoreCheck) -> Result<(Header, SecretBytes<32>), SealError> {
        self.kek()?.decrypt_key(file, store)
    }
}
