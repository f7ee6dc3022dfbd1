//! Does the chain hold? Reads every record, in segments and then in the store, links it to the one before, compares it with every
//! checkpoint, and names the first that nothing vouches for.
//!
//! The chain itself has no key: a record is vouched for by the one behind it, which holds its hash, and by the signature of the next
//! checkpoint. So where two neighbours do not fit, the first of them is named; where a checkpoint does not fit, the first record
//! behind the last checkpoint that did.
//!
//! *Caveat:* what was cut off at the end together with the store's own head, its witness and its checkpoints does not show; only an
//! anchor outside does, and only up to what was last anchored.

use std::path::PathBuf;

use sigward_policies::decision::{Failure, FailureCode, Refused};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::StoreId;

use super::checkpoint::Checkpoint;
use super::history::Stay;
use super::ledger::Named;
use super::segment::{SegmentFolder, SegmentReader};
use crate::store::{AuditHead, AuditRecord, Form, Store};
use beginning::Beginning;
use expected::Span;

mod beginning;
mod expected;
mod follow;
mod testimony;

pub use expected::Expected;
pub(super) use follow::follow;

const PAGE: usize = 200;

/// What verification found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verification {
    /// Records that hold, from the first on; those that were removed hold as far as the one behind them does.
    pub records: u64,
    /// The last record that was removed with its segment, as the chain itself says; 0 when all are there.
    pub removed: u64,
    /// Where they end.
    pub head: AuditHead,
    /// The last of them that is in a segment.
    pub exported: u64,
    /// Checkpoints that hold.
    pub checkpoints: u64,
    /// The last of them.
    pub last_checkpoint: Option<Checkpoint>,
    /// Checkpoints of this store in the anchor, and the highest record that one of them vouches for.
    pub anchored: Option<(u64, u64)>,
    /// The first record that does not hold; `None` for a whole chain.
    pub first_broken: Option<Break>,
}

/// Where a chain breaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Break {
    /// The sequence of the first record that nothing vouches for.
    pub sequence: u64,
    /// What is wrong with it.
    pub what: String,
}

/// What the records are compared with.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The audit folder; without one, the records of the store are all there is.
    pub folder: Option<PathBuf>,
    /// A file of checkpoints that was kept elsewhere.
    pub anchor: Option<PathBuf>,
    /// Held while records are read.
    pub stay: Stay,
    /// The key that checkpoints must be signed with; without one, the key of the first.
    pub key: Option<PublicKey>,
    /// When there must be a checkpoint. Asked of those who say which key it must be signed with.
    pub expected: Option<Expected>,
}

/// Verifies the whole chain of `store`. An error is about reading, not the chain: the question has no answer then.
pub fn verify(store: &dyn Store, evidence: &Evidence) -> Result<Verification, Refused> {
    verify_telling(store, evidence, &mut |_, _| true)
}

/// The same; `tell` hears how many records hold so far, and of how many, and says whether anybody still wants to know.
pub fn verify_telling(
    store: &dyn Store,
    evidence: &Evidence,
    tell: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Verification, Refused> {
    // Before our own checkpoints: what it holds of this store by now, they hold too.
    let anchor = evidence.anchor.as_deref().map(Named::open).transpose()?;
    let id = store.id();
    // Records that are appended while we read are read too; only these must be there.
    let promised = store.health().audit_records;
    let folder = evidence
        .folder
        .as_ref()
        .map(|audit| SegmentFolder::of(audit, &id));
    let mut walk = Walk::new(id, promised, tell);
    walk.expected = evidence.expected.filter(|_| evidence.key.is_some());
    walk.take_checkpoints(folder.as_ref(), evidence.key, anchor)?;
    walk.goes_on()?;
    // From here on, and not while somebody else's file was read.
    let _here = evidence.stay.reading();
    if let Some(folder) = &folder {
        // The records of a segment may be in the store too; those here count, and the store must go on behind them.
        let segments = folder.list().map_err(unreadable)?;
        match segments.first() {
            // What it goes on from is gone. One that does not open says so below.
            Some(first) if first.first > 1 => {
                let header = SegmentReader::open(&first.path).map(|reader| *reader.header());
                if let Ok(header) = header
                    && header.store == id
                    && header.before.sequence == first.first.saturating_sub(1)
                {
                    walk.begin_behind(header.before);
                }
            }
            Some(_) => {}
            None => walk.begin_behind(store.audit_base()?),
        }
        for segment in segments {
            if walk.is_over() {
                break;
            }
            walk.segment(&segment.path, segment.first, segment.last);
        }
    }
    if !walk.is_over() {
        walk.found.exported = walk.head.sequence;
        walk.records_of(store)?;
    }
    walk.goes_on()?;
    if !walk.is_broken() && walk.head.sequence < promised {
        let what = format!("is missing: the chain has {promised} records");
        walk.broken(walk.head.sequence.saturating_add(1), what);
    }
    Ok(walk.finish())
}

/// Records between two words of how far it is.
const TOLD: u64 = 1024;

/// A walk along the chain.
struct Walk<'a> {
    store: StoreId,
    /// Records that there must be.
    promised: u64,
    tell: &'a mut dyn FnMut(u64, u64) -> bool,
    /// Nobody wants to know.
    abandoned: bool,
    head: AuditHead,
    /// How the record there is encoded: none behind it is of an older form.
    form: Form,
    /// Checkpoints that the walk has not come to, by sequence.
    ahead: Vec<Checkpoint>,
    /// The last record that a checkpoint vouched for.
    vouched: u64,
    /// Where it began, if that is not the first record.
    beginning: Option<Beginning>,
    /// When there must be a checkpoint.
    expected: Option<Expected>,
    /// What was read that tells whether the keeper had its turn.
    span: Span,
    /// Whether there is any checkpoint.
    any_checkpoint: bool,
    found: Verification,
}

