//! The identity that sigward shows to a node in SecretConnection: an Ed25519 key of its own, never a consensus key.
//!
//! May import: `secret`, `private_file`, `software::Ed25519Key`.
//!
//! The file is not sealed: the key signs challenges of connections and nothing of value, and a node that checks it (CometBFT
//! does not) needs it before any seal could be opened. It is still 0600, and lives in the arena.
//!
//! ```text
//! offset  bytes
//!      0      8  magic "SGWDNODE", so that no 32-byte key file is taken for it
//!      8      2  version = 1, big-endian
//!     10     32  Ed25519 seed
//!     42     32  public key; must be the seed's
//! ```

use std::path::Path;

use sigward_policies::model::algorithm::{PublicKey, Signature};

use crate::{
    private_file::{self, Existing, FileError, Trust},
    secret::{Arena, SecretBytes, SecretError},
    software::Ed25519Key,
};

const MAGIC: [u8; 10] = *b"SGWDNODE\0\x01";
const LEN: usize = 74;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file was refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// No protected memory for it.
    #[error(transparent)]
    Memory(#[from] SecretError),
    /// Another kind of file, another version, or a damaged one.
    #[error("{0} is not a node identity of this version, or is damaged")]
    Malformed(std::path::PathBuf),
    /// The library failed.
    #[error("the identity key does not sign")]
    DoesNotSign,
}

impl IdentityError {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(e) => e.code(),
            Self::Memory(e) => e.code(),
            Self::Malformed(_) => "invalid_identity_file",
            Self::DoesNotSign => "provider_fault",
        }
    }

    /// One line of what to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::File(e) => e.remedy(),
            Self::Memory(e) => e.remedy(),
            Self::Malformed(path) => Some(format!(
                "remove '{}' and start again: a new identity is made, and nodes do not mind",
                path.display()
            )),
            Self::DoesNotSign => None,
        }
    }
}

/// The node identity, opened. One per process, shared by its connections.
pub struct NodeIdentity {
    key: Ed25519Key,
    public_key: PublicKey,
}

impl NodeIdentity {
    /// Draws a new identity.
    ///
    /// # Errors
    /// [`IdentityError::Memory`].
    pub fn generate(arena: &Arena) -> Result<Self, IdentityError> {
        Self::from_seed(arena, &SecretBytes::random(arena)?)
    }

    /// Reads an identity from a file of mode 0600 or 0400.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn load(arena: &Arena, path: &Path) -> Result<Self, IdentityError> {
        let malformed = || IdentityError::Malformed(path.into());
        let file = SecretBytes::<LEN>::try_init_with(arena, |into| {
            private_file::read_exactly(path, Trust::OwnerOnly, into).map_err(IdentityError::from)
        })?;
        let rest = file.expose().strip_prefix(&MAGIC).ok_or_else(malformed)?;
        let (seed, public_key) = rest.split_first_chunk::<32>().ok_or_else(malformed)?;
        let identity = Self::from_seed(arena, &SecretBytes::init_with(arena, |into| *into = *seed)?)?;
        if identity.public_key.as_bytes() != public_key {
            return Err(malformed());
        }
        Ok(identity)
    }

    /// Writes the identity to a new file of mode 0600; durable when it returns.
    ///
    /// # Errors
    /// [`IdentityError::File`], `file_exists` among them.
    pub fn save(&self, arena: &Arena, path: &Path) -> Result<(), IdentityError> {
        let parts = MAGIC
            .iter()
            .chain(self.key.seed())
            .chain(self.public_key.as_bytes());
        let file = SecretBytes::<LEN>::init_with(arena, |into| {
            into.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        })?;
        private_file::write(path, file.expose(), Existing::Keep)?;
        Ok(())
    }

    /// The public half, 32 bytes.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Signs the challenge of a SecretConnection handshake: 32 bytes from its transcript, never a caller's message.
    ///
    /// # Errors
    /// [`IdentityError::DoesNotSign`] when the library fails.
    pub fn sign_challenge(&self, challenge: &[u8; 32]) -> Result<Signature, IdentityError> {
        self.key.sign(challenge).ok_or(IdentityError::DoesNotSign)
    }

    fn from_seed(arena: &Arena, seed: &SecretBytes<32>) -> Result<Self, IdentityError> {
        let key = Ed25519Key::from_seed(arena, seed)?;
        let public_key = key.public_key().map_err(|_| IdentityError::DoesNotSign)?;
        Ok(Self { key, public_key })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{
        secret::{ArenaSize, Unlocked},
        verify::Verifier,
    };

    #[test]
    fn an_identity_survives_its_file_and_refuses_every_other_file() {
        let arena = Arena::new(ArenaSize::for_keys(4), Unlocked::Allow).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node");
        let made = NodeIdentity::generate(&arena).unwrap();
        made.save(&arena, &path).unwrap();
        assert_eq!(made.save(&arena, &path).unwrap_err().code(), "file_exists");
        let read = NodeIdentity::load(&arena, &path).unwrap();
        assert_eq!(read.public_key(), made.public_key());
        let signature = read.sign_challenge(&[3; 32]).unwrap();
        Verifier::new(made.public_key())
            .unwrap()
            .verify(&[3; 32], &signature)
            .unwrap();

        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            let code = NodeIdentity::load(&arena, &path).err().unwrap().code();
            assert_eq!(code, "invalid_identity_file", "byte {at}");
        }
        std::fs::write(&path, &good[..32]).unwrap();
        assert_eq!(
            NodeIdentity::load(&arena, &path).err().unwrap().code(),
            "file_size"
        );
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert_eq!(
            NodeIdentity::load(&arena, &path).err().unwrap().code(),
            "file_permissions"
        );
    }
}
