//! CometBFT's `priv_validator_key.json` (`privval/file.go`, `FilePVKey`; JSON of `libs/json`): read strictly, and written.
//!
//! May import: `material`, `private_file`, `secret`, `verify`, serde_json, base64.
//!
//! # Invariants
//! * The file's public half and address are never used, only compared with those that the secret makes (RUSTSEC-2022-0093).
//! * The file's bytes, and what is decoded from them, are in the arena from the first read to the last.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use sigward_policies::model::algorithm::{Algorithm, PublicKey};

use super::{key::OpenKeyError, material::KeyMaterial};
use crate::{
    private_file::{self, Existing, FileError, Trust},
    secret::{Arena, SecretBytes, SecretError},
    verify::address,
};

/// Longest file that is read, in bytes. CometBFT writes about 350.
pub const MAX_FILE: usize = 4096;

/// Why a key file was not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilePvError {
    /// The file was refused: missing, readable by others, too long.
    #[error(transparent)]
    File(#[from] FileError),
    /// No protected memory for it.
    #[error(transparent)]
    Memory(#[from] SecretError),
    /// Not the JSON that CometBFT writes; the position says where, never what.
    #[error("not a CometBFT key file (line {line}, column {column})")]
    Json {
        /// Line, from 1; 0 when unknown.
        line: usize,
        /// Column, from 1; 0 when unknown.
        column: usize,
    },
    /// A type of key that sigward does not have, or that nobody knows.
    #[error("unsupported key type; supported: tendermint/PrivKeyEd25519, tendermint/PrivKeySecp256k1")]
    UnsupportedType,
    /// A value that is not base64 of the right size, or no private key.
    #[error("the {0} is malformed")]
    Malformed(&'static str),
    /// Two parts of the file that do not belong together.
    #[error("the {0} is not that of the private key")]
    Mismatch(&'static str),
}

impl FilePvError {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(e) => e.code(),
            Self::Memory(e) => e.code(),
            Self::Json { .. } | Self::Malformed(_) | Self::Mismatch(_) => "invalid_key_file",
            Self::UnsupportedType => "unsupported_algorithm",
        }
    }

    /// One line of what to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::File(e) => e.remedy(),
            Self::Memory(e) => e.remedy(),
            Self::Json { .. } | Self::Malformed(_) | Self::Mismatch(_) => {
                Some("give the priv_validator_key.json of a CometBFT node, as it wrote it".to_owned())
            }
            Self::UnsupportedType => None,
        }
    }
}

impl From<OpenKeyError> for FilePvError {
    fn from(error: OpenKeyError) -> Self {
        match error {
            OpenKeyError::Invalid(_) => Self::Malformed("private key"),
            OpenKeyError::Memory(e) => Self::Memory(e),
        }
    }
}

/// Borrowed from the arena: a string with escapes, which would be copied out of it, does not parse.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'a> {
    address: &'a str,
    #[serde(borrow)]
    pub_key: Tagged<'a>,
    #[serde(borrow)]
    priv_key: Tagged<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tagged<'a> {
    r#type: &'a str,
    value: &'a str,
}

/// Reads a key file of mode 0600 or 0400.
///
/// # Errors
/// [`FilePvError`].
pub fn read(arena: &Arena, path: &Path) -> Result<KeyMaterial, FilePvError> {
    let mut len = 0;
    let file = SecretBytes::<MAX_FILE>::try_init_with(arena, |into| {
        len = private_file::read_up_to(path, Trust::OwnerOnly, into)?;
        Ok::<_, FilePvError>(())
    })?;
    parse(arena, file.expose().get(..len).unwrap_or_default())
}

/// Parses untrusted bytes. The secret in them goes to the arena; what the caller's buffer holds is the caller's to overwrite.
///
/// # Errors
/// [`FilePvError`].
pub fn parse(arena: &Arena, json: &[u8]) -> Result<KeyMaterial, FilePvError> {
    if json.len() > MAX_FILE {
        return Err(FilePvError::Malformed("file (too long)"));
    }
    // The error's text could quote the file; only its place is kept.
    let file: File<'_> = serde_json::from_slice(json).map_err(|e| FilePvError::Json {
        line: e.line(),
        column: e.column(),
    })?;
    let (algorithm, secret) = match (file.priv_key.r#type, file.pub_key.r#type) {
        ("tendermint/PrivKeyEd25519", "tendermint/PubKeyEd25519") => {
            (Algorithm::Ed25519, decode::<64>(arena, file.priv_key.value)?)
        }
        ("tendermint/PrivKeySecp256k1", "tendermint/PubKeySecp256k1") => {
            (Algorithm::Secp256k1, decode::<32>(arena, file.priv_key.value)?)
        }
        _ => return Err(FilePvError::UnsupportedType),
    };
    let (seed, own_public) = secret
        .expose()
        .split_first_chunk::<32>()
        .ok_or(FilePvError::Malformed("private key"))?;
    let seed = SecretBytes::<32>::init_with(arena, |into| *into = *seed)?;
    let material = KeyMaterial::from_secret(arena, algorithm, seed)?;
    let public_key = material.public_key();
    // Go's Ed25519 private key is seed ‖ public key; the buffer is 96 bytes, and zero where nothing was decoded.
    if algorithm == Algorithm::Ed25519 && !own_public.starts_with(public_key.as_bytes()) {
        return Err(FilePvError::Mismatch("second half of the private key"));
    }
    if STANDARD.encode(public_key.as_bytes()) != file.pub_key.value {
        return Err(FilePvError::Mismatch("public key"));
    }
    if address(public_key).to_string() != file.address {
        return Err(FilePvError::Mismatch("address"));
    }
    Ok(material)
}

