//! Process-wide switches that keep secrets out of core dumps and away from debuggers.
//!
//! May import: rustix. Called once, at start, before the first secret exists.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Why the process could not be hardened.
#[derive(Debug, thiserror::Error)]
pub enum HardenError {
    /// `prctl(PR_SET_DUMPABLE, 0)` failed.
    #[error("cannot make the process non-dumpable (prctl PR_SET_DUMPABLE)")]
    Dumpable(#[source] std::io::Error),
    /// `setrlimit(RLIMIT_CORE, 0)` failed.
    #[error("cannot forbid core dumps (setrlimit RLIMIT_CORE)")]
    CoreLimit(#[source] std::io::Error),
}

impl HardenError {
    /// The stable code: `process_not_hardened`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "process_not_hardened"
    }
}

/// Forbids core dumps (`RLIMIT_CORE` = 0, soft and hard) and makes the process non-dumpable (`PR_SET_DUMPABLE` = 0), which
/// also denies `ptrace` and `/proc/PID/mem` to other processes of the same user.
///
/// # Errors
/// Either call failing; both are attempted first, so a failure of one does not skip the other.
pub fn harden_process() -> Result<(), HardenError> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let core = setrlimit(Resource::Core, none).map_err(|e| HardenError::CoreLimit(e.into()));
    let dumpable =
        set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|e| HardenError::Dumpable(e.into()));
    core.and(dumpable)
}
