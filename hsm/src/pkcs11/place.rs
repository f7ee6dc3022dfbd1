//! Where a module of this process is, by the path of its library: one at a time, from before its first `C_Initialize` until after its
//! last `C_Finalize`. May import: `error`, `module`.
//!
//! # Invariants
//! * The last `C_Finalize` of one user and the first `C_Initialize` of the next never overlap: the next one's would be answered
//!   `CKR_CRYPTOKI_ALREADY_INITIALIZED`, and be finalized underneath it.
//! * No lock is held during either, and nobody waits for another's without a limit.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use super::{
    error::{Kind, TokenError},
    module::Module,
};

/// How long somebody waits for somebody else's first `C_Initialize` or last `C_Finalize`.
const LOAD: Duration = Duration::from_secs(10);

/// Modules of this process, by path.
static LOADED: Mutex<BTreeMap<PathBuf, Arc<Place>>> = Mutex::new(BTreeMap::new());

/// Where a module is from before its first `C_Initialize` until after its last `C_Finalize`: two of them never overlap. Not locked
/// during either.
#[derive(Default)]
pub(super) struct Place {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) enum State {
    #[default]
    Empty,
    /// Somebody is inside `C_Initialize`.
    Begins,
    /// It is there; or its last user is gone, and its end is about to begin.
    Loaded(Weak<Module>),
    /// Somebody is inside `C_Finalize`.
    Ends,
}

impl Place {
    /// The place of the library at `path`, which is canonical.
    pub(super) fn of(path: &Path) -> Arc<Self> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.entry(path.to_owned()).or_default().clone()
    }

    /// Whether nothing is there, nor about to be, nor about not to be.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        matches!(*self.lock(), State::Empty)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn becomes(&self, state: State) {
        *self.lock() = state;
        self.changed.notify_all();
    }

    /// The module that is there; or none, and who asked is to load it.
    pub(super) fn take(&self) -> Result<Option<Arc<Module>>, TokenError> {
        let began = Instant::now();
        let mut state = self.lock();
        loop {
            let function = match &*state {
                State::Empty => break,
                State::Begins => "C_Initialize",
                State::Ends => "C_Finalize",
                State::Loaded(module) => match module.upgrade() {
                    Some(module) => return Ok(Some(module)),
                    None => "C_Finalize",
                },
            };
            let rest = LOAD.saturating_sub(began.elapsed());
            if rest.is_zero() {
                return Err(held_up(function));
            }
            state = self
                .changed
                .wait_timeout(state, rest)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        *state = State::Begins;
        Ok(None)
    }
}

/// Why a module cannot be called now.
pub(super) fn held_up(function: &str) -> TokenError {
    TokenError::new(
        Kind::Lost,
        format!(
            "the module cannot be called: {function} has not come back, which is called for all its tokens"
        ),
        "look at the token and its network; if it stays so, restart sigward",
    )
}
