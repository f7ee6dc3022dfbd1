//! A passphrase on its way from a file, a descriptor or a terminal into the arena.
//!
//! May import: `private_file`, `secret`.
//!
//! # Invariant
//! The bytes go from the kernel straight into the arena; no buffer in between.

use std::{io::Read, path::Path};

use super::BackupError;
use crate::{
    envelope::{MAX_PASSPHRASE, MIN_PASSPHRASE},
    private_file::{self, Trust},
    secret::{Arena, SecretBytes},
};

/// Bytes that are read: the longest passphrase and its line ending.
const ROOM: usize = MAX_PASSPHRASE + 2;

/// A passphrase of 12 to 256 bytes.
pub struct Passphrase {
    bytes: SecretBytes<ROOM>,
    len: usize,
}

impl Passphrase {
    /// Reads a file of mode 0600 or 0400; one line ending at its end is not part of it.
    ///
    /// # Errors
    /// [`BackupError::File`], [`BackupError::Passphrase`].
    pub fn read_file(arena: &Arena, path: &Path) -> Result<Self, BackupError> {
        let mut len = 0;
        let bytes = SecretBytes::try_init_with(arena, |into| {
            len = private_file::read_up_to(path, Trust::OwnerOnly, into)?;
            Ok::<_, BackupError>(())
        })?;
        Self::new(bytes, len)
    }

    /// Reads to the end of a pipe or file; one line ending at its end is not part of it.
    ///
    /// # Errors
    /// [`BackupError::Io`], [`BackupError::Passphrase`].
    pub fn read_all(arena: &Arena, from: &mut impl Read) -> Result<Self, BackupError> {
        let mut len = 0;
        let bytes = SecretBytes::try_init_with(arena, |into: &mut [u8; ROOM]| {
            while let Some(room) = into.get_mut(len..).filter(|room| !room.is_empty()) {
                match from
                    .read(room)
                    .map_err(|e| BackupError::Io("read the passphrase", e))?
                {
                    0 => return Ok(()),
                    n => len += n,
                }
            }
            match from
                .read(&mut [0])
                .map_err(|e| BackupError::Io("read the passphrase", e))?
            {
                0 => Ok(()),
                _ => Err(BackupError::Passphrase),
            }
        })?;
        Self::new(bytes, len)
    }

    /// Reads one line of a terminal, byte by byte, so that nothing behind it is taken away.
    ///
    /// # Errors
    /// [`BackupError::Io`], [`BackupError::Passphrase`].
    pub fn read_line(arena: &Arena, from: &mut impl Read) -> Result<Self, BackupError> {
        let mut len = 0;
        let bytes = SecretBytes::try_init_with(arena, |into: &mut [u8; ROOM]| {
            for byte in into.iter_mut() {
                let one = std::slice::from_mut(byte);
                let read = from
                    .read(one)
                    .map_err(|e| BackupError::Io("read the passphrase", e))?;
                len += read;
                if read == 0 || *byte == b'\n' {
                    return Ok(());
                }
            }
            Err(BackupError::Passphrase)
        })?;
        Self::new(bytes, len)
    }

    fn new(bytes: SecretBytes<ROOM>, len: usize) -> Result<Self, BackupError> {
        let text = bytes.expose().get(..len).unwrap_or_default();
        // Editors and echo end a file with a line feed.
        let text = text
            .strip_suffix(b"\n")
            .map_or(text, |t| t.strip_suffix(b"\r").unwrap_or(t));
        let len = text.len();
        if !(MIN_PASSPHRASE..=MAX_PASSPHRASE).contains(&len) || text.iter().all(u8::is_ascii_whitespace) {
            return Err(BackupError::Passphrase);
        }
        Ok(Self { bytes, len })
    }

    /// Whether both are the same, typed twice; in time that does not depend on the bytes.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq as _;
        self.text().ct_eq(other.text()).into()
    }

    pub(super) fn text(&self) -> &[u8] {
        self.bytes.expose().get(..self.len).unwrap_or_default()
    }
}
