//! The keeper: what is done with records behind the back of those who sign. It signs checkpoints, writes complete stretches of the
//! chain into segments, has the store forget what is older than the retention and safely in one, and removes old segments if it is told to.
//!
//! *Invariants:* the store forgets a record only after this process has read it back from its segment; a segment never overlaps another;
//! a folder that is gone is not begun anew; whatever is cut off is done again or found done by the next [`Keeper::turn`]. Nothing here holds
//! the store for longer than a page.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use sigward_hsm::software::CheckpointKey;
use sigward_policies::model::algorithm::PublicKey;

use super::checkpoint::Checkpoint;
use super::history::Stay;
use super::ledger::{CheckpointFile, FILE, Whose};
use super::segment::{self, Header, Segment, SegmentFolder, SegmentReader};
use super::verify::Expected;
use crate::clock::Clock;
use crate::crash::crash_point;
use crate::store::space::{Room, Space, SpaceLimits};
use crate::store::{AuditHead, AuditRecord, Store};

mod error;
mod mark;
mod place;
mod remove;

pub use error::KeepError;
use mark::Mark;
use place::Place;
pub(super) use remove::removed_by;

/// Records read or forgotten at a time: no vote waits for more.
const PAGE: usize = 128;
/// Rest between two pages, so that whoever signs comes first.
const REST: Duration = Duration::from_millis(2);
/// A lag of this many times what is configured is a failure.
const TOO_LATE: u32 = 3;
/// Segments written before old records are looked at again.
const AT_A_TIME: u64 = 8;

/// How records are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The audit folder.
    pub folder: PathBuf,
    /// The state folder, where it is remembered that the audit folder was made.
    pub state: PathBuf,
    /// Records of a segment.
    pub segment_records: u64,
    /// A segment is written when its first record is this old, however few there are.
    pub segment_age: Duration,
    /// How long records stay in the database.
    pub retention: Duration,
    /// Records between two checkpoints.
    pub checkpoint_records: u64,
    /// A checkpoint is signed when the first record behind the last one is this old.
    pub checkpoint_age: Duration,
    /// How long segments stay; none: for ever.
    pub segments_for: Option<Duration>,
    /// How many bytes of segments stay; none: all.
    pub segments_bytes: Option<u64>,
    /// From which free space on no segment is written.
    pub space: SpaceLimits,
}

/// How late what is due at this age may be before that is a failure: the keeper is stuck.
pub fn latest(age: Duration) -> Duration {
    age.saturating_mul(TOO_LATE)
        .saturating_add(Duration::from_secs(60))
}

/// What a turn came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Turn {
    /// A checkpoint that was signed.
    pub checkpoint: Option<Checkpoint>,
    /// Segments that were written.
    pub segments: u64,
    /// Records that the store forgot.
    pub forgotten: u64,
    /// Segments that were removed.
    pub removed: u64,
}

/// Which segments are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Those that are due, at most so many.
    Now(u64),
    /// Whatever is in none.
    OrNot,
}

/// Where everything stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// Records of the chain.
    pub records: u64,
    /// The last one in a segment.
    pub exported: u64,
    /// The last one before those in the database.
    pub base: u64,
    /// The last one that a checkpoint vouches for.
    pub vouched: u64,
}

/// The keeper of one store.
pub struct Keeper {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    folder: SegmentFolder,
    place: Place,
    mark: Mark,
    checkpoints: CheckpointFile,
    /// Whose of its lines count.
    key: Option<PublicKey>,
    last: Option<Checkpoint>,
    /// First records of segments that this process has read back.
    read_back: BTreeSet<u64>,
    stay: Stay,
    /// How far each anchor was told.
    anchors: Vec<Arc<AtomicU64>>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Keeper {
    /// The keeper of `store`. `key` is the one that its checkpoints are signed with, where it is known; else, until one is signed, that of
    /// the first in the folder is believed.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        stay: Stay,
        key: Option<PublicKey>,
    ) -> Result<Self, KeepError> {
        let folder = SegmentFolder::of(&settings.folder, &store.id());
        let checkpoints = CheckpointFile::at(folder.path().join(FILE));
        let mark = Mark::in_state(&settings.state);
        let mut keeper = Self {
            store,
            clock,
            settings,
            folder,
            place: Place::Unseen,
            mark,
            checkpoints,
            key,
            last: None,
            read_back: BTreeSet::new(),
            stay,
            anchors: Vec::new(),
        };
        keeper.last = keeper.last_checkpoint()?;
        Ok(keeper)
    }

    /// One more anchor: whoever tells it of checkpoints puts in here how far it was told, and no segment is removed before that.
    pub fn waits_for_anchor(&mut self) -> Arc<AtomicU64> {
        let told = Arc::<AtomicU64>::default();
        self.anchors.push(told.clone());
        told
    }

    /// The last checkpoint.
    pub const fn last(&self) -> Option<&Checkpoint> {
        self.last.as_ref()
    }

    /// The checkpoints in the state.
    pub const fn checkpoints(&self) -> &CheckpointFile {
        &self.checkpoints
    }

