//! The whole chain, wherever its records are: in segments first, then in the store.
//!
//! *Invariant:* whoever reads holds [`Stay`], so that no record leaves the database between looking for it in a segment and in the store.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sigward_policies::decision::{Failure, FailureCode, Refused};

use super::segment::{SegmentFolder, SegmentReader};
use crate::store::{AuditRecord, Store};

/// Records read from the store at a time.
const PAGE: usize = 200;

/// Keeps records where they are while somebody reads.
#[derive(Clone, Debug, Default)]
pub struct Stay(Arc<RwLock<()>>);

impl Stay {
    /// Somebody reads.
    pub fn reading(&self) -> RwLockReadGuard<'_, ()> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody reads: records may leave. Nothing while somebody does.
    pub(super) fn leaving(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        self.0.try_write().ok()
    }
}

/// Where a chain is read from.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The audit folder; none where there are no segments.
    pub folder: Option<PathBuf>,
    /// Held while reading.
    pub stay: Stay,
}

impl History {
    /// Gives the records `from` to `to` to `each`, in order, until it says that it has enough. A segment that breaks is an error: what
    /// is wrong with it is for `verify` to say.
    pub fn each(
        &self,
        store: &dyn Store,
        from: u64,
        to: u64,
        mut each: impl FnMut(AuditRecord) -> bool,
    ) -> Result<(), Refused> {
        let _here = self.stay.reading();
        let base = store.audit_base()?.sequence;
        let mut next = from.max(1);
        if next <= base
            && let Some(folder) = &self.folder
        {
            let folder = SegmentFolder::of(folder, &store.id());
            for segment in folder.list().map_err(failed)? {
                if segment.last < next || segment.first > to.min(base) {
                    continue;
                }
                let broken = |what: String| {
                    failed(std::io::Error::other(format!(
                        "{}: {what}",
                        segment.path.display()
                    )))
                };
                let mut reader =
                    SegmentReader::open(&segment.path).map_err(|cause| broken(cause.to_string()))?;
                while let Some(record) = reader.next_record().map_err(|cause| broken(cause.to_string()))? {
                    if record.sequence < next {
                        continue;
                    }
                    next = record.sequence.saturating_add(1);
                    if record.sequence > to || !each(record) {
                        return Ok(());
                    }
                }
            }
        }
        loop {
            let page = store.audit(next, PAGE)?;
            if page.is_empty() {
                return Ok(());
            }
            for record in page {
                next = record.sequence.saturating_add(1);
                if record.sequence > to || !each(record) {
                    return Ok(());
                }
            }
        }
    }
}

fn failed(cause: std::io::Error) -> Refused {
    let what = format!("{cause}; `sigward audit verify` names what is wrong");
    Failure::new(FailureCode::StoreDisagrees, what).into()
}
