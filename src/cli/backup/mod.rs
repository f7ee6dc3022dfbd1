//! `sigward keys backup`, `restore` and `verify-backup`: the side that has the file, the passphrase and the terminal.
//!
//! The data key of a bundle is made here: derived from a passphrase, or drawn and wrapped by `age`. The daemon gets nothing but the
//! data key, over the admin socket; it does no long work, runs no other program and sees no passphrase.

mod age;
mod inspect;
mod make;
mod passphrase;
mod restore;
mod unlock;

use std::path::Path;

use sigward_hsm::backup::BackupError;
use sigward_hsm::secret::{Arena, ArenaSize, Unlocked};

use super::exit::RefusedByRule;
use crate::config;

pub(super) use make::{Backup, backup};
pub(super) use restore::{Restore, describe as restored, next, restore};
pub(super) use unlock::{Verify, verify};

/// A few secrets at once: a passphrase twice, a data key, one private key after the other.
const SECRETS: u32 = 8;

/// Locked memory for the secrets of this command. Only a configuration may allow it to be unlocked; a drill needs none.
fn arena(home: Option<&Path>) -> anyhow::Result<Arena> {
    let allowed = home
        .and_then(|home| config::load(home).ok())
        .is_some_and(|config| config.keys.allow_unlocked_memory);
    let unlocked = if allowed {
        Unlocked::Allow
    } else {
        Unlocked::Refuse
    };
    Arena::new(ArenaSize::for_keys(SECRETS), unlocked).map_err(|error| explain(error.into()))
}

/// The code, the sentence, and what to do. What is wrong with the backup or with what was given for it is a refusal.
fn explain(error: BackupError) -> anyhow::Error {
    let remedy = error
        .remedy()
        .map(|remedy| format!("; {remedy}"))
        .unwrap_or_default();
    let text = format!("{}: {error}{remedy}", error.code());
    match error {
        BackupError::NotABundle
        | BackupError::Unsupported { .. }
        | BackupError::Malformed(_)
        | BackupError::DoesNotOpen
        | BackupError::WrongKey(_)
        | BackupError::Passphrase
        | BackupError::DataKey => RefusedByRule(text).into(),
        other => anyhow::Error::new(other).context(text),
    }
}