impl<'a> Walk<'a> {
    fn new(store: StoreId, promised: u64, tell: &'a mut dyn FnMut(u64, u64) -> bool) -> Self {
        let head = AuditHead::genesis(&store);
        Self {
            store,
            promised,
            tell,
            abandoned: false,
            head,
            form: Form::One,
            ahead: Vec::new(),
            vouched: 0,
            beginning: None,
            expected: None,
            span: Span::default(),
            any_checkpoint: false,
            found: Verification {
                records: 0,
                removed: 0,
                head,
                exported: 0,
                checkpoints: 0,
                last_checkpoint: None,
                anchored: None,
                first_broken: None,
            },
        }
    }

    /// Asks whether anybody still wants to know, before a record is read.
    fn ask(&mut self) -> bool {
        self.abandoned = !(self.tell)(0, self.promised);
        !self.abandoned
    }

    fn goes_on(&self) -> Result<(), Refused> {
        if !self.abandoned {
            return Ok(());
        }
        let what = "nobody waits for the answer any more";
        Err(Failure::new(FailureCode::DeadlineExceeded, what).into())
    }

    const fn is_broken(&self) -> bool {
        self.found.first_broken.is_some()
    }

    const fn is_over(&self) -> bool {
        self.abandoned || self.is_broken()
    }

    /// The first break counts, or an earlier one that is found later.
    fn broken(&mut self, sequence: u64, what: impl Into<String>) {
        let sequence = sequence.max(1);
        if self
            .found
            .first_broken
            .as_ref()
            .is_none_or(|known| sequence < known.sequence)
        {
            let what = what.into();
            self.found.first_broken = Some(Break { sequence, what });
        }
    }

    fn segment(&mut self, path: &std::path::Path, first: u64, last: u64) {
        let next = self.head.sequence.saturating_add(1);
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if first != next {
            let what = format!("is missing, or there twice: the next segment is {name}");
            return self.broken(next.min(first), what);
        }
        let mut reader = match SegmentReader::open(path) {
            Ok(reader) => reader,
            Err(cause) => return self.broken(first, format!("stands in {name}, which {cause}")),
        };
        let header = *reader.header();
        if header.store != self.store || reader.footer().last.sequence != last {
            return self.broken(
                first,
                format!("stands in {name}, which holds other records than its name says"),
            );
        }
        if header.before != self.head {
            let what = format!("is not the one that {name} goes on from");
            return self.broken(self.head.sequence.min(header.before.sequence), what);
        }
        loop {
            match reader.next_record() {
                Ok(Some(record)) => {
                    self.look_for_removal(&record);
                    if !self.pass(&record) {
                        return;
                    }
                }
                Ok(None) => return,
                Err(broken) => return self.broken(broken.sequence, format!("{} ({name})", broken.what)),
            }
        }
    }

