//! The key of somebody who signs bearer tokens for their own requests: an Ed25519 key in a PEM file, as `openssl genpkey` writes it.
//!
//! May import: `secret`, `private_file`, `software::Ed25519Key`.
//!
//! The file is not sealed, because whoever asks has to sign every request; it is 0600, and its bytes are in the arena or nowhere.
//!
//! # Invariant
//! It signs tokens and nothing else: two words of base64url with a dot between (RFC 7515, section 5.1), which no message of a chain is.

use std::path::Path;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use sigward_policies::model::algorithm::{PublicKey, Signature};

use crate::{
    private_file::{self, Existing, FileError, Trust},
    secret::{Arena, SecretBytes, SecretError},
    software::Ed25519Key,
};

const BEGIN: &[u8; 28] = b"-----BEGIN PRIVATE KEY-----\n";
const END: &[u8; 27] = b"\n-----END PRIVATE KEY-----\n";
/// What stands before the seed: PKCS#8 version 0, id-Ed25519, an octet string in an octet string (RFC 8410, section 7).
const PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// 48 bytes of DER are 64 of base64: one line of PEM.
const DER: usize = 48;
const BODY: usize = 64;
const FILE: usize = 28 + BODY + 27;

/// Why there is no key to sign tokens with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenKeyError {
    /// The file was refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// No protected memory for it.
    #[error(transparent)]
    Memory(#[from] SecretError),
    /// Something else than an Ed25519 private key.
    #[error("{0} is not an Ed25519 private key in PEM (PKCS#8)")]
    Malformed(std::path::PathBuf),
    /// What was to be signed is no token.
    #[error("this is no token: a token key signs nothing else")]
    NoToken,
    /// The library failed.
    #[error("the token key does not sign")]
    DoesNotSign,
}

impl TokenKeyError {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(e) => e.code(),
            Self::Memory(e) => e.code(),
            Self::Malformed(_) => "invalid_token_key",
            Self::NoToken | Self::DoesNotSign => "provider_fault",
        }
    }

    /// One line of what to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::File(e) => e.remedy(),
            Self::Memory(e) => e.remedy(),
            Self::Malformed(_) => Some(
                "`sigward token keygen NAME` makes one, and so does `openssl genpkey -algorithm ed25519`"
                    .to_owned(),
            ),
            Self::NoToken | Self::DoesNotSign => None,
        }
    }
}

/// A key that signs tokens, opened.
pub struct TokenKey {
    key: Ed25519Key,
    public_key: PublicKey,
}

impl TokenKey {
    /// Draws a new key.
    ///
    /// # Errors
    /// [`TokenKeyError::Memory`].
    pub fn generate(arena: &Arena) -> Result<Self, TokenKeyError> {
        Self::from_seed(arena, &SecretBytes::random(arena)?)
    }

