//! The user PIN: where it is read from, and logging in with it.
//!
//! May import: `private_file`, `secret`, `refused_pins`.
//!
//! # Invariant
//! The PIN is never in a flag, in the environment, in a log or in an error. It lives in the arena; cryptoki's copy lives for one
//! call and is overwritten after it.

use std::path::PathBuf;

use cryptoki::{
    error::{Error, RvError},
    session::{Session, UserType},
    types::RawAuthPin,
};

use super::{
    error::{Kind, TokenError},
    refused_pins::RefusedPins,
    token::Present,
};
use crate::{
    private_file::{self, FileError, Trust},
    secret::{Arena, SecretBytes, SecretError},
};

/// Longest PIN, in bytes.
const MAX_PIN: usize = 256;

/// Where the configuration says that the PIN is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinSource {
    /// A file, mode 0600 or 0400, ours. One line ending at its end is not part of the PIN.
    File(PathBuf),
    /// A file descriptor that the parent process opened.
    Descriptor(u32),
    /// `$CREDENTIALS_DIRECTORY/NAME` (systemd.exec(5), `LoadCredential=`).
    Credential {
        /// The name of the credential.
        name: String,
        /// The value of `$CREDENTIALS_DIRECTORY`, or none where it is not set.
        directory: Option<PathBuf>,
    },
}

/// Why there is no PIN.
#[derive(Debug, thiserror::Error)]
pub(super) enum PinError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The arena.
    #[error(transparent)]
    Memory(#[from] SecretError),
    /// The file holds nothing.
    #[error("the PIN is empty")]
    Empty,
    /// There are no credentials, or the name is no plain file name.
    #[error("there is no credential {0:?}: $CREDENTIALS_DIRECTORY is not set, or the name is no file name")]
    NoCredential(String),
}

/// A PIN in the arena.
pub(super) struct Pin {
    bytes: SecretBytes<MAX_PIN>,
    length: usize,
}

impl PinSource {
    pub(super) fn read(&self, arena: &Arena) -> Result<Pin, PinError> {
        match self {
            Self::File(path) => Pin::read(arena, path, Trust::OwnerOnly),
            // A fresh opening of what the parent opened: it may be read again after a restart of the provider.
            Self::Descriptor(number) => Pin::read(
                arena,
                &PathBuf::from(format!("/proc/self/fd/{number}")),
                Trust::Handed,
            ),
            Self::Credential { name, directory } => match directory {
                Some(directory) if is_file_name(name) => {
                    Pin::read(arena, &directory.join(name), Trust::ServiceManager)
                }
                _ => Err(PinError::NoCredential(name.clone())),
            },
        }
    }
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains('/')
}

impl Pin {
    fn read(arena: &Arena, path: &std::path::Path, trust: Trust) -> Result<Self, PinError> {
        let mut length = 0;
        let bytes = SecretBytes::try_init_with(arena, |into| {
            let read = private_file::read_up_to(path, trust, into)?;
            let text = into.get(..read).unwrap_or_default();
            let text = text.strip_suffix(b"\n").unwrap_or(text);
            length = text.strip_suffix(b"\r").unwrap_or(text).len();
            Ok::<_, PinError>(())
        })?;
        if length == 0 {
            return Err(PinError::Empty);
        }
        Ok(Self { bytes, length })
    }

    pub(super) fn expose(&self) -> &[u8] {
        self.bytes.expose().get(..self.length).unwrap_or_default()
    }
}

/// Whether the last tries of a token may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tries {
    /// Stop while there is more than one left (the rule).
    Spare,
    /// The operator said `--once`.
    UseOne,
}

/// Logs in. Success where the application is logged in already: the login is the token's, not the session's
/// (PKCS#11 v3.0, 5.6.8).
pub(super) fn login(
    session: &Session,
    token: &Present,
    pin: &Pin,
    refused: &RefusedPins,
    tries: Tries,
) -> Result<(), TokenError> {
    let serial = token.info.serial_number();
    if token.info.user_pin_locked() {
        return Err(TokenError::new(
            Kind::PinUnusable,
            format!("the user PIN of the token {serial:?} is locked (C_GetTokenInfo: CKF_USER_PIN_LOCKED)"),
            "its security officer sets a new PIN; then `sigward hsm login --once`",
        ));
    }
    if tries == Tries::Spare {
        refused.check(serial, pin)?;
        if token.info.user_pin_final_try() || token.info.user_pin_count_low() {
            return Err(TokenError::new(
                Kind::PinUnusable,
                format!(
                    "a wrong PIN was tried on the token {serial:?}, and few tries are left (C_GetTokenInfo): none is spent here"
                ),
                "make sure of the PIN, then `sigward hsm login --once`",
            ));
        }
    }
    // A protected authentication path has its own keyboard; what we hold would be refused.
    let given = RawAuthPin::new(Box::new(pin.expose().to_vec()));
    match session.login_with_raw(UserType::User, &given) {
        Ok(()) => {
            refused.forget(serial);
            Ok(())
        }
        Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(error) => {
            let error = TokenError::from(error);
            if error.kind == Kind::WrongPin {
                refused.remember(serial, pin);
            }
            Err(error)
        }
    }
}
