//! A folder that goes away and comes back, as where its disk is not mounted: it is never begun anew beside itself.

use super::*;

impl Stage {
    fn audit(&self) -> PathBuf {
        self.tmp.path().join("audit")
    }

    /// The folder is elsewhere while `work` is done.
    fn without_folder(&mut self, work: impl FnOnce(&mut Self)) {
        let aside = self.tmp.path().join("aside");
        std::fs::rename(self.audit(), &aside).unwrap();
        work(self);
        assert!(!self.audit().exists(), "nothing takes its place");
        std::fs::rename(&aside, self.audit()).unwrap();
    }

    fn is_gone(&mut self) -> bool {
        let turned = self.keeper.turn(Some(&self.signer.key), &|| false);
        matches!(turned, Err(KeepError::Gone(_)))
    }
}

#[test]
fn one_that_is_gone_is_not_made_anew_and_goes_on_where_it_was() {
    let mut stage = Stage::new();
    stage.keeper.settings.retention = Duration::from_secs(3600);
    stage.record(12);
    assert_eq!(
        stage.turn().segments,
        1,
        "and its records are in the database too"
    );
    stage.without_folder(|stage| {
        stage.record(17);
        assert!(stage.is_gone());
        stage.keeper.standing().unwrap_err();
    });
    assert_eq!(stage.turn().segments, 1);
    let found = stage.verify();
    assert_eq!((found.exported, found.first_broken), (20, None));
}

#[test]
fn one_that_is_gone_at_the_start_is_missed_and_its_checkpoints_count_when_it_is_back() {
    let mut stage = Stage::new();
    stage.record(45);
    assert_eq!(stage.turn().forgotten, 20);
    stage.without_folder(|stage| {
        stage.keeper = keeper(&stage.store, &stage.clock, stage.tmp.path());
        assert!(stage.keeper.last().is_none());
        stage.record(10);
        assert!(stage.is_gone() && stage.is_gone());
    });
    let signed = stage.turn().checkpoint.unwrap();
    assert_eq!((signed.number, signed.head.sequence), (2, 55));
    assert_eq!(stage.verify().first_broken, None);
}

#[test]
fn what_is_lost_for_good_is_begun_anew_by_hand_alone() {
    let mut stage = Stage::new();
    stage.record(45);
    stage.turn();
    std::fs::remove_dir_all(stage.audit()).unwrap();
    assert!(stage.is_gone());
    std::fs::create_dir_all(stage.keeper.folder.path()).unwrap();
    assert_eq!(stage.turn().segments, 2, "of what is in the database");
    assert_eq!(stage.verify().first_broken.unwrap().sequence, 1);
}

#[test]
fn a_segment_that_came_back_while_its_records_were_written_again_is_not_overlapped() {
    let mut stage = Stage::new();
    stage.record(30);
    stage.turn();
    let segments = stage.keeper.folder.list().unwrap();
    let aside = stage.tmp.path().join("aside");
    std::fs::rename(&segments[1].path, &aside).unwrap();
    let (asked, moved) = (std::cell::Cell::new(0), segments[1].path.clone());
    // Asked before each segment, and before each page of one: so it is back after the folder was listed.
    let came_back = || {
        asked.set(asked.get() + 1);
        if asked.get() == 2 {
            std::fs::rename(&aside, &moved).unwrap();
        }
        false
    };
    stage.keeper.settings.segment_records = 5;
    let written = stage.keeper.export(Due::OrNot, &came_back);
    assert!(matches!(written, Err(KeepError::Folder { .. })), "{written:?}");
    assert_eq!(stage.keeper.folder.list().unwrap(), segments);
    assert_eq!(stage.verify().first_broken, None);
}

/// Nothing has left the database, and something was kept.
fn young() -> Stage {
    let mut stage = Stage::new();
    stage.record(9);
    let turn = stage.turn();
    assert!(turn.checkpoint.is_some());
    assert_eq!(stage.store.audit_base().unwrap().sequence, 0);
    stage
}

impl Stage {
    /// As a process that starts.
    fn restart(&mut self) {
        self.keeper = keeper(&self.store, &self.clock, self.tmp.path());
    }

    fn mark(&self) -> PathBuf {
        self.keeper.mark.path().to_owned()
    }
}

