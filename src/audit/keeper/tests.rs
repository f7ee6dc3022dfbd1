#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
//! The keeper over a real store, and what `verify` says of every kind of tampering with what it left behind.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::channel;

use proptest::prelude::*;

use super::*;
use crate::audit::testing::{Signer, entry};
use crate::audit::{Break, Evidence, Verification, verify};
use crate::store::{Batch, Options, SqliteStore};

mod forms;
mod place;
mod reading;
mod removal;

struct Turned(AtomicI64);

impl Clock for Turned {
    fn unix_micros(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Stage {
    tmp: tempfile::TempDir,
    options: Options,
    store: Arc<SqliteStore>,
    clock: Arc<Turned>,
    signer: Signer,
    keeper: Keeper,
}

impl Stage {
    fn new() -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let clock = Arc::new(Turned(AtomicI64::new(0)));
        let mut options = Options::new(tmp.path().join("state"), clock.clone());
        options.allow_volatile = true;
        options.witness_segment = 64 * 1024;
        SqliteStore::create(&options).unwrap();
        Self::over(tmp, options, clock)
    }

    /// With the store that is there.
    fn over(tmp: tempfile::TempDir, options: Options, clock: Arc<Turned>) -> Self {
        let store = SqliteStore::open(&options).unwrap();
        let signer = Signer::of(store.id());
        let keeper = keeper(&store, &clock, tmp.path());
        Self {
            tmp,
            options,
            store,
            clock,
            signer,
            keeper,
        }
    }

    /// Records of one second each.
    fn record(&self, count: u64) {
        for _ in 0..count {
            let n = self.store.health().audit_records + 1;
            let (tell, told) = channel();
            self.store.commit(
                Batch::record(vec![entry(n)]),
                Box::new(move |done| tell.send(done).unwrap()),
            );
            told.recv().unwrap().unwrap();
            self.clock.0.store(n as i64 * 1_000_000, Ordering::Relaxed);
        }
    }

    fn turn(&mut self) -> Turn {
        self.keeper.turn(Some(&self.signer.key), &|| false).unwrap()
    }

    fn evidence(&self) -> Evidence {
        Evidence {
            folder: Some(self.tmp.path().join("audit")),
            ..Evidence::default()
        }
    }

    fn verify(&self) -> Verification {
        verify(&*self.store, &self.evidence()).unwrap()
    }
}

fn keeper(store: &Arc<SqliteStore>, clock: &Arc<Turned>, tmp: &Path) -> Keeper {
    let settings = Settings {
        folder: tmp.join("audit"),
        state: tmp.join("state"),
        segment_records: 10,
        segment_age: Duration::from_secs(60),
        retention: Duration::from_secs(20),
        checkpoint_records: 7,
        checkpoint_age: Duration::from_secs(30),
        segments_for: None,
        segments_bytes: None,
        space: SpaceLimits { low: 0, reserve: 0 },
    };
    Keeper::new(store.clone(), clock.clone(), settings, Stay::default(), None).unwrap()
}

#[test]
fn records_leave_the_database_when_they_are_old_and_in_a_segment_and_the_chain_holds() {
    let mut stage = Stage::new();
    assert_eq!(stage.turn(), Turn::default());
    stage.record(9);
    let turn = stage.turn();
    assert_eq!((turn.segments, turn.forgotten), (0, 0));
    assert_eq!(turn.checkpoint.unwrap().head.sequence, 9);
    stage.record(36);
    let turn = stage.turn();
    assert_eq!(
        (turn.segments, turn.forgotten),
        (4, 20),
        "records 21 to 45 are too young"
    );
    let standing = stage.keeper.standing().unwrap();
    assert_eq!(
        (
            standing.records,
            standing.exported,
            standing.base,
            standing.vouched
        ),
        (45, 40, 20, 45)
    );
    assert_eq!(stage.turn(), Turn::default(), "nothing is due");
    let found = stage.verify();
    assert_eq!(
        (
            found.records,
            found.exported,
            found.checkpoints,
            found.first_broken
        ),
        (45, 40, 2, None)
    );

    // Age makes a segment of few, and a checkpoint of none that is new.
    stage.clock.0.store(200_000_000, Ordering::Relaxed);
    let turn = stage.turn();
    assert_eq!(
        (turn.segments, turn.forgotten, turn.checkpoint),
        (1, 24, None),
        "the last record stays"
    );
    assert_eq!(stage.verify().first_broken, None);
    assert_eq!(stage.keeper.lag_behind(45).unwrap(), Duration::ZERO);
    assert_eq!(stage.keeper.lag_behind(44).unwrap(), Duration::from_secs(155));
}

#[test]
fn a_segment_that_is_gone_or_broken_keeps_its_records_in_the_database() {
    let mut stage = Stage::new();
    stage.record(30);
    stage.keeper.export(Due::Now(u64::MAX), &|| false).unwrap();
    let segments = stage.keeper.folder.list().unwrap();
    stage.clock.0.store(900_000_000, Ordering::Relaxed);
    let mut bytes = std::fs::read(&segments[1].path).unwrap();
    bytes[90] ^= 1;
    std::fs::write(&segments[1].path, &bytes).unwrap();
    // A keeper that has not written it reads it before anything is forgotten.
    stage.keeper = keeper(&stage.store, &stage.clock, stage.tmp.path());
    stage.keeper.turn(None, &|| false).unwrap_err();
    assert_eq!(
        stage.store.audit_base().unwrap().sequence,
        10,
        "up to the one before it"
    );
    // Moved away, it is written again, and fits between its neighbours.
    std::fs::remove_file(&segments[1].path).unwrap();
    let turn = stage.keeper.turn(None, &|| false).unwrap();
    assert_eq!((turn.segments, turn.forgotten), (1, 19));
    assert_eq!(stage.keeper.folder.list().unwrap(), segments);
    assert_eq!(stage.verify().first_broken, None);
}

#[test]
fn whoever_reads_keeps_records_where_they_are() {
    let mut stage = Stage::new();
    stage.record(30);
    stage.clock.0.store(900_000_000, Ordering::Relaxed);
    let stay = stage.keeper.stay.clone();
    let reading = stay.reading();
    assert_eq!(stage.turn().forgotten, 0);
    drop(reading);
    assert_eq!(stage.turn().forgotten, 29);
}

#[test]
fn what_is_cut_off_at_the_end_shows_against_an_anchor_and_not_without() {
    let mut stage = Stage::new();
    stage.record(20);
    stage.turn();
    let anchor = stage.tmp.path().join("anchor");
    std::fs::copy(stage.keeper.checkpoints().path(), &anchor).unwrap();
    let with = |anchor: &Path, key| {
        let evidence = Evidence {
            anchor: Some(anchor.to_owned()),
            key,
            ..stage.evidence()
        };
        verify(&*stage.store, &evidence).unwrap()
    };
    assert_eq!(with(&anchor, None).anchored, Some((1, 20)));
    assert_eq!(with(&anchor, None).first_broken, None);
    let own = *stage.signer.key.public_key();
    assert_eq!(with(&anchor, Some(own)).first_broken, None);
    let other = *Signer::new().key.public_key();
    assert!(with(&anchor, Some(other)).first_broken.is_some());
    // The state forgets its checkpoint; the anchor does not.
    std::fs::remove_file(stage.keeper.checkpoints().path()).unwrap();
    assert_eq!(stage.verify().first_broken, None);
    assert!(with(&anchor, Some(own)).first_broken.is_some());
    // An older state, checkpoints and all: only the anchor knows better.
    let last = stage.keeper.last().cloned().unwrap();
    let ahead = AuditHead {
        sequence: 33,
        hash: [9; 32],
    };
    let later = Checkpoint::sign(&stage.signer.key, stage.store.id(), Some(&last), ahead, 1).unwrap();
    CheckpointFile::at(&anchor).append(&later).unwrap();
    stage.keeper.checkpoints().append(&last).unwrap();
    assert_eq!(stage.verify().first_broken, None);
    let found = with(&anchor, Some(own)).first_broken.unwrap();
    assert_eq!(found.sequence, 21, "{found:?}");
}

/// What somebody does to the files.
#[derive(Clone, Copy, Debug)]
enum Tamper {
    Flip,
    Cut,
    Remove,
    Copy,
    Swap,
}

/// What is at stake: 60 records, 1 to 40 in segments, 21 to 60 in the database, checkpoints at 9 and 60.
fn kept() -> Stage {
    let mut stage = Stage::new();
    stage.record(9);
    stage.turn();
    stage.record(51);
    stage.turn();
    assert_eq!(stage.store.audit_base().unwrap().sequence, 40);
    stage
}

fn found(stage: &Stage) -> Option<Break> {
    stage.verify().first_broken
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_tampering_with_a_segment_is_named_at_or_before_its_first_record(
        kind in prop_oneof![Just(Tamper::Flip), Just(Tamper::Cut), Just(Tamper::Remove), Just(Tamper::Copy), Just(Tamper::Swap)],
        which in 0usize..4,
        other in 0usize..4,
        at in 0.0f64..1.0,
        bit in 0u8..8,
    ) {
        let stage = kept();
        let segments = stage.keeper.folder.list().unwrap();
        let one = &segments[which];
        let bytes = std::fs::read(&one.path).unwrap();
        let place = (at * bytes.len() as f64) as usize;
        // No record behind this one is whole any more: what is named may not be behind it.
        let most;
        match kind {
            Tamper::Flip => {
                let mut bad = bytes.clone();
                bad[place] ^= 1 << bit;
                std::fs::write(&one.path, bad).unwrap();
                // Those that still read as they were written are not touched.
                let mut reader = match SegmentReader::open(&one.path) { Ok(reader) => reader, Err(_) => {
                    prop_assert!(found(&stage).unwrap().sequence <= one.first);
                    return Ok(());
                } };
                let mut whole = one.first;
                while let Ok(Some(record)) = reader.next_record() { whole = record.sequence + 1; }
                most = whole;
            }
            Tamper::Cut => { std::fs::write(&one.path, &bytes[..place]).unwrap(); most = one.first; }
            Tamper::Remove => { std::fs::remove_file(&one.path).unwrap(); most = one.first; }
            Tamper::Copy => {
                let forged = stage.keeper.folder.path().join(format!("segment-{:020}-{:020}.sgwa", one.first, one.last + 1));
                std::fs::copy(&one.path, forged).unwrap();
                most = one.last + 1;
            }
            Tamper::Swap => {
                prop_assume!(which != other);
                let with = std::fs::read(&segments[other].path).unwrap();
                std::fs::write(&one.path, with).unwrap();
                std::fs::write(&segments[other].path, bytes).unwrap();
                most = one.first.min(segments[other].first);
            }
        }
        let named = found(&stage);
        prop_assert!(named.as_ref().is_some_and(|named| named.sequence <= most), "{kind:?} {named:?} {most}");
    }

    #[test]
    fn every_tampering_with_the_database_is_named_at_or_before_its_first_record(
        kind in 0u8..6, at in 42i64..65, other in 42i64..65,
    ) {
        // Whoever links everything anew behind the last checkpoint and the last segment is found, but further on.
        let at = if kind == 4 { at.min(59) } else { at };
        let stage = kept();
        stage.record(5);
        let first = tamper_rows(&stage, kind, at, other);
        // The ends are checked when the store is opened.
        match SqliteStore::open(&stage.options) {
            Err(refused) => prop_assert_eq!(refused.code.as_str(), "store_corrupt"),
            Ok(store) => {
                let named = verify(&*store, &stage.evidence()).unwrap().first_broken;
                prop_assert!(named.as_ref().is_some_and(|named| named.sequence <= first), "{kind} {named:?} {first}");
            }
        }
    }

    #[test]
    fn every_tampering_with_the_checkpoints_is_named(at in 0.0f64..1.0, bit in 0u8..8, cut in any::<bool>()) {
        let stage = kept();
        let file = stage.keeper.checkpoints().path().to_owned();
        let mut bytes = std::fs::read(&file).unwrap();
        let anchor = stage.tmp.path().join("anchor");
        std::fs::write(&anchor, &bytes).unwrap();
        let place = (at * bytes.len() as f64) as usize;
        if cut { bytes.truncate(place) } else { bytes[place] ^= 1 << bit }
        std::fs::write(&file, &bytes).unwrap();
        // What is cut off shows against the anchor only; so does a line whose end was altered away.
        let evidence = Evidence { anchor: Some(anchor), key: Some(*stage.signer.key.public_key()), ..stage.evidence() };
        let named = verify(&*stage.store, &evidence).unwrap().first_broken;
        prop_assert!(named.as_ref().is_some_and(|named| named.sequence <= 10), "{named:?}");
    }
}

/// Alters rows as somebody would who knows the layout; says which record is the first that is not as it was.
fn tamper_rows(stage: &Stage, kind: u8, at: i64, other: i64) -> u64 {
    stage.store.close();
    crate::store::sqlite::tamper(&stage.options, |open| {
        let run = |statement: &str| open.execute_batch(statement).unwrap();
        let source = if other == at { at + 1 } else { other };
        let (low, high) = (at.min(other), at.max(other).max(at.min(other) + 1));
        match kind {
            // A record alone, its hash still the old one.
            0 => run(&format!(
                "UPDATE audit SET record = (SELECT record FROM audit WHERE sequence = {source}) WHERE sequence = {at}"
            )),
            1 => run(&format!("DELETE FROM audit WHERE sequence = {at}")),
            // Swapped, hashes and all.
            2 => run(&format!(
                "UPDATE audit SET sequence = -1 WHERE sequence = {low};
                 UPDATE audit SET sequence = {low} WHERE sequence = {high};
                 UPDATE audit SET sequence = {high} WHERE sequence = -1;"
            )),
            // A forged record with its own true hash, at its place.
            3 => {
                let record = stage_record(open, at);
                let mut forged = record.entry.clone();
                forged.subject = "uid:0".to_owned();
                let before = AuditHead {
                    sequence: record.sequence - 1,
                    hash: record.previous_hash,
                };
                let (forged, bytes) = AuditRecord::link(&before, forged);
                open.execute(
                    "UPDATE audit SET record = ?1, hash = ?2 WHERE sequence = ?3",
                    (bytes, forged.hash, at),
                )
                .unwrap();
            }
            // The same, and every record behind it linked anew: only the checkpoints and the store's own word are left.
            4 => {
                let last: i64 = open
                    .query_row("SELECT max(sequence) FROM audit", [], |row| row.get(0))
                    .unwrap();
                let mut before = {
                    let record = stage_record(open, at);
                    AuditHead {
                        sequence: record.sequence - 1,
                        hash: record.previous_hash,
                    }
                };
                for sequence in at..last {
                    let mut entry = stage_record(open, sequence).entry;
                    if sequence == at {
                        entry.subject = "uid:0".to_owned();
                    }
                    let (forged, bytes) = AuditRecord::link(&before, entry);
                    before = forged.head();
                    open.execute(
                        "UPDATE audit SET record = ?1, hash = ?2 WHERE sequence = ?3",
                        (bytes, forged.hash, sequence),
                    )
                    .unwrap();
                }
            }
            // The end, cut off.
            _ => run(&format!("DELETE FROM audit WHERE sequence >= {at}")),
        }
        if kind == 2 { low as u64 } else { at as u64 }
    })
}

fn stage_record(open: &crate::store::sqlite::Tampered, sequence: i64) -> AuditRecord {
    let bytes: Vec<u8> = open
        .query_row(
            "SELECT record FROM audit WHERE sequence = ?1",
            [sequence],
            |row| row.get(0),
        )
        .unwrap();
    AuditRecord::decode(&bytes).unwrap()
}

/// A day of 128 chains, scaled down: `cargo test --lib -- --ignored --nocapture a_days_records`.
#[test]
#[ignore = "a measurement"]
fn a_days_records() {
    use crate::store::Context;
    use sigward_policies::authz::Ruling;
    use sigward_policies::model::algorithm::{Algorithm, PublicKey};
    use sigward_policies::model::authentication::Authentication;
    use sigward_policies::model::id::{ChainId, Height, Round};
    use sigward_policies::model::payload::{Position, Step};
    use sigward_policies::model::trace::TraceId;
    use std::time::Instant;
    const RECORDS: u64 = 200_000;
    const DAY: f64 = 128.0 * 3.0 * 86_400.0 / 6.0;

    let tmp = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let clock = Arc::new(Turned(AtomicI64::new(1_790_000_000_000_000)));
    let mut options = Options::new(tmp.path().join("state"), clock.clone());
    options.allow_volatile = true;
    SqliteStore::create(&options).unwrap();
    let store = SqliteStore::open(&options).unwrap();
    let hash = |n: u64, salt: u8| -> [u8; 32] {
        use sha2::Digest as _;
        sha2::Sha256::new()
            .chain_update(n.to_be_bytes())
            .chain_update([salt])
            .finalize()
            .into()
    };
    let signature = |n: u64| crate::store::AuditEntry {
        time_micros: clock.unix_micros() + (n as i64) * 15_625,
        subject: format!("node:my-chain-{}/node-0", n % 128),
        operation: [
            "sign.cometbft.proposal",
            "sign.cometbft.prevote",
            "sign.cometbft.precommit",
        ][n as usize / 128 % 3]
            .to_owned(),
        key: Some(PublicKey::new(Algorithm::Ed25519, &hash(n % 128, 1)).unwrap()),
        chain: Some(ChainId::new(&format!("my-chain-{}", n % 128)).unwrap()),
        position: Some(Position {
            height: Height::new(1_000_000 + n as i64 / 384).unwrap(),
            round: Round::new(0).unwrap(),
            step: Step::from_value((n / 128 % 3 + 1) as u8).unwrap(),
        }),
        request_digest: Some(hash(n, 2)),
        signature_digest: Some(hash(n, 3)),
        key_version: Some(1),
        context: Context {
            authenticated: Some(Authentication::Dialled),
            ruling: Some(Ruling::BuiltIn),
            trace: hash(n, 4).first_chunk().copied().and_then(TraceId::new),
        },
        ..entry(1)
    };
    let commit = |entries| {
        let (tell, told) = channel();
        let began = Instant::now();
        store.commit(
            Batch::record(entries),
            Box::new(move |done| tell.send(done).unwrap()),
        );
        told.recv().unwrap().unwrap();
        began.elapsed()
    };
    for first in (0..RECORDS).step_by(128) {
        commit((first..(first + 128).min(RECORDS)).map(signature).collect());
    }
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len()) as f64;
    let per_day = |bytes: f64| bytes / RECORDS as f64 * DAY / 1e9;
    let database = size(&options.database()) + size(&options.dir.join("guard.db-wal"));
    println!(
        "database: {:.0} bytes a record, {:.2} GB a day",
        database / RECORDS as f64,
        per_day(database)
    );