    /// From when on there must be a checkpoint: when being late is a failure, and not before.
    pub fn expects(&self) -> Expected {
        Expected {
            records: self.settings.checkpoint_records,
            age: latest(self.settings.checkpoint_age),
        }
    }

    /// Whose checkpoints they are.
    pub fn whose(&self) -> Whose {
        Whose {
            store: self.store.id(),
            key: self.key,
        }
    }

    /// Does all that is due, until `stop` says so. Without a key, everything but checkpoints.
    pub fn turn(&mut self, key: Option<&CheckpointKey>, stop: &dyn Fn() -> bool) -> Result<Turn, KeepError> {
        let mut turn = Turn::default();
        if let Some(key) = key {
            turn.checkpoint = self.sign(key, false)?;
        }
        // A few at a time, so that what is written also leaves.
        turn.segments = self.export(Due::Now(AT_A_TIME), stop)?;
        turn.forgotten = self.forget(stop)?;
        turn.removed = self.remove(stop)?;
        Ok(turn)
    }

    /// Where everything stands.
    pub fn standing(&self) -> Result<Standing, KeepError> {
        let base = self.store.audit_base()?.sequence;
        Ok(Standing {
            records: self.store.health().audit_records,
            exported: exported(base, &self.segments()?).0,
            base,
            vouched: self.last.as_ref().map_or(0, |last| last.head.sequence),
        })
    }

    /// How old the first record behind `sequence` is; zero if there is none.
    pub fn lag_behind(&self, sequence: u64) -> Result<Duration, KeepError> {
        let oldest = self
            .store
            .audit(sequence.saturating_add(1), 1)?
            .into_iter()
            .next();
        Ok(oldest.map_or(Duration::ZERO, |record| self.age(record.entry.time_micros)))
    }

    /// Signs a checkpoint if one is due, or if `now` says so and there is something new.
    pub fn sign(&mut self, key: &CheckpointKey, now: bool) -> Result<Option<Checkpoint>, KeepError> {
        self.find_folder()?;
        self.key = Some(*key.public_key());
        let sequence = self.store.health().audit_records;
        let vouched = self.last.as_ref().map_or(0, |last| last.head.sequence);
        if sequence < vouched {
            let what = format!(
                "checkpoints speak of {vouched} records, the store has {sequence}: an older copy of it"
            );
            return Err(KeepError::Foreign(what));
        }
        let due = sequence.saturating_sub(vouched) >= self.settings.checkpoint_records
            || now
            || self.lag_behind(vouched)? >= self.settings.checkpoint_age;
        if sequence == vouched || !due {
            return Ok(None);
        }
        let Some(record) = self.store.audit(sequence, 1)?.into_iter().next() else {
            return Ok(None);
        };
        let made = Checkpoint::sign(
            key,
            self.store.id(),
            self.last.as_ref(),
            record.head(),
            self.clock.unix_micros(),
        );
        let made = made
            .ok_or_else(|| self.failed("signing a checkpoint", io::Error::other("the key does not sign")))?;
        self.checkpoints
            .append(&made)
            .map_err(|cause| self.failed("writing a checkpoint", cause))?;
        crash_point!("audit_checkpoint_signed");
        self.last = Some(made.clone());
        Ok(Some(made))
    }

    /// Writes segments.
    pub fn export(&mut self, due: Due, stop: &dyn Fn() -> bool) -> Result<u64, KeepError> {
        let (all, most) = match due {
            Due::Now(most) => (false, most),
            Due::OrNot => (true, u64::MAX),
        };
        let mut written = 0;
        self.find_folder()?;
        while written < most && !stop() {
            let base = self.store.audit_base()?;
            let records = self.store.health().audit_records;
            let (exported, before_next) = exported(base.sequence, &self.segments()?);
            if exported > records {
                let what = format!(
                    "a segment holds record {exported}, the store has {records}: an older copy of it"
                );
                return Err(KeepError::Foreign(what));
            }
            let waiting = records.min(before_next).saturating_sub(exported);
            let due = waiting >= self.settings.segment_records
                || before_next != u64::MAX
                || all
                || self.lag_behind(exported)? >= self.settings.segment_age;
            if waiting == 0 || !due {
                break;
            }
            self.has_room()?;
            let last = exported.saturating_add(waiting.min(self.settings.segment_records));
            let before = self.place(base, exported)?;
            let Some(segment) = self.write(before, last, stop)? else {
                break;
            };
            self.read_back.insert(segment.first);
            written += 1;
        }
        Ok(written)
    }

