//! Keys and their versions: what is known of a key besides its secret.

use std::fmt;

use super::algorithm::{Address, PublicKey};
use super::id::{BundleId, KeyName, UnixSeconds};

/// Where a key came from. A key that was generated here and never left is the only one that can prove it has never signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Made by a provider of this sigward.
    Generated,
    /// Brought in from a file of another signer.
    Imported,
    /// Made by a sigward, and here from a backup or from another store: its past is not known here, and it never leaves.
    Restored,
}

impl Origin {
    /// The word on the wire and in files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Imported => "imported",
            Self::Restored => "restored",
        }
    }

    /// The origin of the same key in another store: what was made by a sigward is never taken for something that came from outside.
    #[must_use]
    pub const fn elsewhere(self) -> Self {
        match self {
            Self::Generated | Self::Restored => Self::Restored,
            Self::Imported => Self::Imported,
        }
    }
}

/// The newest backup of a key that was read back and found good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackupMark {
    /// The bundle.
    pub bundle: BundleId,
    /// When it was made.
    pub at: UnixSeconds,
}

/// The life of a key version. Only `Active` signs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VersionState {
    /// Being made.
    Pending,
    /// Made, not yet in use.
    Staged,
    /// In use.
    Active,
    /// No longer signs; still verifies.
    Deprecated,
    /// Switched off, may come back.
    Disabled,
    /// Will be destroyed.
    DestroyScheduled,
    /// Gone; its public key stays known for ever.
    Destroyed,
    /// Believed to be in other hands; never signs again.
    Compromised,
}

impl VersionState {
    /// The word on the wire and in files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Staged => "staged",
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::Disabled => "disabled",
            Self::DestroyScheduled => "destroy_scheduled",
            Self::Destroyed => "destroyed",
            Self::Compromised => "compromised",
        }
    }

    /// Reads the word back; an unknown word is no state.
    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::Pending,
            Self::Staged,
            Self::Active,
            Self::Deprecated,
            Self::Disabled,
            Self::DestroyScheduled,
            Self::Destroyed,
            Self::Compromised,
        ]
        .into_iter()
        .find(|state| state.as_str() == word)
    }
}

impl fmt::Display for VersionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One key pair of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyVersion {
    /// 1, 2, 3 …
    pub version: u32,
    /// The identity of the key pair.
    pub public_key: PublicKey,
    /// The address that nodes know it by.
    pub address: Address,
    /// Which provider keeps the private half.
    pub provider: String,
    /// Where it came from.
    pub origin: Origin,
    /// What it may do.
    pub state: VersionState,
    /// When it was made or brought in.
    pub created_at: UnixSeconds,
    /// Whether its private half, or the right to sign with it, has ever left, or its past was lost. One-way: it never begins as
    /// fresh again.
    pub exported: bool,
    /// The newest backup that is known to hold it; whether that file still exists, nobody here knows.
    pub backup: Option<BackupMark>,
}

/// A named key with its newest version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    /// What people call it.
    pub name: KeyName,
    /// Its only version so far.
    pub version: KeyVersion,
}
