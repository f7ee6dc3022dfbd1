//! Which file a configuration was read from, and what stood in it: whoever has taken the state's lock asks whether it still does.
//!
//! A command reads the configuration to learn where the lock is. Until it has the lock, another one may change what the
//! configuration says, and be cut off; to finish or take back that one's work by the former text would be to destroy it.
//!
//! *Invariant:* where it was read says nothing of what it says: two configurations that say the same are equal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Config, ConfigCode, ConfigError, file};

/// The file and its text; nothing where the text came from nowhere.
#[derive(Clone, Default)]
pub(crate) struct ReadFrom(Option<(PathBuf, Arc<str>)>);

impl ReadFrom {
    pub(super) fn file(path: &Path, text: &str) -> Self {
        Self(Some((path.to_owned(), text.into())))
    }
}

impl PartialEq for ReadFrom {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for ReadFrom {}

impl std::fmt::Debug for ReadFrom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.0.as_ref().map(|(path, _)| path);
        f.debug_tuple("ReadFrom").field(&path).finish()
    }
}

impl Config {
    /// Refuses where the file says something else by now, to whatever byte: for whoever has just taken the state's lock.
    pub fn still_as_read(&self) -> Result<(), ConfigError> {
        let Some((path, text)) = &self.read_from.0 else {
            return Ok(());
        };
        let now = file::read_config(path).map_err(|error| error.in_file(path))?;
        if now == **text {
            return Ok(());
        }
        Err(ConfigError::new(
            ConfigCode::Changed,
            "the file was changed between being read and taking the lock of the state",
            "nothing was done; the same command again reads it anew",
        )
        .in_file(path))
    }
}
