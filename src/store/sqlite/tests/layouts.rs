//! Stores of earlier layouts (tests/vectors) open, are brought up to date and sign on; one of a later layout is refused.

use sigward_policies::holding::{Fact, Hold, Note, Scope};

use super::rollback::copy_folder;
use super::*;
use crate::store::{Form, OpenCode};

/// A copy of a store that an earlier sigward wrote. Key 1 has signed prevotes on `one` up to `top`; key 2 is fresh on `two`.
fn old_store(image: &str) -> Home {
    let home = Home::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(image);
    copy_folder(&from, &home.options.dir);
    home
}

fn layout(home: &Home) -> i64 {
    let bytes = std::fs::read(home.options.database()).unwrap();
    let copy = home.tmp.path().join("look.db");
    std::fs::write(&copy, bytes).unwrap();
    #[allow(clippy::disallowed_methods, reason = "a copy that nobody else opens")]
    let look = rusqlite::Connection::open(&copy).unwrap();
    look.query_row("SELECT version FROM schema_version", [], |row| row.get(0))
        .unwrap()
}

#[test]
fn a_store_of_the_first_layout_opens_is_brought_up_to_date_and_signs_on() {
    for (image, top) in [("store@1/closed", 40), ("store@1/crashed", 45)] {
        let home = old_store(image);
        let store = SqliteStore::open(&home.options).unwrap();
        let on = chain("one");
        assert_eq!(
            code(sign(&*store, 1, &on, &message(top, 0, 2, 2, 10))),
            "double_sign_conflict",
            "{image}"
        );
        sign(&*store, 1, &on, &message(top + 1, 0, 2, 1, 10)).unwrap();
        sign(&*store, 2, &chain("two"), &message(1, 0, 2, 1, 10)).unwrap();
        let freeze = Hold {
            fact: Fact::Freeze(Scope::All),
            note: Note {
                reason: String::new(),
                by: String::new(),
                at: NOW,
            },
        };
        commit(&*store, Batch::act(vec![Change::Hold(freeze)], act())).unwrap();
        store.close();
        assert_eq!(layout(&home), 5);
        let store = SqliteStore::open(&home.options).unwrap();
        assert!(store.holds().unwrap().all_frozen());
        assert_eq!(store.audit(1, 1000).unwrap().len() as i64, top + 2 + 3);
    }
}

/// The second layout: the same store after a start, with a freeze.
#[test]
fn a_store_of_the_second_layout_opens_with_its_holds_and_its_whole_chain() {
    let home = old_store("store@2/closed");
    let store = SqliteStore::open(&home.options).unwrap();
    assert!(store.holds().unwrap().all_frozen());
    assert_eq!(store.audit_base().unwrap().sequence, 0);
    let records = store.audit(1, 1000).unwrap();
    assert_eq!(records.len() as u64, store.health().audit_records);
    let kept = records[9].head();
    assert_eq!(store.forget_audit(&kept, 1000).unwrap(), kept);
    store.close();
    assert_eq!(layout(&home), 5);
    let store = SqliteStore::open(&home.options).unwrap();
    assert_eq!(store.audit(1, 1000).unwrap()[0].previous_hash, kept.hash);
}

/// The third layout: the same store after another start.
#[test]
fn a_store_of_the_third_layout_takes_requests_for_approval() {
    let home = old_store("store@3/closed");
    let store = SqliteStore::open(&home.options).unwrap();
    assert!(store.holds().unwrap().all_frozen());
    assert_eq!(store.approvals().unwrap(), []);
    let records = store.audit(1, 1000).unwrap();
    assert!(records.iter().all(|record| record.form == Form::One));
    let kept = records[9].head();
    assert_eq!(store.forget_audit(&kept, 1000).unwrap(), kept);
    let asked = super::approvals::request(&*store, 1, "uid:1");
    super::approvals::open(&*store, &asked).unwrap();
    store.close();
    assert_eq!(layout(&home), 5);
    let store = SqliteStore::open(&home.options).unwrap();
    assert_eq!(store.approvals().unwrap(), [asked]);
    let records = store.audit(1, 1000).unwrap();
    assert_eq!(records[0].previous_hash, kept.hash);
    assert_eq!(records.last().unwrap().form, Form::Two);
}

/// The fourth layout: the same store after another start.
#[test]
fn a_store_of_the_fourth_layout_takes_api_keys() {
    let home = old_store("store@4/closed");
    let store = SqliteStore::open(&home.options).unwrap();
    assert!(store.holds().unwrap().all_frozen());
    assert_eq!(store.api_keys().unwrap(), []);
    let made = super::api_keys::key("ci", 1);
    super::api_keys::create(&*store, &made).unwrap();
    store.close();
    assert_eq!(layout(&home), 5);
    let store = SqliteStore::open(&home.options).unwrap();
    assert_eq!(store.api_keys().unwrap(), [made]);
}

#[test]
fn an_older_copy_of_the_first_layout_takes_the_holds_that_the_witness_has() {
    let home = old_store("store@1/closed");
    let before = std::fs::read(home.options.database()).unwrap();
    let store = SqliteStore::open(&home.options).unwrap();
    let freeze = Hold {
        fact: Fact::Freeze(Scope::All),
        note: Note {
            reason: String::new(),
            by: String::new(),
            at: NOW,
        },
    };
    commit(&*store, Batch::act(vec![Change::Hold(freeze)], act())).unwrap();
    store.close();
    std::fs::write(home.options.database(), before).unwrap();
    let store = SqliteStore::open(&home.options).unwrap();
    assert!(store.holds().unwrap().all_frozen());
}

#[test]
fn a_store_of_a_later_layout_is_refused_by_name_and_left_as_it_is() {
    let (home, store) = Home::open();
    store.close();
    {
        #[allow(clippy::disallowed_methods, reason = "the store is closed")]
        let later = rusqlite::Connection::open(home.options.database()).unwrap();
        later
            .execute("UPDATE schema_version SET version = 6", [])
            .unwrap();
    }
    let refused = SqliteStore::open(&home.options).unwrap_err();
    assert_eq!(refused.code, OpenCode::StoreNewer);
    assert!(refused.message.contains("layout 6"), "{refused}");
    assert!(refused.message.contains("up to 5"), "{refused}");
    let adopted = SqliteStore::adopt(&home.options, &super::failure::above(99), "uid:0");
    assert_eq!(adopted.unwrap_err().code, OpenCode::StoreNewer);
    assert_eq!(layout(&home), 6);
}
