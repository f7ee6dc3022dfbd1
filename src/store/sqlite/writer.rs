//! The writer: judges a group of batches in order, writes one commit into witness and tables, syncs the witness, answers.
//!
//! *Invariants:* a receipt is minted after the witness was synced, nowhere else. Every waiter is told exactly once, whatever happens
//! on the way: an error, a panic, the end of the store. After an error the outcome of the commit is unknown (an fsync that
//! failed may have dropped its pages, and a second one may lie): nothing is retried, and everything later fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use sigward_policies::decision::{Failure, FailureCode, Refused};
use sigward_policies::double_sign::GuardRow;
use sigward_policies::model::id::{StoreId, UnixSeconds};
use sigward_policies::model::payload::Consensus;
use sigward_policies::proof::{Receipt, ToCommit};

use super::super::invariant::check_shape;
use super::super::ledger::{Judged, Ledger};
use super::super::lock::Lock;
use super::super::record::{AuditHead, AuditRecord};
use super::super::witness::Witness;
use super::super::{Batch, Done, Health, Receipts, stopped, unrecorded, weight};
use super::books::Books;
use super::create::checkpoint;
use super::room::{Look, Watch};
use super::table::{self, Unreadable};
use super::{Options, unpoisoned};
use crate::clock::Clock;
use crate::crash::crash_point;
use crate::telemetry::StoreMetrics;

/// Most batches in one commit: bounds how long the first of them waits for the last.
const MAX_GROUP: usize = 512;
/// Commits after which the log is folded early where space is dear: it then holds about a megabyte.
const FOLD_EARLY: u32 = 64;
/// Most audit records in one answer.
const MAX_PAGE: usize = 1000;
/// Most records that are forgotten at once: a few pages, much less work than a commit of a full group.
const MAX_FORGET: usize = 32;
/// Forgettings after which the log is folded, where no commit did it: it then holds a few megabytes.
const FOLD_FORGOTTEN: u32 = 128;

/// Somebody who waits: told once, at the latest when it is dropped.
pub(super) struct Waiter(Option<Done>);

impl Waiter {
    pub(super) fn new(done: Done) -> Self {
        Self(Some(done))
    }

    pub(super) fn tell(mut self, outcome: Result<Receipts, Refused>) {
        Self::call(self.0.take(), outcome);
    }

    /// A waiter that panics harms itself only.
    fn call(done: Option<Done>, outcome: Result<Receipts, Refused>) {
        if let Some(done) = done {
            let _panicked = catch_unwind(AssertUnwindSafe(|| done(outcome)));
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        Self::call(self.0.take(), Err(stopped()));
    }
}

/// What becomes of a batch once its commit is durable.
#[derive(Debug)]
enum Settled {
    Committed(Option<(ToCommit<Consensus>, GuardRow)>),
    Refused(Refused, Option<(ToCommit<Consensus>, GuardRow)>),
}

impl Settled {
    /// The commit is on disk, in the witness: mints the receipt, and tells memory what the store holds.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that mints receipts: after the witness was synced"
    )]
    fn conclude(self, commit: u64) -> Result<Receipts, Refused> {
        match self {
            Self::Committed(signed) => Ok(Receipts {
                signature: signed.map(|(request, row)| Receipt::asserted_by_store(request, row)),
                commit,
            }),
            Self::Refused(refused, overtaken) => {
                if let Some((request, row)) = overtaken {
                    request.corrected_by_store(row);
                }
                Err(refused)
            }
        }
    }
}

fn unreadable(cause: Unreadable) -> Refused {
    let code = match cause {
        Unreadable::Sqlite(_) => FailureCode::StoreUnavailable,
        Unreadable::Damaged(_) | Unreadable::Newer(_) => FailureCode::StoreDisagrees,
    };
    Failure::new(code, cause.to_string()).into()
}

/// Why a commit did not become durable.
#[derive(Debug)]
struct Broken {
    doing: &'static str,
    cause: String,
}

fn while_<E: std::fmt::Display>(doing: &'static str) -> impl FnOnce(E) -> Broken {
    move |cause| Broken {
        doing,
        cause: cause.to_string(),
    }
}

/// Whoever holds the writer's lock owns: connection, ledger, witness, lock. Dropped in this order: the lock goes last.
pub(super) struct Writer {
    books: Books,
    witness: Witness,
    health: Arc<Mutex<Health>>,
    /// Told of every commit, once somebody wants to know.
    metrics: Arc<OnceLock<StoreMetrics>>,
    failed: Option<String>,
    clock: Arc<dyn Clock>,
    watch: Watch,
    /// Commits since the log was folded.
    unfolded: u32,
    /// Forgettings since then.
    forgotten: u32,
    _lock: Lock,
}

