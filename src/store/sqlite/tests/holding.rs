//! Holds: in force for the very next commit, kept through every end of the process, and missed when they are rolled back.

use sigward_policies::holding::{Fact, Hold, Line, Note, Place, Scope};
use sigward_policies::model::id::{Height, NodeName};

use super::rollback::copy_folder;
use super::*;
use crate::store::OpenCode;

fn note() -> Note {
    Note {
        reason: "drill".to_owned(),
        by: "uid:0".to_owned(),
        at: NOW,
    }
}

fn height(value: i64) -> Height {
    Height::new(value).unwrap()
}

fn hold(fact: Fact) -> Batch {
    Batch::act(vec![Change::Hold(Hold { fact, note: note() })], act())
}

fn lift(place: Place) -> Batch {
    Batch::act(vec![Change::Lift { place, note: note() }], act())
}

fn rebind(from: &str, to: &str, above: Option<i64>) -> Batch {
    let rebind = Change::Rebind {
        public_key: public_key(1),
        from: chain(from),
        to: chain(to),
        above: above.map(height),
        note: note(),
    };
    Batch::act(vec![rebind], act())
}

#[test]
fn the_next_commit_after_a_freeze_is_refused_repeats_included_and_unfreezing_goes_on() {
    let (_home, store) = Home::open();
    let on = chain("one");
    commit(&*store, begin(1, &on)).unwrap();
    sign(&*store, 1, &on, &message(1, 0, 2, 1, 10)).unwrap();
    let repeat = store.rows().unwrap()[0].row.clone();
    let scopes = [Scope::All, Scope::Chain(on.clone()), Scope::Key(public_key(1))];
    for (scope, next) in scopes.into_iter().zip(2..) {
        commit(&*store, hold(Fact::Freeze(scope.clone()))).unwrap();
        let before = store.rows().unwrap();
        // Judged before the freeze, committed after it.
        assert_eq!(code(sign(&*store, 1, &on, &message(next, 0, 2, 1, 10))), "frozen");
        let again = batch(1, &on, &message(1, 0, 2, 1, 11), repeat.clone());
        assert_eq!(code(commit(&*store, again)), "frozen", "a repeat");
        assert_eq!(store.rows().unwrap(), before, "a refusal burns nothing");
        commit(&*store, hold(Fact::Freeze(scope.clone()))).unwrap();
        commit(&*store, lift(Place::Freeze(scope.clone()))).unwrap();
        assert_eq!(
            code(commit(&*store, lift(Place::Freeze(scope)))),
            "hold_not_found"
        );
        sign(&*store, 1, &on, &message(next, 0, 2, 1, 10)).unwrap();
    }
}

#[test]
fn nobodys_name_is_too_long_to_hold_signing_back_and_to_be_told_from_another() {
    let (home, store) = Home::open();
    let by = |last: char| Note {
        by: format!("cert:uri:spiffe://{}{last}", "x".repeat(2048)),
        ..note()
    };
    let facts = [
        Fact::Freeze(Scope::All),
        Fact::StopLine(Line::Chain(chain("one")), height(9)),
    ];
    for (fact, last) in facts.into_iter().zip(['a', 'b']) {
        let note = by(last);
        commit(
            &*store,
            Batch::act(vec![Change::Hold(Hold { fact, note })], act()),
        )
        .unwrap();
    }
    let place = Place::Freeze(Scope::All);
    let kept: Vec<_> = store
        .holds()
        .unwrap()
        .iter()
        .map(|hold| hold.note.by.clone())
        .collect();
    assert_eq!(kept.len(), 2);
    assert_ne!(kept[0], kept[1]);
    let note = by('a');
    commit(&*store, Batch::act(vec![Change::Lift { place, note }], act())).unwrap();
    store.close();
    let store = SqliteStore::open(&home.options).unwrap();
    assert_eq!(store.holds().unwrap().iter().count(), 1);
}

