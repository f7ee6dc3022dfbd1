//! Administrators' acts: whole or not at all, recorded, and never lowering anything.

use sigward_policies::model::id::Height;

use super::*;

fn height(value: i64) -> Height {
    Height::new(value).unwrap()
}

fn begin_again(beginning: Beginning, on: &ChainId, sharing: Sharing) -> Batch {
    let change = Change::Begin {
        public_key: public_key(1),
        chain: on.clone(),
        beginning,
        sharing,
    };
    Batch::act(vec![change], act())
}

#[test]
fn a_batch_of_which_one_part_is_refused_leaves_nothing_behind() {
    let (_home, store) = Home::open();
    let on = chain("one");
    commit(&*store, begin(1, &on)).unwrap();
    let before = (store.keys().unwrap(), store.rows().unwrap(), store.health());
    let twice = Batch::act(vec![Change::AddKey(key(2)), Change::AddKey(key(1))], act());
    assert_eq!(code(commit(&*store, twice)), "public_key_exists");
    let mut same_name = key(3);
    same_name.name = key(1).name;
    assert_eq!(
        code(commit(
            &*store,
            Batch::act(vec![Change::AddKey(same_name)], act())
        )),
        "key_exists"
    );
    assert_eq!(
        (store.keys().unwrap(), store.rows().unwrap(), store.health()),
        before
    );
}

#[test]
fn nothing_is_changed_or_signed_without_its_record() {
    let (_home, store) = Home::open();
    let on = chain("one");
    commit(&*store, begin(1, &on)).unwrap();
    let silent = Batch {
        changes: vec![Change::AddKey(key(2))],
        ..Batch::default()
    };
    assert_eq!(code(commit(&*store, silent)), "store_disagrees");
    let mut unrecorded = batch(1, &on, &message(1, 0, 2, 1, 10), fresh());
    unrecorded.entries.clear();
    assert_eq!(code(commit(&*store, unrecorded)), "store_disagrees");
    let mut misrecorded = batch(1, &on, &message(1, 0, 2, 1, 10), fresh());
    misrecorded.entries[0].position = Some(message(2, 0, 2, 1, 10).message().position());
    assert_eq!(code(commit(&*store, misrecorded)), "store_disagrees");
    assert_eq!(store.rows().unwrap()[0].row, fresh());
}

#[test]
fn only_active_keys_with_a_row_sign() {
    let (_home, store) = Home::open();
    let on = chain("one");
    assert_eq!(
        code(sign(&*store, 1, &on, &message(1, 0, 2, 1, 10))),
        "no_sign_state"
    );
    commit(&*store, begin(1, &on)).unwrap();
    let state = |state| {
        Batch::act(
            vec![Change::SetKeyState {
                public_key: public_key(1),
                state,
            }],
            act(),
        )
    };
    commit(&*store, state(VersionState::Disabled)).unwrap();
    assert_eq!(
        code(sign(&*store, 1, &on, &message(1, 0, 2, 1, 10))),
        "key_stopped"
    );
    commit(&*store, state(VersionState::Active)).unwrap();
    sign(&*store, 1, &on, &message(1, 0, 2, 1, 10)).unwrap();
    commit(&*store, state(VersionState::Compromised)).unwrap();
    assert_eq!(
        code(commit(&*store, state(VersionState::Active))),
        "invalid_parameters"
    );
    let stranger = Change::Stop {
        public_key: public_key(9),
        chain: on,
    };
    assert_eq!(
        code(commit(&*store, Batch::act(vec![stranger], act()))),
        "no_sign_state"
    );
}

#[test]
fn acts_on_a_row_only_ever_close() {
    let (home, store) = Home::open();
    let on = chain("one");
    commit(&*store, begin(1, &on)).unwrap();
    sign(&*store, 1, &on, &message(10, 0, 2, 1, 10)).unwrap();
    assert_eq!(
        code(commit(
            &*store,
            begin_again(Beginning::NeverSigned, &on, Sharing::OneChain)
        )),
        "state_conflict"
    );
    assert_eq!(
        code(commit(
            &*store,
            begin_again(Beginning::Above(height(9)), &on, Sharing::OneChain)
        )),
        "state_conflict"
    );
    let close = |to| Change::CloseTo {
        public_key: public_key(1),
        chain: on.clone(),
        height: height(to),
    };
    commit(&*store, Batch::act(vec![close(3)], act())).unwrap();
    assert_eq!(store.rows().unwrap()[0].row.watermark.height(), 10);
    commit(&*store, Batch::act(vec![close(20)], act())).unwrap();
    assert_eq!(
        code(sign(&*store, 1, &on, &message(20, 0, 2, 1, 10))),
        "height_closed"
    );
    assert_eq!(
        code(sign(&*store, 1, &on, &message(9_000_000, 0, 2, 1, 10))),
        "height_jump"
    );
    let allow = Change::Allow {
        public_key: public_key(1),
        chain: on.clone(),
        until: height(9_000_000),
    };
    commit(&*store, Batch::act(vec![allow], act())).unwrap();
    sign(&*store, 1, &on, &message(9_000_000, 0, 2, 1, 10)).unwrap();
    let stop = Change::Stop {
        public_key: public_key(1),
        chain: on.clone(),
    };
    commit(&*store, Batch::act(vec![stop], act())).unwrap();
    assert_eq!(
        code(sign(&*store, 1, &on, &message(9_000_001, 0, 2, 1, 10))),
        "key_stopped"
    );
    let exported = Change::MarkExported {
        public_key: public_key(1),
    };
    commit(&*store, Batch::act(vec![exported], act())).unwrap();
    assert_eq!(
        code(commit(
            &*store,
            begin_again(Beginning::NeverSigned, &on, Sharing::OneChain)
        )),
        "beginning_required"
    );
    let rows = store.rows().unwrap();
    store.close();
    assert_eq!(SqliteStore::open(&home.options).unwrap().rows().unwrap(), rows);
}

#[test]
fn one_key_on_two_chains_needs_the_word_shared_on_both() {
    let (_home, store) = Home::open();
    commit(&*store, begin(1, &chain("one"))).unwrap();
    let again = |on: &str, sharing| begin_again(Beginning::NeverSigned, &chain(on), sharing);
    assert_eq!(
        code(commit(&*store, again("two", Sharing::OneChain))),
        "sharing_refused"
    );
    assert_eq!(
        code(commit(&*store, again("two", Sharing::Shared))),
        "sharing_refused"
    );
    commit(&*store, again("one", Sharing::Shared)).unwrap();
    commit(&*store, again("two", Sharing::Shared)).unwrap();
    assert_eq!(store.rows().unwrap().len(), 2);
}

#[test]
fn what_is_asked_after_the_end_is_told_so() {
    let (_home, store) = Home::open();
    store.close();
    assert_eq!(
        code(commit(&*store, Batch::record(vec![act()]))),
        "store_unavailable"
    );
    assert_eq!(code(store.rows()), "store_unavailable");
    store.close();
}
