//! PINs that a token refused, remembered across restarts: a service that is started over and over must not lock its token.
//!
//! One file a token: salt and Argon2id digest (RFC 9106) of the last PIN that was refused, bound to the serial. Another PIN is tried;
//! the same one is not, until `sigward hsm login --once` or a successful login.

use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq as _;

use super::{
    error::{Kind, TokenError},
    pin::Pin,
};
use crate::{
    envelope::{ArgonParams, SALT},
    private_file::{self, Existing},
};

const DIGEST: usize = 32;

/// The folder with one file a token.
#[derive(Debug, Clone)]
pub(super) struct RefusedPins {
    folder: PathBuf,
}

impl RefusedPins {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Refuses a PIN that the token has refused. A record that cannot be read refuses every PIN: unknown is no.
    pub(super) fn check(&self, serial: &str, pin: &Pin) -> Result<(), TokenError> {
        let path = self.path_of(serial);
        if !path.exists() {
            return Ok(());
        }
        let again = |what: String| {
            TokenError::new(
                Kind::WrongPin,
                what,
                "put the right PIN where the configuration says; to try this one all the same: `sigward hsm login --once`",
            )
        };
        let record = private_file::read_sealed(&path, SALT + DIGEST)
            .map_err(|error| again(format!("cannot read which PIN was refused last: {error}")))?;
        let (Some(salt), Some(digest)) = (record.first_chunk::<SALT>(), record.get(SALT..)) else {
            return Err(again(format!("{} is damaged", path.display())));
        };
        let found = digest_of(serial, pin, salt)?;
        if bool::from(found.as_slice().ct_eq(digest)) || digest.len() != DIGEST {
            return Err(again(format!(
                "the token {serial:?} refused this PIN before; it is not tried again"
            )));
        }
        Ok(())
    }

    /// Remembers a refused PIN. A failure to write is told to the log by the caller's error: the PIN was wrong either way.
    pub(super) fn remember(&self, serial: &str, pin: &Pin) {
        let mut salt = [0; SALT];
        if getrandom::fill(&mut salt).is_err() {
            return;
        }
        let Ok(digest) = digest_of(serial, pin, &salt) else {
            return;
        };
        let record: Vec<u8> = salt.into_iter().chain(digest).collect();
        let _best_effort = private_file::write(&self.path_of(serial), &record, Existing::Replace);
    }

    /// Forgets, after a login that succeeded.
    pub(super) fn forget(&self, serial: &str) {
        let path = self.path_of(serial);
        if path.exists() {
            let _best_effort = private_file::remove(&path);
        }
    }

    fn path_of(&self, serial: &str) -> PathBuf {
        self.folder.join(format!("refused-pin-{}", hex::encode(serial)))
    }
}

fn digest_of(serial: &str, pin: &Pin, salt: &[u8; SALT]) -> Result<[u8; DIGEST], TokenError> {
    let mut text = zeroize::Zeroizing::new(Vec::with_capacity(512));
    text.extend_from_slice(pin.expose());
    text.push(0);
    text.extend_from_slice(serial.as_bytes());
    let mut digest = [0; DIGEST];
    ArgonParams::RECOMMENDED
        .derive(&text, salt, &mut digest)
        .map_err(|error| TokenError::new(Kind::Failed, error.to_string(), "free some memory"))?;
    Ok(digest)
}