#[test]
fn a_freeze_of_another_chain_or_key_and_a_drained_other_node_stop_nothing() {
    let (_home, store) = Home::open();
    let on = chain("one");
    commit(&*store, begin(1, &on)).unwrap();
    let node = |name: &str| Fact::Drained(on.clone(), NodeName::new(name).unwrap());
    for fact in [
        Fact::Freeze(Scope::Chain(chain("two"))),
        Fact::Freeze(Scope::Key(public_key(2))),
        Fact::StopLine(Line::Row(public_key(2), on.clone()), height(1)),
        node("other"),
    ] {
        commit(&*store, hold(fact)).unwrap();
    }
    sign(&*store, 1, &on, &message(1, 0, 2, 1, 10)).unwrap();
    commit(&*store, hold(node("node"))).unwrap();
    assert_eq!(
        code(sign(&*store, 1, &on, &message(2, 0, 2, 1, 10))),
        "node_drained"
    );
    commit(&*store, lift(node("node").place())).unwrap();
    sign(&*store, 1, &on, &message(2, 0, 2, 1, 10)).unwrap();
}

#[test]
fn the_lowest_stop_line_stops_its_height_and_all_above() {
    let (_home, store) = Home::open();
    let on = chain("one");
    commit(&*store, begin(1, &on)).unwrap();
    let line = |line, at| hold(Fact::StopLine(line, height(at)));
    commit(&*store, line(Line::Chain(on.clone()), 20)).unwrap();
    commit(&*store, line(Line::Row(public_key(1), on.clone()), 10)).unwrap();
    sign(&*store, 1, &on, &message(9, 0, 2, 1, 10)).unwrap();
    for above in [10, 11, 20] {
        assert_eq!(
            code(sign(&*store, 1, &on, &message(above, 0, 2, 1, 10))),
            "stop_line"
        );
    }
    // It moves down by itself, and up only once it was cleared: then the chain's own line counts.
    let row = Line::Row(public_key(1), on.clone());
    assert!(commit(&*store, line(row.clone(), 30)).is_err());
    commit(&*store, lift(Place::StopLine(row.clone()))).unwrap();
    commit(&*store, line(row, 30)).unwrap();
    sign(&*store, 1, &on, &message(19, 0, 2, 1, 10)).unwrap();
    assert_eq!(
        code(sign(&*store, 1, &on, &message(20, 0, 2, 1, 10))),
        "stop_line"
    );
}

#[test]
fn holds_outlive_a_kill_at_any_moment_and_an_end_of_any_kind() {
    let (home, store) = Home::open();
    let on = chain("one");
    commit(&*store, begin(1, &on)).unwrap();
    commit(&*store, hold(Fact::Freeze(Scope::All))).unwrap();
    commit(&*store, hold(Fact::StopLine(Line::Chain(on.clone()), height(7)))).unwrap();
    commit(&*store, lift(Place::Freeze(Scope::All))).unwrap();
    commit(&*store, hold(Fact::Freeze(Scope::Key(public_key(1))))).unwrap();
    let holds = store.holds().unwrap();
    assert_eq!(holds.iter().count(), 2);
    let killed = home.tmp.path().join("killed");
    copy_folder(&home.options.dir, &killed);
    let power_cut = home.tmp.path().join("power-cut");
    copy_folder(&home.options.dir, &power_cut);
    // Nothing of the log had reached the disk: the witness has it.
    std::fs::remove_file(power_cut.join("guard.db-wal")).unwrap();
    store.close();
    for dir in [home.options.dir.clone(), killed, power_cut] {
        let mut options = Options::new(dir, Arc::new(Fixed));
        options.allow_volatile = true;
        let store = SqliteStore::open(&options).unwrap();
        assert_eq!(store.holds().unwrap(), holds);
        assert_eq!(code(sign(&*store, 1, &on, &message(1, 0, 2, 1, 10))), "frozen");
    }
}