/// Writes a new key file of mode 0600, as CometBFT does, of a key that no provider has. For demonstrations and tests: a key in
/// a provider has no way to here.
///
/// # Errors
/// [`FilePvError::File`], `file_exists` among them; [`FilePvError::Memory`].
pub fn dangerous_write(arena: &Arena, path: &Path, material: &KeyMaterial) -> Result<(), FilePvError> {
    let text = FileText::of(arena, material)?;
    private_file::write(path, text.dangerous_bytes(), Existing::Keep)?;
    Ok(())
}

/// The text of a key file, in the arena.
pub struct FileText {
    text: SecretBytes<MAX_FILE>,
    len: usize,
}

impl FileText {
    /// As CometBFT writes it.
    pub(crate) fn of(arena: &Arena, material: &KeyMaterial) -> Result<Self, FilePvError> {
        let (text, len) = render(arena, material)?;
        Ok(Self { text, len })
    }

    /// The private key in the clear. For the one reply that carries it, and the one file.
    #[must_use]
    pub fn dangerous_bytes(&self) -> &[u8] {
        self.text.expose().get(..self.len).unwrap_or_default()
    }
}

/// Writes a new file of mode 0600 that is on disk when this returns.
///
/// # Errors
/// [`FilePvError::File`], `file_exists` among them.
pub fn write_text(path: &Path, text: &[u8]) -> Result<(), FilePvError> {
    Ok(private_file::write(path, text, Existing::Keep)?)
}

fn render(arena: &Arena, material: &KeyMaterial) -> Result<(SecretBytes<MAX_FILE>, usize), FilePvError> {
    let public_key = material.public_key();
    let (kind, tail) = match public_key.algorithm() {
        Algorithm::Ed25519 => ("Ed25519", public_key.as_bytes()),
        Algorithm::Secp256k1 => ("Secp256k1", &[][..]),
    };
    let raw = SecretBytes::<96>::init_with(arena, |into| {
        let parts = material.secret().expose().iter().chain(tail);
        into.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    })?;
    let raw = raw.expose().get(..32 + tail.len()).unwrap_or_default();
    let head = format!(
        "{{\n  \"address\": \"{}\",\n  \"pub_key\": {{\n    \"type\": \"tendermint/PubKey{kind}\",\n    \"value\": \"{}\"\n  }},\n  \
         \"priv_key\": {{\n    \"type\": \"tendermint/PrivKey{kind}\",\n    \"value\": \"",
        address(public_key),
        STANDARD.encode(public_key.as_bytes()),
    );
    let mut len = 0;
    let text = SecretBytes::<MAX_FILE>::try_init_with(arena, |into| {
        let too_long = || FilePvError::Malformed("file (too long)");
        len = put(into, 0, head.as_bytes()).ok_or_else(too_long)?;
        let room = into.get_mut(len..).ok_or_else(too_long)?;
        len += STANDARD.encode_slice(raw, room).map_err(|_| too_long())?;
        len = put(into, len, b"\"\n  }\n}").ok_or_else(too_long)?;
        Ok::<_, FilePvError>(())
    })?;
    Ok((text, len))
}

/// The public key as CometBFT's JSON has it: `{"type":"tendermint/PubKeyEd25519","value":"…"}`.
#[must_use]
pub fn public_key_json(public_key: &PublicKey) -> String {
    let kind = match public_key.algorithm() {
        Algorithm::Ed25519 => "Ed25519",
        Algorithm::Secp256k1 => "Secp256k1",
    };
    format!(
        "{{\"type\":\"tendermint/PubKey{kind}\",\"value\":\"{}\"}}",
        STANDARD.encode(public_key.as_bytes())
    )
}

/// Decodes exactly N bytes of canonical base64 (RFC 4648 section 4, padded) into the arena.
fn decode<const N: usize>(arena: &Arena, text: &str) -> Result<SecretBytes<96>, FilePvError> {
    let bad = FilePvError::Malformed("private key");
    if text.len() != N.div_ceil(3) * 4 {
        return Err(bad);
    }
    SecretBytes::try_init_with(arena, |into| match STANDARD.decode_slice(text, into) {
        Ok(len) if len == N => Ok(()),
        Ok(_) | Err(_) => Err(bad),
    })
}

fn put(into: &mut [u8], at: usize, bytes: &[u8]) -> Option<usize> {
    let end = at.checked_add(bytes.len())?;
    into.get_mut(at..end)?.copy_from_slice(bytes);
    Some(end)
}

#[cfg(test)]
mod tests;