    /// Reads a key from a file of mode 0600 or 0400.
    ///
    /// # Errors
    /// [`TokenKeyError`].
    pub fn load(arena: &Arena, path: &Path) -> Result<Self, TokenKeyError> {
        let malformed = || TokenKeyError::Malformed(path.into());
        let file = SecretBytes::<FILE>::try_init_with(arena, |into| {
            private_file::read_exactly(path, Trust::OwnerOnly, into).map_err(|error| match error {
                // A key of another kind has another length.
                FileError::Size { .. } => malformed(),
                error => error.into(),
            })
        })?;
        let body = file
            .expose()
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.strip_suffix(END))
            .ok_or_else(malformed)?;
        let der = SecretBytes::<DER>::try_init_with(arena, |into| {
            match BASE64_STANDARD.decode_slice(body, into) {
                Ok(DER) => Ok(()),
                _ => Err(malformed()),
            }
        })?;
        let seed = der
            .expose()
            .strip_prefix(&PREFIX)
            .and_then(|seed| seed.first_chunk::<32>())
            .ok_or_else(malformed)?;
        Self::from_seed(arena, &SecretBytes::init_with(arena, |into| *into = *seed)?)
    }

    /// Writes the key to a new file of mode 0600; durable when it returns.
    ///
    /// # Errors
    /// [`TokenKeyError::File`], `file_exists` among them.
    pub fn save(&self, arena: &Arena, path: &Path) -> Result<(), TokenKeyError> {
        let der = SecretBytes::<DER>::init_with(arena, |into| {
            let parts = PREFIX.iter().chain(self.key.seed());
            into.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        })?;
        let file = SecretBytes::<FILE>::try_init_with(arena, |into| {
            let (begin, rest) = into.split_at_mut(BEGIN.len());
            let (body, end) = rest.split_at_mut(BODY);
            begin.copy_from_slice(BEGIN);
            end.copy_from_slice(END);
            match BASE64_STANDARD.encode_slice(der.expose(), body) {
                Ok(BODY) => Ok(()),
                _ => Err(TokenKeyError::DoesNotSign),
            }
        })?;
        private_file::write(path, file.expose(), Existing::Keep)?;
        Ok(())
    }

    /// The public half, 32 bytes.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Signs the two first parts of a token.
    ///
    /// # Errors
    /// [`TokenKeyError::NoToken`] for anything else; [`TokenKeyError::DoesNotSign`] when the library fails.
    pub fn sign(&self, header_and_claims: &str) -> Result<Signature, TokenKeyError> {
        let word = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        match header_and_claims.split_once('.') {
            Some((header, claims)) if word(header) && word(claims) => {}
            _ => return Err(TokenKeyError::NoToken),
        }
        self.key
            .sign(header_and_claims.as_bytes())
            .ok_or(TokenKeyError::DoesNotSign)
    }

    fn from_seed(arena: &Arena, seed: &SecretBytes<32>) -> Result<Self, TokenKeyError> {
        let key = Ed25519Key::from_seed(arena, seed)?;
        let public_key = key.public_key().map_err(|_| TokenKeyError::DoesNotSign)?;
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

    /// RFC 8410, section 10.3, and the public key of section 10.1.
    const RFC_8410: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const RFC_8410_PUBLIC: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

    fn arena() -> Arena {
        Arena::new(ArenaSize::for_keys(4), Unlocked::Allow).unwrap()
    }

    #[test]
    fn the_key_of_rfc_8410_is_read_and_ours_are_written_alike() {
        let (arena, dir) = (arena(), tempfile::tempdir().unwrap());
        let path = dir.path().join("rfc.key");
        std::fs::write(&path, RFC_8410).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let key = TokenKey::load(&arena, &path).unwrap();
        assert_eq!(hex::encode(key.public_key().as_bytes()), RFC_8410_PUBLIC);
        let again = dir.path().join("again.key");
        key.save(&arena, &again).unwrap();
        assert_eq!(std::fs::read_to_string(&again).unwrap(), RFC_8410);
        assert_eq!(key.save(&arena, &again).unwrap_err().code(), "file_exists");
        for (what, at) in [("header", 3), ("prefix", 30), ("end", 100)] {
            let mut bad = RFC_8410.as_bytes().to_vec();
            bad[at] ^= 1;
            std::fs::write(&path, bad).unwrap();
            let code = TokenKey::load(&arena, &path).err().unwrap().code();
            assert_eq!(code, "invalid_token_key", "{what}");
        }
        std::fs::write(&path, &RFC_8410[..90]).unwrap();
        assert_eq!(
            TokenKey::load(&arena, &path).err().unwrap().code(),
            "invalid_token_key"
        );
        std::fs::set_permissions(&again, PermissionsExt::from_mode(0o644)).unwrap();
        assert_eq!(
            TokenKey::load(&arena, &again).err().unwrap().code(),
            "file_permissions"
        );
    }

    #[test]
    fn it_signs_tokens_and_nothing_else() {
        let key = TokenKey::generate(&arena()).unwrap();
        let signature = key.sign("eyJ.e30").unwrap();
        Verifier::new(key.public_key())
            .unwrap()
            .verify(b"eyJ.e30", &signature)
            .unwrap();
        for other in ["", ".", "a", "a.", ".a", "a.b.c", "a.b\n", "\x08\x01.a"] {
            assert_eq!(key.sign(other).unwrap_err().code(), "provider_fault", "{other:?}");
        }
    }
}
