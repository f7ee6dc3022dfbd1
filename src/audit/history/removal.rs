//! The record that says that the beginning of the chain was removed.
//!
//! It is looked for from the end on: what was removed last was removed not long ago. At a time there is one page of records in memory, or one
//! record of one segment.
//!
//! *Invariants:* such a record is durable before its segment goes, so whoever misses a beginning finds it, if it was removed and is not
//! lost. Where it is looked for in segments, each must end where the one behind it, or the database, begins. A record that leaves the
//! database meanwhile is in a segment then: those are listed last.

use sigward_policies::decision::Refused;

use super::{History, PAGE, broken, failed, missing};
use crate::audit::keeper::removed_by;
use crate::audit::segment::{SegmentFolder, SegmentReader};
use crate::store::{AuditHead, Store};

/// Finds the record that says that everything up to `gone` was removed. Without one it is missing.
pub(super) fn find(history: &History, store: &dyn Store, gone: &AuditHead) -> Result<(), Refused> {
    if in_store(store, gone)? || in_segments(history, store, gone)? {
        return Ok(());
    }
    let what = match gone.sequence {
        1 => "record 1 is missing, and no record says that it was removed".to_owned(),
        last => format!("records 1 to {last} are missing, and no record says that they were removed"),
    };
    Err(failed(std::io::Error::other(what)))
}

fn in_store(store: &dyn Store, gone: &AuditHead) -> Result<bool, Refused> {
    let page = u64::try_from(PAGE).unwrap_or(u64::MAX);
    let mut end = store.health().audit_records;
    let base = store.audit_base()?.sequence;
    while end > base {
        let before = end.saturating_sub(page).max(base);
        let mut read = before;
        // A reading that gives way to a signature gives fewer than there are.
        while read < end {
            let records = store.audit(read.saturating_add(1), PAGE)?;
            let Some(last) = records.last() else { break };
            read = last.sequence;
            if records
                .iter()
                .any(|record| removed_by(&record.entry) == Some(*gone))
            {
                return Ok(true);
            }
        }
        end = before;
    }
    Ok(false)
}

fn in_segments(history: &History, store: &dyn Store, gone: &AuditHead) -> Result<bool, Refused> {
    let Some(folder) = &history.folder else {
        return Ok(false);
    };
    let mut behind = store.audit_base()?;
    let segments = SegmentFolder::of(folder, &store.id()).list().map_err(failed)?;
    for segment in segments.iter().rev() {
        if segment.first > behind.sequence {
            continue;
        }
        let mut reader = SegmentReader::open(&segment.path).map_err(|cause| broken(&segment.path, &cause))?;
        let last = reader.footer().last;
        if last.sequence < behind.sequence {
            return Err(missing(last.sequence.saturating_add(1), "is missing"));
        }
        if last.sequence == behind.sequence && last != behind {
            return Err(missing(
                last.sequence.saturating_add(1),
                "does not follow the one before it",
            ));
        }
        behind = reader.header().before;
        while let Some(record) = reader
            .next_record()
            .map_err(|cause| broken(&segment.path, &cause))?
        {
            if removed_by(&record.entry) == Some(*gone) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
