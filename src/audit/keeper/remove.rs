//! Removing old segments, where the configuration asks for it; by itself the keeper removes none.
//!
//! For each, the chain gets a record first: that the records up to this one, with this hash, were removed. `verify` begins where such a
//! record says, and nowhere else.
//!
//! *Invariants:* a segment is removed after its record is durable, the oldest first, so that there is never a gap; never one whose records
//! are still in the database, and never one with a record that the last checkpoint, or what any anchor was told of, does not cover.
//! Whoever is cut off in between leaves a segment that the next turn removes, with another record of it.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;

use super::super::segment::{Segment, SegmentReader};
use super::{KeepError, Keeper};
use crate::crash::crash_point;
use crate::store::{AuditEntry, AuditHead, Batch, Context, Outcome, stopped};

/// The operation of a record that says so.
const OPERATION: &str = "audit.remove";
/// Its reason is this, and the last sequence that was removed.
const THROUGH: &str = "through ";

/// The record of a removal: everything up to `last`.
fn record_of(last: &AuditHead, time_micros: i64) -> AuditEntry {
    AuditEntry {
        time_micros,
        subject: "service".to_owned(),
        operation: OPERATION.to_owned(),
        context: Context::SERVICE,
        key: None,
        key_version: None,
        chain: None,
        position: None,
        outcome: Outcome::Allowed,
        reason: format!("{THROUGH}{}", last.sequence),
        request_digest: Some(last.hash),
        signature_digest: None,
        count: 1,
    }
}

/// What a record says was removed; nothing, if it is no such record.
pub(in crate::audit) fn removed_by(entry: &AuditEntry) -> Option<AuditHead> {
    let ours =
        entry.operation == OPERATION && entry.outcome == Outcome::Allowed && entry.subject == "service";
    let sequence = entry.reason.strip_prefix(THROUGH).filter(|_| ours)?;
    Some(AuditHead {
        sequence: sequence.parse().ok()?,
        hash: entry.request_digest?,
    })
}

impl Keeper {
    /// Removes the oldest segments, as far as the settings say; says how many.
    pub(super) fn remove(&mut self, stop: &dyn Fn() -> bool) -> Result<u64, KeepError> {
        if self.settings.segments_for.is_none() && self.settings.segments_bytes.is_none() {
            return Ok(0);
        }
        let (base, covered) = (self.store.audit_base()?.sequence, self.covered());
        let segments = self.segments()?;
        let mut bytes = 0_u64;
        for segment in &segments {
            bytes = bytes.saturating_add(self.length(segment)?);
        }
        let mut removed = 0;
        for segment in segments {
            if stop() || segment.last > base.min(covered) {
                break;
            }
            let reader = SegmentReader::open(&segment.path)
                .map_err(|cause| self.failed("reading a segment", cause))?;
            let footer = *reader.footer();
            let too_old = self
                .settings
                .segments_for
                .is_some_and(|most| self.age(footer.last_time) >= most);
            let too_much = self.settings.segments_bytes.is_some_and(|most| bytes > most);
            if !too_old && !too_much {
                break;
            }
            if reader.header().store != self.store.id() || footer.last.sequence != segment.last {
                let name = segment.path.display();
                return Err(KeepError::Foreign(format!(
                    "{name} holds other records than its name says"
                )));
            }
            // Whoever reads now finds it where he looked.
            let stay = self.stay.clone();
            let Some(_nobody_reads) = stay.leaving() else {
                break;
            };
            let length = self.length(&segment)?;
            self.record(record_of(&footer.last, self.clock.unix_micros()))?;
            crash_point!("audit_removal_recorded");
            std::fs::remove_file(&segment.path).map_err(|cause| self.failed("removing a segment", cause))?;
            crash_point!("audit_segment_removed");
            bytes = bytes.saturating_sub(length);
            removed += 1;
            tracing::info!(
                first = segment.first,
                last = segment.last,
                "an old segment of the audit chain was removed, as configured"
            );
        }
        if removed > 0 {
            self.in_folder("syncing the folder", |folder| {
                std::fs::File::open(folder.path())?.sync_all()
            })?;
        }
        Ok(removed)
    }

    /// The last record that a checkpoint vouches for which everybody outside has been told of.
    fn covered(&self) -> u64 {
        let vouched = self.last.as_ref().map_or(0, |last| last.head.sequence);
        let told = self.anchors.iter().map(|anchor| anchor.load(Ordering::Relaxed));
        told.fold(vouched, u64::min)
    }

    fn length(&self, segment: &Segment) -> Result<u64, KeepError> {
        match std::fs::metadata(&segment.path) {
            Ok(found) => Ok(found.len()),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(cause) => Err(self.failed("measuring a segment", cause)),
        }
    }

    /// Durable when it returns.
    fn record(&self, entry: AuditEntry) -> Result<(), KeepError> {
        let (tell, told) = sync_channel(1);
        self.store.commit(
            Batch::record(vec![entry]),
            Box::new(move |outcome| {
                let _gone = tell.send(outcome);
            }),
        );
        told.recv().unwrap_or_else(|_| Err(stopped()))?;
        Ok(())
    }
}