    /// Has the store forget what is older than the retention and in segments that were read back, segment by segment.
    fn forget(&mut self, stop: &dyn Fn() -> bool) -> Result<u64, KeepError> {
        let stay = self.stay.clone();
        let mut forgotten: u64 = 0;
        let base = self.store.audit_base()?.sequence;
        let mut behind = base;
        for segment in self.segments()? {
            if segment.last <= behind {
                continue;
            }
            if segment.first > behind.saturating_add(1) || stop() {
                break;
            }
            let Some(kept) = self.kept(&segment)? else { break };
            // Whoever reads now finds it where he looked; it leaves at a later turn.
            let Some(_nobody_reads) = stay.leaving() else {
                break;
            };
            let mut now = self.store.audit_base()?.sequence;
            while !stop() {
                // The last record stays in the store: what is behind it links to it.
                let next = self.store.forget_audit(&kept, PAGE)?.sequence;
                if next == now {
                    break;
                }
                forgotten = forgotten.saturating_add(next.saturating_sub(now));
                now = next;
                std::thread::sleep(REST);
            }
            behind = segment.last;
            self.read_back.remove(&segment.first);
        }
        Ok(forgotten)
    }

    /// The last record of a segment that is older than the retention and that this process has read back; none if it is younger.
    fn kept(&mut self, segment: &Segment) -> Result<Option<AuditHead>, KeepError> {
        let failed = |cause| self.failed("reading a segment", cause);
        let reader = SegmentReader::open(&segment.path).map_err(failed)?;
        let footer = *reader.footer();
        if self.age(footer.last_time) < self.settings.retention {
            return Ok(None);
        }
        if reader.header().store != self.store.id() || footer.last.sequence != segment.last {
            let name = segment.path.display();
            return Err(KeepError::Foreign(format!(
                "{name} holds other records than its name says"
            )));
        }
        if !self.read_back.contains(&segment.first) {
            reader
                .verify()
                .map_err(|cause| self.failed("reading a segment", io::Error::other(cause)))?;
            self.read_back.insert(segment.first);
        }
        Ok(Some(footer.last))
    }

    /// The place of the record `sequence`, which is in the database or is the last before it.
    fn place(&self, base: AuditHead, sequence: u64) -> Result<AuditHead, KeepError> {
        if sequence == base.sequence {
            return Ok(base);
        }
        let record = self.store.audit(sequence, 1)?.into_iter().next();
        let head = record.as_ref().map(AuditRecord::head);
        head.filter(|head| head.sequence == sequence)
            .ok_or_else(|| KeepError::Foreign(format!("record {sequence} is missing")))
    }

    fn write(
        &self,
        before: AuditHead,
        last: u64,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Segment>, KeepError> {
        let store = &self.store;
        let mut page: std::vec::IntoIter<AuditRecord> = Vec::new().into_iter();
        let mut next = before.sequence.saturating_add(1);
        let header = Header {
            store: store.id(),
            before,
        };
        let written = segment::write(&self.folder, &header, || {
            if next > last {
                return Ok(None);
            }
            if page.len() == 0 {
                if stop() {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                page = store.audit(next, PAGE).map_err(io::Error::other)?.into_iter();
                std::thread::sleep(REST);
            }
            let record = page.next().filter(|record| record.sequence == next);
            let record = record.ok_or_else(|| io::Error::other(format!("record {next} is missing")))?;
            next = next.saturating_add(1);
            Ok(Some(record))
        });
        match written {
            Ok(segment) => Ok(segment),
            // What was begun is begun anew at the next start.
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted && stop() => Ok(None),
            Err(cause) => Err(self.failed("writing a segment", cause)),
        }
    }

    fn last_checkpoint(&mut self) -> Result<Option<Checkpoint>, KeepError> {
        let last = self.checkpoints.last_of(&self.whose());
        let last = last.map_err(|cause| self.failed("reading checkpoints", cause))?;
        self.key = self.key.or(last.as_ref().map(|last| last.key));
        Ok(last)
    }

    fn has_room(&self) -> Result<(), KeepError> {
        match Space::of(self.folder.path()) {
            Ok(space) if space.room(self.settings.space, 0) < Room::Plenty => Err(KeepError::Space {
                folder: self.folder.path().to_owned(),
                space,
            }),
            _ => Ok(()),
        }
    }

    /// A clock that was set back makes nothing younger than it is by more than it was set back.
    fn age(&self, time_micros: i64) -> Duration {
        let age = self.clock.unix_micros().saturating_sub(time_micros);
        Duration::from_micros(u64::try_from(age).unwrap_or(0))
    }

    fn in_folder<T>(
        &self,
        doing: &'static str,
        act: impl FnOnce(&SegmentFolder) -> io::Result<T>,
    ) -> Result<T, KeepError> {
        act(&self.folder).map_err(|cause| self.failed(doing, cause))
    }

    fn failed(&self, doing: &'static str, cause: io::Error) -> KeepError {
        KeepError::Folder {
            doing,
            folder: self.folder.path().to_owned(),
            cause,
        }
    }
}

/// The last record that is in a segment without a gap behind `base`, and the last one before the next segment, if there is one.
fn exported(base: u64, segments: &[Segment]) -> (u64, u64) {
    let mut exported = base;
    for segment in segments.iter().filter(|segment| segment.last > base) {
        if segment.first > exported.saturating_add(1) {
            return (exported, segment.first.saturating_sub(1));
        }
        exported = exported.max(segment.last);
    }
    (exported, u64::MAX)
}

#[cfg(test)]
mod tests;