#[test]
fn one_that_is_gone_at_a_start_is_missed_though_nothing_has_left_the_database() {
    let mut stage = young();
    stage.without_folder(|stage| {
        stage.restart();
        assert!(stage.is_gone() && stage.is_gone());
        stage.record(10);
        assert!(stage.is_gone());
    });
    let signed = stage.turn().checkpoint.unwrap();
    assert_eq!((signed.number, signed.head.sequence), (2, 19));
    assert_eq!(stage.verify().first_broken, None);
}

#[test]
fn a_state_of_before_there_was_a_mark_goes_on_and_has_one_from_then_on() {
    let mut stage = young();
    std::fs::remove_file(stage.mark()).unwrap();
    stage.restart();
    stage.record(10);
    assert_eq!(stage.turn().checkpoint.unwrap().number, 2);
    assert!(stage.mark().exists());
    // What is said of another store, or was cut off while it was written, says nothing of this one.
    std::fs::remove_dir_all(stage.audit()).unwrap();
    for text in ["", "00000000000000000000000000000009\n"] {
        std::fs::write(stage.mark(), text).unwrap();
        stage.restart();
        stage.turn();
        assert!(stage.audit().exists());
        std::fs::remove_dir_all(stage.audit()).unwrap();
        assert!(stage.mark().exists());
        stage.restart();
        assert!(stage.is_gone());
    }
}

#[test]
fn a_mark_that_cannot_be_made_keeps_everything_out_of_the_folder() {
    let mut stage = Stage::new();
    stage.record(9);
    std::fs::create_dir(stage.mark()).unwrap();
    for _ in 0..2 {
        stage.keeper.turn(Some(&stage.signer.key), &|| false).unwrap_err();
        assert!(!stage.keeper.checkpoints().path().exists());
        stage.restart();
    }
    std::fs::remove_dir(stage.mark()).unwrap();
    assert_eq!(stage.turn().checkpoint.unwrap().number, 1);
}

#[test]
fn another_folder_in_its_place_is_neither_written_to_nor_gone_on_from() {
    let mut stage = young();
    // Begun beside it, as a state without a mark does.
    let (first, second) = (stage.tmp.path().join("first"), stage.tmp.path().join("second"));
    stage.record(10);
    stage.turn();
    std::fs::rename(stage.audit(), &first).unwrap();
    std::fs::remove_file(stage.mark()).unwrap();
    stage.restart();
    assert_eq!(stage.turn().checkpoint.unwrap().number, 1);
    let exchanged = |stage: &mut Stage| {
        let turned = stage.keeper.turn(Some(&stage.signer.key), &|| false);
        assert!(matches!(turned, Err(KeepError::Exchanged { .. })), "{turned:?}");
    };
    std::fs::rename(stage.audit(), &second).unwrap();
    std::fs::rename(&first, stage.audit()).unwrap();
    stage.record(10);
    exchanged(&mut stage);
    exchanged(&mut stage);
    assert_eq!(stage.verify().checkpoints, 2, "nothing was written to it");
    // A start goes on from what is there.
    stage.restart();
    assert_eq!(stage.turn().checkpoint.unwrap().number, 3);
    assert_eq!(stage.verify().first_broken, None);
    // So it is with a file that is cut, or is gone.
    let file = stage.keeper.checkpoints().path().to_owned();
    let text = std::fs::read_to_string(&file).unwrap();
    let cut = text.trim_end().rfind('\n').unwrap() + 1;
    std::fs::write(&file, &text[..cut]).unwrap();
    exchanged(&mut stage);
    std::fs::remove_file(&file).unwrap();
    exchanged(&mut stage);
    std::fs::write(&file, &text).unwrap();
    stage.turn();
}

#[test]
fn a_checkpoint_that_was_written_and_not_synced_is_the_last_and_strangers_are_passed_over() {
    let mut stage = young();
    let last = stage.keeper.last().cloned().unwrap();
    stage.record(10);
    let head = stage.store.audit(19, 1).unwrap()[0].head();
    let next = Checkpoint::sign(&stage.signer.key, stage.store.id(), Some(&last), head, 1).unwrap();
    stage.keeper.checkpoints().append(&next).unwrap();
    assert_eq!(stage.turn().checkpoint, None, "it is signed already");
    assert_eq!(stage.keeper.last(), Some(&next));
    let other = Signer::of(stage.store.id());
    let forged = Checkpoint::sign(&other.key, stage.store.id(), Some(&next), head, 1).unwrap();
    stage.keeper.checkpoints().append(&forged).unwrap();
    stage.record(10);
    assert_eq!(stage.turn().checkpoint.unwrap().number, 3);
}
