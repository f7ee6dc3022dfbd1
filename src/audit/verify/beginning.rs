//! Where a chain begins whose oldest segments were removed: behind what is gone, and only if the chain itself says so further on.

use super::Walk;
use crate::audit::keeper::removed_by;
use crate::store::{AuditHead, AuditRecord};

/// What is known of a beginning that is not the first record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    /// The last record that is gone.
    at: AuditHead,
    /// A record says that it was removed.
    told: bool,
}

impl Walk<'_> {
    /// Begins behind `at`. Checkpoints of what is gone have nothing to be compared with; the one that was signed there has.
    pub(super) fn begin_behind(&mut self, at: AuditHead) {
        if at.sequence == 0 {
            return;
        }
        self.head = at;
        self.beginning = Some(Beginning { at, told: false });
        let gone = self
            .ahead
            .iter()
            .take_while(|made| made.head.sequence <= at.sequence)
            .count();
        for made in self.ahead.drain(..gone).collect::<Vec<_>>() {
            if made.head.sequence == at.sequence && made.head != at {
                let what = format!("is not the one that checkpoint {} was signed over", made.number);
                return self.broken(at.sequence, what);
            }
            self.vouched = made.head.sequence;
        }
    }

    /// Looks whether `record` says where the chain begins.
    pub(super) fn look_for_removal(&mut self, record: &AuditRecord) {
        if let Some(beginning) = &mut self.beginning
            && !beginning.told
        {
            beginning.told = removed_by(&record.entry) == Some(beginning.at);
        }
    }

    /// The end: a beginning that no record speaks of is a gap.
    pub(super) fn judge_beginning(&mut self) {
        match self.beginning {
            Some(Beginning { at, told: true }) => self.found.removed = at.sequence,
            // Where it breaks before that, a checkpoint may have vouched for the beginning.
            Some(Beginning { at, told: false }) if !self.is_broken() || self.found.checkpoints == 0 => {
                let what = format!(
                    "is missing: the chain begins behind record {}, and no record in it says that it was removed",
                    at.sequence
                );
                self.broken(1, what);
            }
            _ => {}
        }
    }
}
