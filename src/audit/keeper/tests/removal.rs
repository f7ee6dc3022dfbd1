//! Segments that are removed because the configuration says so: which, and what `verify` makes of the rest.

use super::*;
use crate::audit::History;

impl Stage {
    /// 45 records, one a second: segments of ten up to 40, 20 of them no longer in the database, all vouched for.
    fn full() -> Self {
        let mut stage = Self::new();
        stage.record(45);
        let turn = stage.turn();
        assert_eq!((turn.segments, turn.forgotten, turn.removed), (4, 20, 0));
        stage
    }

    fn first_segment(&self) -> u64 {
        self.keeper
            .folder
            .list()
            .unwrap()
            .first()
            .map_or(0, |first| first.first)
    }

    fn broken(&self) -> Option<u64> {
        self.verify().first_broken.map(|broken| broken.sequence)
    }
}

#[test]
fn what_is_too_old_goes_and_the_chain_says_so_and_verifies_from_there() {
    let mut stage = Stage::full();
    stage.keeper.settings.segments_for = Some(Duration::from_secs(30));
    assert_eq!(stage.turn().removed, 1, "the others are too young");
    assert_eq!(stage.first_segment(), 11);
    let found = stage.verify();
    assert_eq!((found.records, found.removed, found.first_broken), (46, 10, None));
    // Nor does it go on to what is still in the database, however old.
    stage.keeper.settings.segments_for = Some(Duration::ZERO);
    stage.keeper.settings.retention = Duration::from_secs(3600);
    assert_eq!(stage.turn().removed, 1);
    let found = stage.verify();
    assert_eq!((found.records, found.removed, found.first_broken), (47, 20, None));
    let history = History {
        folder: stage.evidence().folder,
        stay: Stay::default(),
    };
    let mut read = Vec::new();
    history
        .each(&*stage.store, 1, 47, |record| {
            read.push(record.sequence);
            true
        })
        .unwrap();
    assert_eq!(read, (21..=47).collect::<Vec<_>>());
}

#[test]
fn what_is_too_much_goes_oldest_first() {
    let mut stage = Stage::full();
    stage.keeper.settings.segments_bytes = Some(u64::MAX);
    assert_eq!(stage.turn().removed, 0);
    let lengths = stage.keeper.folder.list().unwrap();
    let total: u64 = lengths
        .iter()
        .map(|segment| std::fs::metadata(&segment.path).unwrap().len())
        .sum();
    stage.keeper.settings.segments_bytes = Some(total - 1);
    assert_eq!(stage.turn().removed, 1);
    assert_eq!((stage.first_segment(), stage.broken()), (11, None));
}

#[test]
fn nothing_goes_that_no_checkpoint_or_an_anchor_does_not_cover() {
    let mut stage = Stage::new();
    stage.record(45);
    stage.keeper.settings.segments_for = Some(Duration::ZERO);
    let told = stage.keeper.waits_for_anchor();
    let unsigned = stage.keeper.turn(None, &|| false).unwrap();
    assert_eq!((unsigned.forgotten, unsigned.removed), (20, 0), "no checkpoint");
    assert_eq!(stage.turn().removed, 0, "the anchor knows nothing");
    told.store(19, Ordering::Relaxed);
    assert_eq!(stage.turn().removed, 1);
    told.store(1000, Ordering::Relaxed);
    assert_eq!(stage.turn().removed, 1);
    assert_eq!(stage.turn().removed, 0, "the rest is in the database");
    assert_eq!(stage.broken(), None);
}

#[test]
fn whoever_removes_a_segment_himself_is_found_out() {
    let mut stage = Stage::full();
    let remove_first = |stage: &Stage| {
        let first = stage.keeper.folder.list().unwrap().remove(0);
        std::fs::remove_file(first.path).unwrap();
    };
    remove_first(&stage);
    assert_eq!(stage.broken(), Some(1), "no record speaks of it");
    stage.keeper.settings.segments_for = Some(Duration::from_secs(25));
    assert_eq!(stage.turn().removed, 1, "11 to 20, by the rules");
    let found = stage.verify();
    assert_eq!(
        (found.removed, found.first_broken),
        (20, None),
        "and 1 to 10 with them"
    );
    remove_first(&stage);
    assert_eq!(stage.broken(), Some(1), "its record says 20, not 30");
}

#[test]
fn a_removal_that_was_cut_off_is_done_again() {
    let mut stage = Stage::full();
    stage.keeper.settings.segments_for = Some(Duration::from_secs(30));
    let first = stage.keeper.folder.list().unwrap().remove(0);
    let bytes = std::fs::read(&first.path).unwrap();
    assert_eq!(stage.turn().removed, 1);
    // As if only the record had been made.
    std::fs::write(&first.path, bytes).unwrap();
    let found = stage.verify();
    assert_eq!((found.removed, found.first_broken), (0, None), "all is there");
    assert_eq!(stage.turn().removed, 1);
    let found = stage.verify();
    assert_eq!((found.removed, found.first_broken), (10, None));
}
