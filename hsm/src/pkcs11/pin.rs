//! The user PIN: where it is read from.
//!
//! May import: `private_file`, `secret`.
//!
//! # Invariant
//! The PIN is never in a flag, in the environment, in a log or in an error. It lives in the arena; cryptoki's copy lives for one
//! call and is overwritten after it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use subtle::ConstantTimeEq as _;

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
    /// A file descriptor that the parent process opened. What is no file, such as a pipe, is read once in the life of the process.
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

impl PinError {
    /// One line of what to do about it.
    pub(super) fn remedy(&self) -> Option<String> {
        match self {
            Self::File(error) => error.remedy(),
            Self::Empty => Some("write the PIN into it, and nothing else".to_owned()),
            Self::Memory(_) | Self::NoCredential(_) => None,
        }
    }
}

/// A PIN in the arena.
pub(super) struct Pin {
    bytes: SecretBytes<MAX_PIN>,
    length: usize,
}

/// PINs that came through pipes: they are there once, and a token is logged in to again and again.
static HANDED: Mutex<BTreeMap<u32, Arc<Pin>>> = Mutex::new(BTreeMap::new());

impl PinSource {
    pub(super) fn read(&self, arena: &Arena) -> Result<Arc<Pin>, PinError> {
        match self {
            Self::File(path) => Pin::read(arena, path, Trust::OwnerOnly).map(Arc::new),
            Self::Descriptor(number) => handed(arena, *number),
            Self::Credential { name, directory } => match directory {
                Some(directory) if is_file_name(name) => {
                    Pin::read(arena, &directory.join(name), Trust::ServiceManager).map(Arc::new)
                }
                _ => Err(PinError::NoCredential(name.clone())),
            },
        }
    }
}

fn handed(arena: &Arena, number: u32) -> Result<Arc<Pin>, PinError> {
    // A fresh opening of what the parent opened: a file may be read again.
    let path = PathBuf::from(format!("/proc/self/fd/{number}"));
    let mut handed = HANDED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pin) = handed.get(&number) {
        return Ok(Arc::clone(pin));
    }
    let once = std::fs::metadata(&path).is_ok_and(|meta| !meta.is_file());
    let pin = Arc::new(Pin::read(arena, &path, Trust::Handed)?);
    if once {
        handed.insert(number, Arc::clone(&pin));
    }
    Ok(pin)
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains('/')
}

impl Pin {
    fn read(arena: &Arena, path: &Path, trust: Trust) -> Result<Self, PinError> {
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

    /// In a time that depends on the lengths alone.
    pub(super) fn equals(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}
