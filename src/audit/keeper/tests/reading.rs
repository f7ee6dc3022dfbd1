//! Whoever reads the chain: what he is told of a gap, and that nothing waits for him.

use std::ops::RangeInclusive;

use super::*;
use crate::audit::History;

impl Stage {
    fn history(&self) -> History {
        History {
            folder: self.evidence().folder,
            stay: self.keeper.stay.clone(),
        }
    }

    /// Reads everything from `from` on: the sequences, and what it ended with.
    fn read(&self, from: u64) -> (Vec<u64>, Option<String>) {
        let mut read = Vec::new();
        let ended = self.history().each(&*self.store, from, u64::MAX, |record| {
            read.push(record.sequence);
            true
        });
        (read, ended.err().map(|refused| refused.to_string()))
    }

    fn remove_segment(&self, number: usize) {
        let segment = self.keeper.folder.list().unwrap().remove(number);
        std::fs::remove_file(segment.path).unwrap();
    }
}

/// 45 records: segments of ten up to 40, 20 of them no longer in the database.
fn stage() -> Stage {
    let mut stage = Stage::new();
    stage.record(45);
    let turn = stage.turn();
    assert_eq!((turn.segments, turn.forgotten), (4, 20));
    stage
}

fn sequences(range: RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}

#[test]
fn a_segment_that_is_not_there_ends_a_reading_with_an_error_and_is_not_passed_over() {
    let stage = stage();
    let all = sequences(1..=stage.store.health().audit_records);
    assert_eq!(stage.read(1), (all, None));
    stage.remove_segment(1);
    let (read, ended) = stage.read(1);
    assert_eq!(read, sequences(1..=10));
    let ended = ended.unwrap();
    assert!(
        ended.contains("record 11 is missing") && ended.contains("audit verify"),
        "{ended}"
    );
    // Who begins in the gap is no better off, and who begins behind it reads on.
    assert!(stage.read(15).1.unwrap().contains("record 15 is missing"));
    assert_eq!(stage.read(21).0.first(), Some(&21));
    assert_eq!(stage.read(21).1, None);
}

#[test]
fn a_beginning_that_is_not_there_wants_a_record_of_its_removal() {
    let mut stage = stage();
    stage.remove_segment(0);
    // Before the first record, so that whoever takes a few of them hears of it too.
    for from in [1, 9] {
        let (read, ended) = stage.read(from);
        assert!(read.is_empty(), "{read:?}");
        let ended = ended.unwrap();
        assert!(
            ended.contains("records 1 to 10 are missing, and no record says that they were removed"),
            "{ended}"
        );
    }
    assert_eq!(stage.read(11).1, None, "he wants nothing of what is missing");
    stage.keeper.settings.segments_for = Some(Duration::from_secs(25));
    assert_eq!(stage.turn().removed, 1, "11 to 20, by the rules");
    assert_eq!(
        stage.read(1),
        (sequences(21..=stage.store.health().audit_records), None)
    );
    // The last segment of what has left the database, and then all of them.
    stage.remove_segment(0);
    assert!(stage.read(1).1.is_some());
    for _ in stage.keeper.folder.list().unwrap() {
        stage.remove_segment(0);
    }
    assert!(stage.read(21).1.is_none(), "it is in the database");
    assert_eq!(
        stage.read(1),
        (sequences(21..=stage.store.health().audit_records), None)
    );
}

#[test]
fn the_record_of_a_removal_is_found_in_a_segment_too_and_across_no_gap() {
    let mut stage = stage();
    stage.keeper.settings.segments_for = Some(Duration::from_secs(30));
    assert_eq!(stage.turn().removed, 1);
    stage.keeper.settings.segments_for = None;
    stage.record(60);
    assert_eq!(stage.turn().removed, 0);
    let base = stage.store.audit_base().unwrap().sequence;
    assert!(base > 50, "the record of it, 46, has left the database: {base}");
    assert_eq!(
        stage.read(1),
        (sequences(11..=stage.store.health().audit_records), None)
    );
    // That of 41 to 50.
    stage.remove_segment(3);
    let (read, ended) = stage.read(1);
    assert!(read.is_empty(), "{read:?}");
    assert!(ended.unwrap().contains("record 41 is missing"));
}

/// Reads everything; when the first record is in hand, the keeper has its turn.
fn read_beside_a_turn(stage: &mut Stage, removed: u64) -> (Vec<u64>, Option<String>) {
    let (history, store) = (stage.history(), stage.store.clone());
    let to = store.health().audit_records;
    let mut read = Vec::new();
    let ended = history.each(&*store, 1, to, |record| {
        read.push(record.sequence);
        if record.sequence == 1 {
            assert_eq!(stage.turn().removed, removed);
        }
        true
    });
    (read, ended.err().map(|refused| refused.to_string()))
}

#[test]
fn records_leave_and_segments_are_removed_however_slowly_somebody_reads() {
    let mut stage = stage();
    stage.keeper.settings.segments_for = Some(Duration::from_secs(30));
    assert_eq!(
        read_beside_a_turn(&mut stage, 1),
        (sequences(1..=45), None),
        "what is open stays readable"
    );
}

#[test]
fn whoever_is_overtaken_by_the_removal_of_segments_is_told() {
    let mut stage = stage();
    stage.keeper.settings.segments_for = Some(Duration::ZERO);
    let (read, ended) = read_beside_a_turn(&mut stage, 2);
    assert_eq!(read, sequences(1..=10));
    assert!(ended.unwrap().contains("record 11 was removed while"));
}