impl Writer {
    pub(super) fn new(books: Books, witness: Witness, lock: Lock, options: &Options) -> Self {
        let health = Health {
            failed: None,
            commit: books.meta.sequence,
            audit_records: books.meta.audit.sequence,
        };
        Self {
            books,
            witness,
            health: Arc::new(Mutex::new(health)),
            metrics: Arc::default(),
            failed: None,
            clock: options.clock.clone(),
            watch: Watch::new(options),
            // What an earlier process left in it is not known.
            unfolded: FOLD_EARLY,
            forgotten: 0,
            _lock: lock,
        }
    }

    pub(super) const fn id(&self) -> StoreId {
        self.books.meta.store
    }

    pub(super) fn shared_health(&self) -> Arc<Mutex<Health>> {
        self.health.clone()
    }

    pub(super) fn shared_metrics(&self) -> Arc<OnceLock<StoreMetrics>> {
        self.metrics.clone()
    }

    pub(super) const fn ledger(&self) -> &Ledger {
        &self.books.ledger
    }

    /// An error once something has failed.
    pub(super) fn working(&self) -> Result<(), Refused> {
        match &self.failed {
            None => Ok(()),
            Some(why) => Err(Failure::new(FailureCode::StoreUnavailable, why.clone()).into()),
        }
    }

    /// Reads a page of the audit chain. A record that does not hold is a failure of its own kind, so that a check can name it.
    /// They end early, behind the first, where `enough` says so.
    pub(super) fn audit(
        &self,
        from: u64,
        limit: usize,
        enough: &dyn Fn() -> bool,
    ) -> Result<Vec<AuditRecord>, Refused> {
        table::read_records(&self.books.connection, from, limit.min(MAX_PAGE), enough).map_err(unreadable)
    }

    /// The end: what cannot be folded in now is folded in later; the witness has it meanwhile.
    pub(super) fn finish(self) {
        if self.failed.is_none() {
            let _later = checkpoint(&self.books.connection);
        }
    }

    /// How many signatures fit into one commit.
    pub(super) fn max_group(&self) -> usize {
        (self.witness.room() / weight::SIGNATURE).clamp(1, MAX_GROUP)
    }

    /// What the batches of one commit may weigh together.
    pub(super) fn room(&self) -> usize {
        self.witness.room()
    }

    /// Makes one commit of `group` and tells everybody in it.
    pub(super) fn settle(&mut self, group: Vec<(Batch, Waiter)>) {
        let (batches, waiters): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let durable = self.working().and_then(|()| {
            catch_unwind(AssertUnwindSafe(|| self.make_durable(batches)))
                .unwrap_or_else(|_| Err(while_("judging")("a panic")))
                .map_err(|broken| self.fail(&broken))
        });
        crash_point!("store_before_done");
        match durable {
            Ok(settled) => {
                let commit = self.books.meta.sequence;
                for (waiter, settled) in waiters.into_iter().zip(settled) {
                    waiter.tell(settled.conclude(commit));
                }
            }
            Err(refused) => {
                for waiter in waiters {
                    waiter.tell(Err(refused.clone()));
                }
            }
        }
    }

    /// One durable commit for all of `batches`, in the witness; none if all of them were refused, as then nothing rests on it.
    fn make_durable(&mut self, batches: Vec<Batch>) -> Result<Vec<Settled>, Broken> {
        crash_point!("store_before_begin");
        let (began, count) = (Instant::now(), batches.len());
        let now = self.clock.unix_seconds();
        let look = self.watch.look(batches.len());
        let weight: usize = if cfg!(debug_assertions) {
            batches.iter().map(weight::of).sum()
        } else {
            0
        };
        let mut head = self.books.meta.audit;
        let mut records = Vec::with_capacity(batches.len());
        let settled = batches
            .into_iter()
            .map(|batch| self.judge(batch, look, now, &mut head, &mut records))
            .collect();
        // Every signature and every change has its record (`check_shape`): no record, nothing to write.
        if records.is_empty() && !unrecorded::is() {
            return Ok(settled);
        }
        let (meta, redo) = self
            .books
            .draw(self.books.meta.sequence.saturating_add(1), records);
        let encoded = redo.encode();
        debug_assert!(
            unrecorded::is() || encoded.len() <= weight + Witness::AROUND,
            "a batch came to more than it weighed: {} of {weight}",
            encoded.len()
        );
        if !self.witness.has_room(encoded.len()) {
            // What stands in the other segment is in the tables; once these are synced it may go.
            self.fold()?;
            crash_point!("store_checkpointed");
            self.witness.switch();
        } else if look.asks_to_fold() && self.unfolded >= FOLD_EARLY {
            // The log grows by some pages a commit, and folded pages are used again.
            self.fold()?;
        }
        // The tables are written, though not synced, before anybody hears: whoever kills this process leaves both.
        self.witness
            .write(&meta.testimony(), encoded)
            .map_err(while_("writing the witness"))?;
        self.books
            .write(meta, &redo)
            .map_err(while_("writing the tables"))?;
        self.unfolded = self.unfolded.saturating_add(1);
        crash_point!("store_tables_written");
        self.witness.sync().map_err(while_("syncing the witness"))?;
        let mut health = unpoisoned(&self.health);
        health.commit = meta.sequence;
        health.audit_records = meta.audit.sequence;
        drop(health);
        if let Some(metrics) = self.metrics.get() {
            metrics.committed(meta.sequence, meta.audit.sequence, count, began.elapsed());
        }
        Ok(settled)
    }

