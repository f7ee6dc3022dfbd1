//! Sealing a secret under its header, and opening it again.
//!
//! May import: `format`, `kek`, `secret`, chacha20poly1305, hkdf.

use chacha20poly1305::{AeadInOut as _, KeyInit as _, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;
use sigward_policies::model::id::StoreId;

use super::{
    format::{FILE_SALT, FormatError, Header, NONCE, SECRET, Sealed, TAG},
    kek::{Kek, KekError},
};
use crate::{
    provider::KeyEncryptionProvider,
    secret::{Arena, SecretBytes, SecretError, scrubbed},
};

/// Domain separator of the file key (RFC 5869 `info`).
const FILE_KEY_INFO: &[u8] = b"sigward sealed key v1: file key";

/// Why a file could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The bytes are no sealed file.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The key-encryption key is missing or of another kind.
    #[error(transparent)]
    Kek(#[from] KekError),
    /// No protected memory for the secret.
    #[error(transparent)]
    Memory(#[from] SecretError),
    /// The seal does not open: another key-encryption key, or a changed byte. The two look the same by design.
    #[error("the sealed key of {name} does not open: another key-encryption key, or a damaged file")]
    DoesNotOpen {
        /// The name that the file claims; unproved.
        name: String,
    },
    /// The key belongs to another guard store, where its watermark is.
    #[error("the key {name} belongs to guard store {sealed}, and this is store {here}")]
    ForeignStore {
        /// The name of the key.
        name: String,
        /// The store it was sealed for.
        sealed: StoreId,
        /// The store it was to be opened with.
        here: StoreId,
    },
}

impl SealError {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Format(e) => e.code(),
            Self::Kek(e) => e.code(),
            Self::Memory(e) => e.code(),
            Self::DoesNotOpen { .. } => "sealed_key_does_not_open",
            Self::ForeignStore { .. } => "foreign_store",
        }
    }

    /// One line of what to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Format(_) => None,
            Self::Kek(e) => e.remedy(),
            Self::Memory(e) => e.remedy(),
            Self::DoesNotOpen { .. } => Some(
                "check that the configured key file or passphrase is the one the key was sealed with"
                    .to_owned(),
            ),
            Self::ForeignStore { name, .. } => Some(format!(
                "if no other sigward signs with it any more: sigward keys adopt {name} --above HEIGHT, with the highest \
                 height it has ever signed"
            )),
        }
    }
}

/// Which store a sealed key must belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreCheck {
    /// This one; any other is refused with `foreign_store`.
    Must(StoreId),
    /// Any: only for `keys adopt`, whose caller sets a watermark before the key can sign.
    Adopting,
}

/// Seals `secret` under `header` and returns the bytes of the file.
///
/// # Errors
/// [`SealError::Kek`], [`SealError::Memory`].
pub fn seal(kek: &Kek, header: Header, secret: &SecretBytes<32>) -> Result<Vec<u8>, SealError> {
    let mut sealed = Sealed {
        sealing: kek.sealing()?,
        header,
        file_salt: random()?,
        nonce: random()?,
        ciphertext: [0; SECRET],
        tag: [0; TAG],
    };
    let file_key = file_key(kek, &sealed)?;
    let associated = sealed.associated_data();
    // Encrypted inside the arena: the file's buffer never holds the secret.
    let mut tag = None;
    let encrypted = SecretBytes::<SECRET>::init_with(kek.arena(), |buffer| {
        buffer.copy_from_slice(secret.expose());
        tag = scrubbed(|| {
            let cipher = XChaCha20Poly1305::new(file_key.expose().into());
            cipher
                .encrypt_inout_detached(&XNonce::from(sealed.nonce), &associated, (&mut buffer[..]).into())
                .ok()
        });
    })?;
    let name = || sealed.header.name.to_string();
    sealed.tag = tag.ok_or_else(|| SealError::DoesNotOpen { name: name() })?.into();
    sealed.ciphertext = *encrypted.expose();
    Ok(sealed.encode())
}

/// Opens a sealed file into the arena. The header returned is authenticated; the caller still compares the public key with
/// the one that the secret makes.
///
/// # Errors
/// [`SealError`]. A foreign store is only reported for a file that is genuine.
pub fn open(kek: &Kek, bytes: &[u8], store: StoreCheck) -> Result<(Header, SecretBytes<32>), SealError> {
    let sealed = Sealed::parse(bytes)?;
    let file_key = file_key(kek, &sealed)?;
    let associated = sealed.associated_data();
    let secret = SecretBytes::<SECRET>::try_init_with(kek.arena(), |buffer| {
        buffer.copy_from_slice(&sealed.ciphertext);
        let opened = scrubbed(|| {
            let cipher = XChaCha20Poly1305::new(file_key.expose().into());
            let (nonce, tag) = (XNonce::from(sealed.nonce), sealed.tag.into());
            cipher.decrypt_inout_detached(&nonce, &associated, (&mut buffer[..]).into(), &tag)
        });
        opened.map_err(|_| SealError::DoesNotOpen {
            name: sealed.header.name.to_string(),
        })
    })?;
    match store {
        StoreCheck::Must(here) if sealed.header.store != here => Err(SealError::ForeignStore {
            name: sealed.header.name.to_string(),
            sealed: sealed.header.store,
            here,
        }),
        StoreCheck::Must(_) | StoreCheck::Adopting => Ok((sealed.header, secret)),
    }
}

impl KeyEncryptionProvider for Kek {
    fn encrypt_key(&self, header: Header, secret: &SecretBytes<32>) -> Result<Vec<u8>, SealError> {
        seal(self, header, secret)
    }

    fn decrypt_key(&self, file: &[u8], store: StoreCheck) -> Result<(Header, SecretBytes<32>), SealError> {
        open(self, file, store)
    }
}

/// The key of one file: HKDF-SHA256 of the key-encryption key with the file's own salt.
fn file_key(kek: &Kek, sealed: &Sealed) -> Result<SecretBytes<32>, SealError> {
    let key = kek.key_for(&sealed.sealing)?;
    let arena: &Arena = kek.arena();
    let salt: &[u8; FILE_SALT] = &sealed.file_salt;
    let derived = SecretBytes::try_init_with(arena, |into| {
        // Expanding 32 bytes cannot fail: the limit is 255 times the digest.
        scrubbed(|| Hkdf::<Sha256>::new(Some(salt), key.expose()).expand(FILE_KEY_INFO, into))
            .map_err(|_| SealError::Kek(KekError::Derivation(argon2::Error::OutputTooLong)))
    })?;
    Ok(derived)
}

fn random<const N: usize>() -> Result<[u8; N], SecretError> {
    const { assert!(N == NONCE || N == FILE_SALT) };
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(SecretError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
