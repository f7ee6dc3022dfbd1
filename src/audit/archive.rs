//! The audit chain as the rest of sigward sees it: where it can be read, and who keeps it.
//!
//! *Invariant:* one keeper a store, whoever asks it to work: the daemon once a second, or an operator now.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sigward_hsm::error::ProviderError;
use sigward_hsm::software::CheckpointKey;
use sigward_policies::model::algorithm::PublicKey;

use super::checkpoint::Checkpoint;
use super::history::History;
use super::keeper::{Due, KeepError, Keeper, Standing, Turn};
use super::ledger::{CheckpointFile, Whose};
use super::verify::Expected;

/// Opens the key of checkpoints, or makes it.
pub type OpenKey = Box<dyn Fn() -> Result<CheckpointKey, ProviderError> + Send + Sync>;

/// The keeper of a store, with the key that it signs with.
pub struct Archive {
    history: History,
    checkpoints: CheckpointFile,
    expects: Expected,
    keeper: Mutex<Keeper>,
    open_key: OpenKey,
    key: Mutex<Option<Arc<CheckpointKey>>>,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive")
            .field("history", &self.history)
            .finish_non_exhaustive()
    }
}

impl Archive {
    /// With this keeper; `history` is where it puts what it keeps. The key is opened when it is first needed: its seal may be away.
    pub fn new(history: History, keeper: Keeper, open_key: OpenKey) -> Self {
        Self {
            history,
            checkpoints: keeper.checkpoints().clone(),
            expects: keeper.expects(),
            keeper: Mutex::new(keeper),
            open_key,
            key: Mutex::default(),
        }
    }

    /// Where records are read.
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// The checkpoints in the state.
    pub const fn checkpoints(&self) -> &CheckpointFile {
        &self.checkpoints
    }

    /// Does all that is due. Without its key everything else is done, and then it says why the key is not there.
    pub fn turn(&self, stop: &dyn Fn() -> bool) -> Result<Turn, KeepError> {
        let key = self.key();
        let done = self.keeper().turn(key.as_deref().ok(), stop)?;
        key.map(|_| done)
    }

    /// Signs a checkpoint and writes a segment of whatever is in none, due or not.
    pub fn turn_now(&self, stop: &dyn Fn() -> bool) -> Result<Turn, KeepError> {
        let key = self.key()?;
        let mut keeper = self.keeper();
        Ok(Turn {
            checkpoint: keeper.sign(&key, true)?,
            segments: keeper.export(Due::OrNot, stop)?,
            forgotten: 0,
            removed: 0,
        })
    }

    /// See [`Keeper::waits_for_anchor`].
    pub fn waits_for_anchor(&self) -> Arc<AtomicU64> {
        self.keeper().waits_for_anchor()
    }

    /// Where everything stands.
    pub fn standing(&self) -> Result<Standing, KeepError> {
        self.keeper().standing()
    }

    /// See [`Keeper::expects`].
    pub const fn expects(&self) -> Expected {
        self.expects
    }

    /// See [`Keeper::whose`].
    pub fn whose(&self) -> Whose {
        self.keeper().whose()
    }

    /// The last checkpoint.
    pub fn last(&self) -> Option<Checkpoint> {
        self.keeper().last().cloned()
    }

    /// How old the first record behind `sequence` is; zero if there is none.
    pub fn lag_behind(&self, sequence: u64) -> Result<Duration, KeepError> {
        self.keeper().lag_behind(sequence)
    }

    /// The public half of the key, for whoever verifies.
    pub fn public_key(&self) -> Result<PublicKey, KeepError> {
        self.key().map(|key| *key.public_key())
    }

    fn key(&self) -> Result<Arc<CheckpointKey>, KeepError> {
        let mut key = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = key.as_ref() {
            return Ok(Arc::clone(key));
        }
        let opened = Arc::new((self.open_key)().map_err(KeepError::Key)?);
        *key = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// A keeper that panicked begins its next turn by looking at what is there.
    fn keeper(&self) -> MutexGuard<'_, Keeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
