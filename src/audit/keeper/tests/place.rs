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