    /// The records that are in the store and in no segment. One that is in both must be the same.
    fn records_of(&mut self, store: &dyn Store) -> Result<(), Refused> {
        let base = store.audit_base()?;
        if base.sequence > self.head.sequence {
            let what = format!(
                "is in no segment, and the store holds none before {}",
                base.sequence.saturating_add(1)
            );
            self.broken(self.head.sequence.saturating_add(1), what);
            return Ok(());
        }
        self.same_as_in_segments(store, base)?;
        while !self.is_over() {
            let next = self.head.sequence.saturating_add(1);
            let page = match page(store, next)? {
                Ok(page) => page,
                Err(damage) => {
                    self.broken(next, damage);
                    return Ok(());
                }
            };
            if page.is_empty() {
                return Ok(());
            }
            for record in &page {
                if let Err(found) = follow(&self.head, record) {
                    self.broken(found.sequence, found.what);
                    return Ok(());
                }
                self.look_for_removal(record);
                if !self.pass(record) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// What the store still has of what is in segments too must end in the same record.
    fn same_as_in_segments(&mut self, store: &dyn Store, base: AuditHead) -> Result<(), Refused> {
        let mut head = base;
        while head.sequence < self.head.sequence && !self.is_broken() {
            let next = head.sequence.saturating_add(1);
            let records = match page(store, next)? {
                Ok(records) => records,
                Err(damage) => {
                    self.broken(next, damage);
                    return Ok(());
                }
            };
            if records.is_empty() {
                self.broken(next, "is in a segment, and the store ends before it");
                return Ok(());
            }
            for record in records
                .iter()
                .filter(|record| record.sequence <= self.head.sequence)
            {
                if let Err(found) = follow(&head, record) {
                    self.broken(found.sequence, found.what);
                    return Ok(());
                }
                head = record.head();
            }
            if records
                .last()
                .is_some_and(|last| last.sequence > self.head.sequence)
            {
                break;
            }
        }
        if !self.is_broken() && head.sequence < self.head.sequence {
            let next = head.sequence.saturating_add(1);
            self.broken(next, "is in a segment, and missing in the store");
        }
        if !self.is_broken() && head != self.head {
            self.broken(
                base.sequence.saturating_add(1),
                "is another in a segment than in the store, or one behind it is",
            );
        }
        Ok(())
    }

    /// One record further: whatever checkpoint was made there must say the same. Says whether to go on.
    fn pass(&mut self, record: &AuditRecord) -> bool {
        let head = record.head();
        self.span.take(&record.entry);
        if record.form < self.form {
            let what = format!(
                "is written in form {}, behind one in form {}: no sigward goes back",
                record.form.number(),
                self.form.number()
            );
            self.broken(head.sequence, what);
            return false;
        }
        self.form = record.form;
        self.head = head;
        self.found.records = head.sequence;
        let made_here = self
            .ahead
            .iter()
            .take_while(|made| made.head.sequence <= head.sequence)
            .count();
        for made in self.ahead.drain(..made_here).collect::<Vec<_>>() {
            if made.head != head {
                let what = format!(
                    "or one behind it, up to {}, is not what checkpoint {} was signed over",
                    made.head.sequence, made.number
                );
                self.broken(self.vouched.saturating_add(1), what);
                return false;
            }
            self.vouched = head.sequence;
            self.found.checkpoints = self.found.checkpoints.saturating_add(1);
            self.found.last_checkpoint = Some(made);
        }
        self.abandoned = head.sequence.is_multiple_of(TOLD)
            && !(self.tell)(head.sequence, self.promised.max(head.sequence));
        !self.abandoned
    }

    fn finish(mut self) -> Verification {
        self.judge_beginning();
        self.judge_expected();
        if self.found.first_broken.is_none()
            && let Some(beyond) = self.ahead.iter().max_by_key(|made| made.head.sequence)
        {
            let what = format!(
                "is missing: checkpoint {} was signed when there were {} records",
                beyond.number, beyond.head.sequence
            );
            self.broken(self.head.sequence.saturating_add(1), what);
        }
        if let Some(broken) = &self.found.first_broken {
            self.found.records = self.found.records.min(broken.sequence.saturating_sub(1));
        }
        self.found.head = self.head;
        self.found
    }
}

/// A page of records, or what is damaged where it should begin.
fn page(store: &dyn Store, from: u64) -> Result<Result<Vec<AuditRecord>, String>, Refused> {
    let mut outcome = store.audit(from, PAGE);
    if outcome.as_ref().is_err_and(is_damage) {
        // The damage may be further on: go there record by record.
        outcome = store.audit(from, 1);
    }
    match outcome {
        Ok(records) => Ok(Ok(records)),
        Err(damage) if is_damage(&damage) => Ok(Err(damage.to_string())),
        Err(other) => Err(other),
    }
}

fn is_damage(refused: &Refused) -> bool {
    matches!(refused, Refused::Failed(failure) if failure.code == FailureCode::StoreDisagrees)
}

fn unreadable(cause: std::io::Error) -> Refused {
    Failure::new(
        FailureCode::StoreUnavailable,
        format!("the audit folder or anchor: {cause}"),
    )
    .into()
}

#[cfg(test)]
mod tests;