    let mut quiet: Vec<_> = (0..400).map(|n| commit(vec![signature(RECORDS + n)])).collect();
    clock.0.fetch_add(2 * 86_400_000_000, Ordering::Relaxed);
    let settings = Settings {
        folder: tmp.path().join("audit"),
        state: options.dir.clone(),
        segment_records: 100_000,
        segment_age: Duration::from_secs(86_400),
        retention: Duration::from_secs(86_400),
        checkpoint_records: 10_000,
        checkpoint_age: Duration::from_secs(60),
        segments_for: None,
        segments_bytes: None,
        space: SpaceLimits { low: 0, reserve: 0 },
    };
    let mut keeper = Keeper::new(store.clone(), clock.clone(), settings, Stay::default(), None).unwrap();
    keeper.in_folder("", SegmentFolder::ensure).unwrap();
    let began = Instant::now();
    let segments = keeper.export(Due::Now(u64::MAX), &|| false).unwrap();
    let took = began.elapsed();
    let bytes: f64 = keeper
        .folder
        .list()
        .unwrap()
        .iter()
        .map(|segment| size(&segment.path))
        .sum();
    println!(
        "segments: {segments}, {:.0} bytes a record, {:.2} GB a day; {:.0} records/s with reading back",
        bytes / RECORDS as f64,
        per_day(bytes),
        RECORDS as f64 / took.as_secs_f64()
    );
    // Votes while records leave.
    let done = std::sync::atomic::AtomicBool::new(false);
    let (mut busy, forgotten, took) = std::thread::scope(|scope| {
        let leaving = scope.spawn(|| {
            let began = Instant::now();
            let forgotten = keeper.forget(&|| false).unwrap();
            done.store(true, Ordering::Relaxed);
            (forgotten, began.elapsed())
        });
        let mut busy = Vec::new();
        let mut n = 500;
        while !done.load(Ordering::Relaxed) {
            busy.push(commit(vec![signature(RECORDS + n)]));
            n += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        let (forgotten, took) = leaving.join().unwrap();
        (busy, forgotten, took)
    });
    println!(
        "forgotten: {forgotten}, {:.0} records/s",
        forgotten as f64 / took.as_secs_f64()
    );
    for (what, times) in [("quiet", &mut quiet), ("while records leave", &mut busy)] {
        times.sort();
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
        println!(
            "commit {what}: p50 {:.2} p99 {:.2} max {:.2} ms of {}",
            at(0.5),
            at(0.99),
            at(1.0),
            times.len()
        );
    }
    let began = Instant::now();
    let found = verify(
        &*store,
        &Evidence {
            folder: Some(tmp.path().join("audit")),
            ..Evidence::default()
        },
    )
    .unwrap();
    assert_eq!(found.first_broken, None);
    println!(
        "verify: {:.0} records/s",
        found.records as f64 / began.elapsed().as_secs_f64()
    );
}
