//! Sealing keys into a bundle, and getting them out again, one at a time.
//!
//! May import: `format`, `data_key`, `secret`, `software::KeyMaterial`, chacha20poly1305, hkdf.
//!
//! Each key has an encryption key of its own: HKDF-SHA256 (RFC 5869) of the data key with the bundle's salt and the key's place. So one
//! nonce serves the bundle, and a sealed key in another place does not open. The associated data of each is the SHA-256 of
//! everything in the clear.

use chacha20poly1305::{AeadInOut as _, KeyInit as _, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use sigward_policies::model::algorithm::PublicKey;

use super::{
    BackupError, DataKey,
    format::{Drawn, KeyNote, Manifest, Parsed, SEALED, parse},
};
use crate::{
    secret::{Arena, SecretBytes, SecretError, scrubbed},
    software::{KeyMaterial, SoftwareKey, self_test},
};

/// Domain separator of a key's encryption key (RFC 5869 `info`); its place in the bundle follows.
const KEY_INFO: &[u8] = b"sigward backup bundle v1: key ";

/// Seals the keys that `manifest` lists; `material` yields each private key when it is its turn.
///
/// # Errors
/// [`BackupError::Malformed`] for a manifest that no bundle may have; [`BackupError::WrongKey`]; whatever `material` returns.
pub fn seal(
    arena: &Arena,
    data_key: &DataKey,
    manifest: &Manifest,
    mut material: impl FnMut(&PublicKey) -> Result<KeyMaterial, BackupError>,
) -> Result<Vec<u8>, BackupError> {
    manifest.check()?;
    let mut drawn = Drawn {
        salt: [0; _],
        nonce: [0; _],
    };
    getrandom::fill(&mut drawn.salt).map_err(SecretError::Random)?;
    getrandom::fill(&mut drawn.nonce).map_err(SecretError::Random)?;
    let mut out = manifest.encode(&drawn);
    let associated: [u8; 32] = Sha256::digest(&out).into();
    for (place, note) in manifest.keys.iter().enumerate() {
        let material = material(&note.public_key)?;
        if *material.public_key() != note.public_key {
            return Err(BackupError::WrongKey(note.name.to_string()));
        }
        let key = place_key(arena, data_key, &drawn, place)?;
        // Encrypted inside the arena: the bundle's buffer never holds the secret.
        let mut tag = None;
        let encrypted = SecretBytes::<32>::init_with(arena, |buffer| {
            buffer.copy_from_slice(material.secret().expose());
            tag = scrubbed(|| {
                let cipher = XChaCha20Poly1305::new(key.expose().into());
                cipher
                    .encrypt_inout_detached(&XNonce::from(drawn.nonce), &associated, (&mut buffer[..]).into())
                    .ok()
            });
        })?;
        let tag: [u8; 16] = tag.ok_or(BackupError::DoesNotOpen)?.into();
        out.extend_from_slice(encrypted.expose());
        out.extend_from_slice(&tag);
    }
    Ok(out)
}

/// A parsed bundle. What it says is unproved until a key came out of it.
#[derive(Debug)]
pub struct Bundle {
    parsed: Parsed,
    associated: [u8; 32],
}

/// A private key out of a bundle, on its way into a provider.
pub struct RecoveredKey {
    pub(crate) note: KeyNote,
    pub(crate) material: KeyMaterial,
}

impl RecoveredKey {
    /// What the bundle says of it; authenticated.
    #[must_use]
    pub const fn note(&self) -> &KeyNote {
        &self.note
    }
}

impl Bundle {
    /// Reads untrusted bytes.
    ///
    /// # Errors
    /// `invalid_bundle`.
    pub fn parse(bytes: &[u8]) -> Result<Self, BackupError> {
        let parsed = parse(bytes)?;
        let head = bytes.get(..parsed.head_len).unwrap_or_default();
        Ok(Self {
            associated: Sha256::digest(head).into(),
            parsed,
        })
    }

    /// What it says of itself, unproved.
    #[must_use]
    pub const fn unchecked_manifest(&self) -> &Manifest {
        &self.parsed.manifest
    }

    /// Opens every key, one after the other, and tries it: what it says is proved then.
    ///
    /// # Errors
    /// As [`Self::recover`].
    pub fn verify(&self, arena: &Arena, data_key: &DataKey) -> Result<&Manifest, BackupError> {
        for note in &self.parsed.manifest.keys {
            let key = self.recover(arena, data_key, &note.public_key)?;
            let opened = SoftwareKey::open(arena, note.public_key.algorithm(), key.material.secret())?;
            self_test(&opened).map_err(|_| BackupError::WrongKey(note.name.to_string()))?;
        }
        Ok(&self.parsed.manifest)
    }

    /// Opens one key and compares it with its public half.
    ///
    /// # Errors
    /// `bundle_does_not_open`.
    pub fn recover(
        &self,
        arena: &Arena,
        data_key: &DataKey,
        public_key: &PublicKey,
    ) -> Result<RecoveredKey, BackupError> {
        let listed = self
            .parsed
            .manifest
            .keys
            .iter()
            .zip(&self.parsed.sealed)
            .enumerate();
        let (place, (note, sealed)) = listed
            .into_iter()
            .find(|(_, (note, _))| note.public_key == *public_key)
            .ok_or(BackupError::Malformed("no such key in it"))?;
        let key = place_key(arena, data_key, &self.parsed.drawn, place)?;
        let (secret, tag): (&[u8; 32], [u8; SEALED - 32]) = sealed
            .split_first_chunk::<32>()
            .and_then(|(secret, tag)| Some((secret, tag.try_into().ok()?)))
            .ok_or(BackupError::DoesNotOpen)?;
        let secret = SecretBytes::<32>::try_init_with(arena, |buffer| {
            buffer.copy_from_slice(secret);
            scrubbed(|| {
                let cipher = XChaCha20Poly1305::new(key.expose().into());
                let nonce = XNonce::from(self.parsed.drawn.nonce);
                cipher.decrypt_inout_detached(&nonce, &self.associated, (&mut buffer[..]).into(), &tag.into())
            })
            .map_err(|_| BackupError::DoesNotOpen)
        })?;
        let material = KeyMaterial::from_secret(arena, public_key.algorithm(), secret)?;
        if material.public_key() != public_key {
            return Err(BackupError::WrongKey(note.name.to_string()));
        }
        Ok(RecoveredKey {
            note: note.clone(),
            material,
        })
    }
}

/// Checks that a bundle opens with `data_key`, and that every private key in it is that of its public key and signs.
///
/// # Errors
/// `invalid_bundle`, `bundle_does_not_open`.
pub fn verify_backup(arena: &Arena, bytes: &[u8], data_key: &DataKey) -> Result<Manifest, BackupError> {
    Bundle::parse(bytes)?.verify(arena, data_key).cloned()
}

fn place_key(
    arena: &Arena,
    data_key: &DataKey,
    drawn: &Drawn,
    place: usize,
) -> Result<SecretBytes<32>, BackupError> {
    let place = u32::try_from(place).map_err(|_| BackupError::Malformed("too many keys"))?;
    let info = [KEY_INFO, &place.to_be_bytes()].concat();
    SecretBytes::try_init_with(arena, |into| {
        // Expanding 32 bytes cannot fail: the limit is 255 times the digest.
        scrubbed(|| Hkdf::<Sha256>::new(Some(&drawn.salt), data_key.secret().expose()).expand(&info, into))
            .map_err(|_| BackupError::DoesNotOpen)
    })
}
