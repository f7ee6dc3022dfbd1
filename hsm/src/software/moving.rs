//! Key files of other signers, on their way in: CometBFT's, and base64 (tmkms softsign, cosmos/kms).
//!
//! May import: `filepv`, `material`, `private_file`, `secret`, base64.
//!
//! # Invariants
//! * A file that others than its owner can read is refused; its owner may be the other signer's user.
//! * What is read is in the arena from the first byte to the last.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sigward_policies::model::algorithm::Algorithm;

use super::{
    filepv::{self, FilePvError, MAX_FILE},
    material::KeyMaterial,
};
use crate::{
    private_file::{self, Trust},
    secret::{Arena, SecretBytes},
};

/// Reads CometBFT's `priv_validator_key.json`, whoever owns it.
///
/// # Errors
/// [`FilePvError`].
pub fn read_filepv(arena: &Arena, path: &Path) -> Result<KeyMaterial, FilePvError> {
    with_file(arena, path, |bytes| filepv::parse(arena, bytes))
}

/// Reads a file with an Ed25519 key in base64, whoever owns it.
///
/// # Errors
/// [`FilePvError`].
pub fn read_base64(arena: &Arena, path: &Path) -> Result<KeyMaterial, FilePvError> {
    with_file(arena, path, |bytes| parse_base64(arena, bytes))
}

fn with_file(
    arena: &Arena,
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Result<KeyMaterial, FilePvError>,
) -> Result<KeyMaterial, FilePvError> {
    let mut len = 0;
    let file = SecretBytes::<MAX_FILE>::try_init_with(arena, |into| {
        len = private_file::read_up_to(path, Trust::Stranger, into)?;
        Ok::<_, FilePvError>(())
    })?;
    parse(file.expose().get(..len).unwrap_or_default())
}

/// Parses base64, with white space around it, of an Ed25519 seed (32 bytes) or of seed and public key (64 bytes). An expanded key,
/// which is a hash and has no seed (tmkms, from a YubiHSM), is 64 or 96 bytes too, and is refused: its second half is no public key.
///
/// # Errors
/// [`FilePvError`].
pub fn parse_base64(arena: &Arena, text: &[u8]) -> Result<KeyMaterial, FilePvError> {
    let text = text.trim_ascii();
    let mut len = 0;
    let raw = SecretBytes::<96>::try_init_with(arena, |into| match STANDARD.decode_slice(text, into) {
        Ok(decoded @ (32 | 64)) => {
            len = decoded;
            Ok(())
        }
        _ => Err(FilePvError::Malformed("private key (base64 of 32 or 64 bytes)")),
    })?;
    let (seed, own_public) = raw
        .expose()
        .split_first_chunk::<32>()
        .ok_or(FilePvError::Malformed("private key"))?;
    let seed = SecretBytes::<32>::init_with(arena, |into| *into = *seed)?;
    let material = KeyMaterial::from_secret(arena, Algorithm::Ed25519, seed)?;
    if len == 64 && !own_public.starts_with(material.public_key().as_bytes()) {
        return Err(FilePvError::Mismatch(
            "second half of the private key (an expanded key has no seed and cannot move)",
        ));
    }
    Ok(material)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::secret::{ArenaSize, Unlocked};

    /// RFC 8032, 7.1, TEST 1.
    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    fn parse(bytes: &[u8]) -> Result<String, String> {
        let arena = Arena::new(ArenaSize::for_keys(4), Unlocked::Allow).unwrap();
        parse_base64(&arena, bytes)
            .map(|material| hex::encode(material.public_key().as_bytes()))
            .map_err(|error| error.code().to_owned())
    }

    fn base64(hexadecimal: &str) -> String {
        STANDARD.encode(hex::decode(hexadecimal).unwrap())
    }

    #[test]
    fn a_seed_alone_or_with_its_public_key_is_read() {
        assert_eq!(parse(base64(SEED).as_bytes()).unwrap(), PUBLIC);
        assert_eq!(parse(format!(" {}\n", base64(SEED)).as_bytes()).unwrap(), PUBLIC);
        assert_eq!(
            parse(base64(&format!("{SEED}{PUBLIC}")).as_bytes()).unwrap(),
            PUBLIC
        );
    }

    #[test]
    fn what_is_no_seed_is_refused() {
        for text in [
            String::new(),
            "?".to_owned(),
            base64("00"),
            base64(&format!("{SEED}{SEED}")),
            base64(&SEED.repeat(3)),
            "A".repeat(MAX_FILE),
        ] {
            assert_eq!(
                parse(text.as_bytes()).unwrap_err(),
                "invalid_key_file",
                "{text:?}"
            );
        }
    }
}