#[test]
fn a_store_rolled_back_to_before_a_freeze_does_not_open_and_adopting_keeps_the_freeze() {
    let (home, store) = Home::open();
    let on = chain("one");
    commit(&*store, begin(1, &on)).unwrap();
    store.close();
    let old = std::fs::read(home.options.database()).unwrap();
    let store = SqliteStore::open(&home.options).unwrap();
    // So many commits that the witness, with its small segments, no longer holds what the old copy lacks.
    for next in 1..=60 {
        sign(&*store, 1, &on, &message(next, 0, 2, 1, 10)).unwrap();
    }
    commit(&*store, hold(Fact::Freeze(Scope::All))).unwrap();
    store.close();
    std::fs::write(home.options.database(), old).unwrap();
    assert_eq!(
        SqliteStore::open(&home.options).unwrap_err().code,
        OpenCode::StoreBehindWitness
    );
    SqliteStore::adopt(&home.options, &super::failure::above(60), "uid:0").unwrap();
    let store = SqliteStore::open(&home.options).unwrap();
    assert!(store.holds().unwrap().all_frozen());
    assert_eq!(code(sign(&*store, 1, &on, &message(61, 0, 2, 1, 10))), "frozen");
}

#[test]
fn a_rebound_chain_goes_on_above_and_its_old_id_is_closed_for_ever() {
    let (_home, store) = Home::open();
    let (old, new) = (chain("one"), chain("two"));
    commit(&*store, begin(1, &old)).unwrap();
    sign(&*store, 1, &old, &message(10, 0, 2, 1, 10)).unwrap();
    assert_eq!(
        code(commit(&*store, rebind("two", "three", None))),
        "no_sign_state"
    );
    commit(&*store, rebind("one", "two", Some(5))).unwrap();
    assert_eq!(
        code(sign(&*store, 1, &old, &message(11, 0, 2, 1, 10))),
        "chain_rebound"
    );
    assert_eq!(
        code(sign(&*store, 1, &new, &message(10, 0, 2, 1, 10))),
        "height_closed",
        "nothing below what was signed for the old id"
    );
    sign(&*store, 1, &new, &message(11, 0, 2, 1, 10)).unwrap();
    for beginning in [Beginning::NeverSigned, Beginning::Above(height(99))] {
        let again = Change::Begin {
            public_key: public_key(1),
            chain: old.clone(),
            beginning,
            sharing: Sharing::OneChain,
        };
        assert_eq!(
            code(commit(&*store, Batch::act(vec![again], act()))),
            "chain_rebound"
        );
    }
    for (from, to) in [("one", "three"), ("two", "one")] {
        assert_eq!(code(commit(&*store, rebind(from, to, None))), "chain_rebound");
    }
    let left = Place::Left(public_key(1), old);
    assert_eq!(code(commit(&*store, lift(left))), "chain_rebound");
    // And once more, from the new id.
    commit(&*store, rebind("two", "three", Some(100))).unwrap();
    let on = chain("three");
    assert_eq!(
        code(sign(&*store, 1, &on, &message(100, 0, 2, 1, 10))),
        "height_closed"
    );
    sign(&*store, 1, &on, &message(101, 0, 2, 1, 10)).unwrap();
}

#[test]
fn a_shared_or_stopped_row_is_not_rebound_and_a_refused_rebinding_leaves_nothing_behind() {
    let (_home, store) = Home::open();
    commit(&*store, begin(1, &chain("one"))).unwrap();
    let before = (store.rows().unwrap(), store.holds().unwrap(), store.health());
    assert_eq!(code(commit(&*store, rebind("one", "one", None))), "already_bound");
    assert_eq!(
        (store.rows().unwrap(), store.holds().unwrap(), store.health()),
        before
    );
    let stop = Change::Stop {
        public_key: public_key(1),
        chain: chain("one"),
    };
    commit(&*store, Batch::act(vec![stop], act())).unwrap();
    assert_eq!(code(commit(&*store, rebind("one", "two", None))), "key_stopped");
}
