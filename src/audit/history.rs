//! The whole chain, wherever its records are: in segments first, then in the store.
//!
//! *Invariants:* whoever looks where a record is holds [`Stay`], so that none leaves the database between looking for it in a segment and
//! in the store; nobody holds it while a client reads, however slowly. What is given out is without a gap, or ends with an error.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sigward_policies::decision::{Failure, FailureCode, Refused};

use super::segment::{SegmentFolder, SegmentReader};
use crate::store::{AuditHead, AuditRecord, Store};

mod removal;

/// Records read from the store at a time.
const PAGE: usize = 200;

/// Keeps records where they are while somebody looks for them.
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
    /// Held while looking where a record is.
    pub stay: Stay,
}

impl History {
    /// Gives the records `from` to `to` to `each`, in order, until it says that it has enough. Each must follow the one before, by its
    /// hash, and the first there is must be the first of all or follow what a record says was removed: what does not is an error, never
    /// left out, and a beginning that is missing one before the first record is given, however few are wanted. A segment that breaks is
    /// one too: what is wrong is for `verify` to say.
    pub fn each(
        &self,
        store: &dyn Store,
        from: u64,
        to: u64,
        mut each: impl FnMut(AuditRecord) -> bool,
    ) -> Result<(), Refused> {
        let mut follow = Follow::from(from.max(1));
        loop {
            let piece = self.piece(store, &mut follow)?;
            if let Some(gone) = follow.unexplained.take() {
                removal::find(self, store, &gone)?;
            }
            let goes_on = match piece {
                Piece::End => return Ok(()),
                Piece::Records(records) => follow.all(records.into_iter().map(Ok), to, &mut each)?,
                Piece::Segment(path, reader) => follow.all(of_segment(&path, *reader), to, &mut each)?,
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// What comes next, wherever it is now. What is open here stays readable when it is removed, so nobody is waited for while he reads it.
    fn piece(&self, store: &dyn Store, follow: &mut Follow) -> Result<Piece, Refused> {
        let _here = self.stay.reading();
        let base = store.audit_base()?;
        let Some(folder) = self.folder.as_ref().filter(|_| follow.next <= base.sequence) else {
            follow.next = follow.next.max(base.sequence.saturating_add(1));
            let records = store.audit(follow.next, PAGE)?;
            return Ok(if records.is_empty() {
                Piece::End
            } else {
                Piece::Records(records)
            });
        };
        let segments = SegmentFolder::of(folder, &store.id()).list().map_err(failed)?;
        let oldest = segments.first().map(|oldest| oldest.first);
        let Some(segment) = segments.into_iter().find(|segment| segment.last >= follow.next) else {
            follow.begins_behind(base, oldest.is_none())?;
            let records = store.audit(follow.next, PAGE)?;
            return Ok(Piece::Records(records));
        };
        let reader = SegmentReader::open(&segment.path).map_err(|cause| broken(&segment.path, &cause))?;
        if segment.first > follow.next {
            follow.begins_behind(reader.header().before, oldest == Some(segment.first))?;
        }
        Ok(Piece::Segment(segment.path, Box::new(reader)))
    }
}

/// A piece of the chain.
enum Piece {
    Segment(PathBuf, Box<SegmentReader<File>>),
    Records(Vec<AuditRecord>),
    End,
}

fn of_segment(
    path: &Path,
    mut reader: SegmentReader<File>,
) -> impl Iterator<Item = Result<AuditRecord, Refused>> {
    std::iter::from_fn(move || {
        reader
            .next_record()
            .map_err(|cause| broken(path, &cause))
            .transpose()
    })
}

/// Where a reader is, and whether the chain holds there.
struct Follow {
    /// The sequence of the record to come.
    next: u64,
    /// The place of the one before: the last that was read or, where the reader begins behind a beginning that is gone, of what is gone.
    last: Option<AuditHead>,
    /// Whether a record was read.
    begun: bool,
    /// The last of the records that are gone, until the record is found that says that they were removed.
    unexplained: Option<AuditHead>,
}

impl Follow {
    const fn from(next: u64) -> Self {
        Self {
            next,
            last: None,
            begun: false,
            unexplained: None,
        }
    }

    /// What is up to `before` is not there: it may have been removed, if it is the `beginning` that is missing.
    fn begins_behind(&mut self, before: AuditHead, beginning: bool) -> Result<(), Refused> {
        if !beginning {
            return Err(missing(self.next, "is missing"));
        }
        if self.begun {
            let what = "was removed while the chain was read up to there; what is left can be read anew";
            return Err(missing(self.next, what));
        }
        (self.last, self.unexplained) = (Some(before), Some(before));
        self.next = before.sequence.saturating_add(1);
        Ok(())
    }

    /// Takes records as long as they are wanted; says whether more are.
    fn all(
        &mut self,
        records: impl Iterator<Item = Result<AuditRecord, Refused>>,
        to: u64,
        each: &mut impl FnMut(AuditRecord) -> bool,
    ) -> Result<bool, Refused> {
        for record in records {
            let record = record?;
            if record.sequence < self.next {
                continue;
            }
            if record.sequence > to {
                return Ok(false);
            }
            self.take(&record)?;
            if !each(record) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn take(&mut self, record: &AuditRecord) -> Result<(), Refused> {
        if record.sequence != self.next {
            return Err(missing(self.next, "is missing"));
        }
        if self
            .last
            .is_some_and(|before| before.hash != record.previous_hash)
        {
            return Err(missing(record.sequence, "does not follow the one before it"));
        }
        (self.last, self.begun) = (Some(record.head()), true);
        self.next = record.sequence.saturating_add(1);
        Ok(())
    }
}

fn missing(sequence: u64, what: &str) -> Refused {
    failed(std::io::Error::other(format!("record {sequence} {what}")))
}

fn broken(path: &Path, what: &impl std::fmt::Display) -> Refused {
    failed(std::io::Error::other(format!("{}: {what}", path.display())))
}

fn failed(cause: std::io::Error) -> Refused {
    let what = format!("{cause}; `sigward audit verify` names what is wrong");
    Failure::new(FailureCode::StoreDisagrees, what).into()
}
