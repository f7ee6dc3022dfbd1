//! PINs that a token refused, remembered across restarts: a service that is started over and over must not lock its token.
//!
//! One file a token: what came of the last PIN that was tried, and salt and Argon2id digest (RFC 9106) of it, bound to the serial.
//! Another PIN is tried; a refused one is not, until `sigward hsm login --once` or a successful login. A try is written down before
//! it is made: one whose end nobody saw counts, and a PIN gets no more than [`UNSEEN`] of them.
//!
//! The file is one byte, salt, digest: 0xff for a refused PIN, or else how many tries of it had no clear end.

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
const REFUSED: u8 = 0xff;
/// Most tries of a PIN to which the token gave no clear answer: cards that lock take three.
const UNSEEN: u8 = 2;

/// The folder with one file a token.
#[derive(Debug, Clone)]
pub(super) struct RefusedPins {
    folder: PathBuf,
}

/// A PIN that is about to be tried, without the PIN.
#[derive(Clone)]
pub(super) struct Trial {
    salt: [u8; SALT],
    digest: [u8; DIGEST],
}

/// A record as it was before a try.
pub(super) struct Before(Option<Vec<u8>>);

impl RefusedPins {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// The digest of a PIN, with the salt of the record where there is one: so the two can be compared. Takes its time.
    pub(super) fn trial(&self, serial: &str, pin: &Pin) -> Result<Trial, TokenError> {
        let kept = self.read(serial).ok().flatten();
        let salt = match kept.as_deref().and_then(parse) {
            Some((_, salt, _)) => salt,
            None => {
                let mut salt = [0; SALT];
                getrandom::fill(&mut salt).map_err(|error| cannot_write(error.to_string()))?;
                salt
            }
        };
        let digest = digest_of(serial, pin, &salt)?;
        Ok(Trial { salt, digest })
    }

    /// Whether there is a record of this token, readable or not.
    pub(super) fn knows(&self, serial: &str) -> bool {
        self.path_of(serial).exists()
    }

    /// Whether a digest from before can be compared with the record as it is now: another process may have written it.
    pub(super) fn compares(&self, serial: &str, trial: &Trial) -> bool {
        match self.read(serial) {
            Ok(None) => true,
            Ok(Some(record)) => parse(&record).is_some_and(|(_, salt, _)| salt == trial.salt),
            Err(_) => false,
        }
    }

    /// Refuses a PIN that the token has refused. A record that cannot be read refuses every PIN: unknown is no.
    pub(super) fn check(&self, serial: &str, trial: &Trial) -> Result<(), TokenError> {
        let again = |kind, what: String| {
            TokenError::new(
                kind,
                what,
                "put the right PIN where the configuration says; to try this one all the same: `sigward hsm login --once`",
            )
        };
        let record = self.read(serial).map_err(|why| again(Kind::WrongPin, why))?;
        let Some(record) = record else { return Ok(()) };
        let Some((state, salt, digest)) = parse(&record) else {
            let what = format!("{} is damaged", self.path_of(serial).display());
            return Err(again(Kind::WrongPin, what));
        };
        // Another salt is another PIN: a trial takes that of the record.
        if salt != trial.salt || !bool::from(digest.ct_eq(&trial.digest)) {
            return Ok(());
        }
        match state {
            REFUSED => Err(again(
                Kind::WrongPin,
                format!("the token {serial:?} refused this PIN before; it is not tried again"),
            )),
            tries if tries >= UNSEEN => Err(again(
                Kind::PinUnusable,
                format!(
                    "this PIN was tried {tries} times on the token {serial:?}, and C_Login gave no clear answer: it is not tried again"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Writes down that a PIN is about to be tried.
    pub(super) fn begin(&self, serial: &str, trial: &Trial) -> Result<Before, TokenError> {
        let before = self.read(serial).map_err(cannot_write)?;
        let tries = match before.as_deref().and_then(parse) {
            Some((state, salt, digest)) if salt == trial.salt && digest == trial.digest => {
                // Tried at an operator's word: what it was stays, unless the token takes it.
                state.saturating_add(u8::from(state < UNSEEN))
            }
            _ => 1,
        };
        self.write(serial, tries, trial).map_err(cannot_write)?;
        Ok(Before(before))
    }

    /// The token did not look at the PIN: the record is as it was. Where that fails, the try counts.
    pub(super) fn undo(&self, serial: &str, before: Before) {
        match before.0 {
            Some(record) => {
                let _best_effort = private_file::write(&self.path_of(serial), &record, Existing::Replace);
            }
            None => self.forget(serial),
        }
    }

    /// The token refused the PIN. Where that cannot be written, the record still says that it was tried.
    pub(super) fn settle(&self, serial: &str, trial: &Trial) {
        let _best_effort = self.write(serial, REFUSED, trial);
    }

    /// Forgets, after a login that succeeded.
    pub(super) fn forget(&self, serial: &str) {
        let path = self.path_of(serial);
        if path.exists() {
            let _best_effort = private_file::remove(&path);
        }
    }

    fn read(&self, serial: &str) -> Result<Option<Vec<u8>>, String> {
        let path = self.path_of(serial);
        if !path.exists() {
            return Ok(None);
        }
        private_file::read_sealed(&path, 1 + SALT + DIGEST)
            .map(Some)
            .map_err(|error| format!("cannot read which PIN was refused last: {error}"))
    }

    fn write(&self, serial: &str, state: u8, trial: &Trial) -> Result<(), String> {
        let record = [&[state][..], &trial.salt, &trial.digest].concat();
        private_file::write(&self.path_of(serial), &record, Existing::Replace)
            .map_err(|error| error.to_string())
    }

    fn path_of(&self, serial: &str) -> PathBuf {
        self.folder.join(format!("refused-pin-{}", hex::encode(serial)))
    }
}

fn parse(record: &[u8]) -> Option<(u8, [u8; SALT], [u8; DIGEST])> {
    let (state, rest) = record.split_first()?;
    let salt = *rest.first_chunk::<SALT>()?;
    let digest = rest.get(SALT..)?.try_into().ok()?;
    Some((*state, salt, digest))
}

fn cannot_write(why: String) -> TokenError {
    TokenError::new(
        Kind::Failed,
        format!("no PIN is tried, because it cannot be written down that it is: {why}"),
        "make room, or mend the permissions of the folder",
    )
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