    fn fold(&mut self) -> Result<(), Broken> {
        checkpoint(&self.books.connection).map_err(while_("syncing the tables"))?;
        self.unfolded = 0;
        self.forgotten = 0;
        Ok(())
    }

    /// Where the records in the tables begin.
    pub(super) fn audit_base(&self) -> Result<AuditHead, Refused> {
        table::read_audit_base(&self.books.connection, &self.books.meta.store).map_err(unreadable)
    }

    /// Forgets up to `most` of the oldest records, none beyond `kept` and never the last one. `kept` is a record that the caller
    /// has kept elsewhere, by its hash: one that is not the same here is refused, and nothing is forgotten.
    pub(super) fn forget(&mut self, kept: &AuditHead, most: usize) -> Result<AuditHead, Refused> {
        self.working()?;
        let base = self.audit_base()?;
        let most = u64::try_from(most.min(MAX_FORGET)).unwrap_or(u64::MAX);
        let through = kept
            .sequence
            .min(base.sequence.saturating_add(most))
            .min(self.books.meta.audit.sequence.saturating_sub(1));
        if through <= base.sequence {
            return Ok(base);
        }
        if self.place_of(kept.sequence)? != Some(*kept) {
            let what = format!("record {} is not the one that was kept", kept.sequence);
            return Err(Failure::new(FailureCode::StoreDisagrees, what).into());
        }
        let Some(next) = self.place_of(through)? else {
            let what = format!("record {through} is missing");
            return Err(Failure::new(FailureCode::StoreDisagrees, what).into());
        };
        self.watch.look(1).allows(&Batch::default())?;
        let done = self
            .books
            .forget(&next)
            .map_err(while_("forgetting records"))
            .and_then(|()| {
                self.forgotten = self.forgotten.saturating_add(1);
                if self.forgotten >= FOLD_FORGOTTEN {
                    self.fold()?;
                }
                Ok(())
            });
        match done {
            Ok(()) => Ok(next),
            Err(broken) => Err(self.fail(&broken)),
        }
    }

    fn place_of(&self, sequence: u64) -> Result<Option<AuditHead>, Refused> {
        let found = self.audit(sequence, 1, &|| false)?.into_iter().next();
        Ok(found
            .map(|record| record.head())
            .filter(|head| head.sequence == sequence))
    }

    fn judge(
        &mut self,
        batch: Batch,
        look: Look,
        now: UnixSeconds,
        head: &mut AuditHead,
        records: &mut Vec<(AuditRecord, Vec<u8>)>,
    ) -> Settled {
        if let Err(refused) = check_shape(&batch).and_then(|()| look.allows(&batch)) {
            return Settled::Refused(refused, None);
        }
        match self.books.ledger.judge(batch.signature, batch.changes, now) {
            Judged::Accepted(signed) => {
                for mut entry in batch.entries {
                    if let (None, Some(key)) = (entry.key_version, &entry.key) {
                        entry.key_version = self.books.ledger.version_of(key);
                    }
                    let (record, encoded) = AuditRecord::link(head, entry);
                    *head = record.head();
                    records.push((record, encoded));
                }
                Settled::Committed(signed)
            }
            Judged::Refused(refused, overtaken) => Settled::Refused(refused, overtaken),
        }
    }

    /// From here on everything fails.
    fn fail(&mut self, broken: &Broken) -> Refused {
        let why = format!(
            "commit {} failed while {}: {}; restart: only that compares the store with its witness (make room first if the disk is full)",
            self.books.meta.sequence.saturating_add(1),
            broken.doing,
            broken.cause
        );
        unpoisoned(&self.health).failed = Some(why.clone());
        self.failed = Some(why.clone());
        Failure::new(FailureCode::StoreUnavailable, why).into()
    }

    /// For tests.
    #[cfg(test)]
    pub(super) const fn connection(&self) -> &rusqlite::Connection {
        &self.books.connection
    }

    /// For tests: memory is what the tables say.
    #[cfg(test)]
    pub(super) fn compare_with_tables(&self) -> Result<(), Unreadable> {
        self.books.compare_with_tables()
    }
}
