//! Whether there must be a checkpoint: where none is left, nothing vouches for a chain whose every hash was computed anew, and whoever can
//! do that can take away a file.
//!
//! *Invariant:* of a young chain, and of one that no daemon has signed in yet, none is expected: the keeper has not had its turn.

use std::time::Duration;

use super::Walk;
use crate::store::AuditEntry;

/// From when on there must be one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expected {
    /// With so many records.
    pub records: u64,
    /// With a consensus signature, which only a daemon makes, this long behind the first record: at its start it has signed one.
    pub age: Duration,
}

/// What the records say of the time that the keeper had.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    first: Option<i64>,
    last_signed: Option<i64>,
}

impl Span {
    /// One record further.
    pub(super) fn take(&mut self, entry: &AuditEntry) {
        self.first.get_or_insert(entry.time_micros);
        if entry.operation.starts_with("sign.") {
            self.last_signed = Some(entry.time_micros);
        }
    }

    fn length(&self) -> Duration {
        let length = self
            .last_signed
            .zip(self.first)
            .map(|(last, first)| last.saturating_sub(first));
        Duration::from_micros(length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0))
    }
}

impl Walk<'_> {
    /// The end: a chain that must have a checkpoint and has none is one that nothing vouches for.
    pub(super) fn judge_expected(&mut self) {
        if let Some(expected) = self.expected
            && !self.any_checkpoint
            && !self.is_broken()
            && (self.found.records >= expected.records || self.span.length() >= expected.age)
        {
            let what = format!(
                "has no checkpoint that vouches for it, nor has any other: of {} records there must be one; the file of checkpoints was \
                 taken away, or the chain is not kept",
                self.found.records
            );
            self.broken(1, what);
        }
    }
}
