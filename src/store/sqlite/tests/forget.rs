//! Forgetting old records: only what was kept elsewhere, never the last, and the chain begins where it says.

use super::*;
use crate::store::OpenCode;

fn with_records(count: i64) -> (Home, Arc<SqliteStore>) {
    let (home, store) = Home::open();
    let on = chain("one");
    commit(&*store, begin(1, &on)).unwrap();
    for height in 1..count {
        sign(&*store, 1, &on, &message(height, 0, 2, 1, 10)).unwrap();
    }
    (home, store)
}

#[test]
fn what_was_kept_elsewhere_is_forgotten_and_the_rest_opens_and_signs_on() {
    let (home, store) = with_records(300);
    let head = store.health().audit_records;
    let kept = store.audit(200, 1).unwrap()[0].head();
    assert_eq!(
        store.forget_audit(&kept, 1000).unwrap().sequence,
        32,
        "a little at a time"
    );
    assert_eq!(store.forget_audit(&kept, 10).unwrap().sequence, 42);
    while store.audit_base().unwrap() != kept {
        store.forget_audit(&kept, 1000).unwrap();
    }
    assert_eq!(
        store.forget_audit(&kept, 1000).unwrap(),
        kept,
        "again changes nothing"
    );
    drop(store);
    let store = SqliteStore::open(&home.options).unwrap();
    assert_eq!(store.audit_base().unwrap(), kept);
    let rest = store.audit(1, 1000).unwrap();
    assert_eq!((rest[0].sequence, rest[0].previous_hash), (201, kept.hash));
    assert_eq!(store.health().audit_records, head);
    sign(&*store, 1, &chain("one"), &message(1000, 0, 2, 1, 10)).unwrap();
    assert_eq!(store.health().audit_records, head + 1);
}

#[test]
fn the_last_record_stays_and_what_is_not_the_same_here_is_refused() {
    let (_home, store) = with_records(20);
    let last = store.audit(store.health().audit_records, 1).unwrap()[0].head();
    let mut other = store.audit(5, 1).unwrap()[0].head();
    other.hash[3] ^= 1;
    assert_eq!(code(store.forget_audit(&other, 100)), "store_disagrees");
    let beyond = AuditHead { sequence: 99, ..last };
    assert_eq!(code(store.forget_audit(&beyond, 100)), "store_disagrees");
    assert_eq!(store.audit_base().unwrap().sequence, 0);
    assert_eq!(
        store.forget_audit(&last, 100).unwrap().sequence,
        last.sequence - 1
    );
    assert_eq!(store.audit(1, 100).unwrap().len(), 1);
}

#[test]
fn a_chain_that_does_not_begin_where_it_says_is_refused() {
    for tamper in [
        "DELETE FROM audit WHERE sequence <= 7",
        "DELETE FROM audit",
        "UPDATE audit_base SET sequence = 6",
        "UPDATE audit_base SET hash = x'00'",
        "DELETE FROM audit_base",
    ] {
        let (home, store) = with_records(20);
        let kept = store.audit(5, 1).unwrap()[0].head();
        store.forget_audit(&kept, 100).unwrap();
        store.close();
        {
            #[allow(clippy::disallowed_methods, reason = "the store is closed")]
            let open = rusqlite::Connection::open(home.options.database()).unwrap();
            open.execute(tamper, []).unwrap();
        }
        let refused = SqliteStore::open(&home.options).unwrap_err();
        assert_eq!(refused.code, OpenCode::StoreCorrupt, "{tamper}");
    }
}

/// A forgetting that the disk lost with the log comes back as records that are there once more.
#[test]
fn an_older_database_that_the_witness_completes_may_have_forgotten_less() {
    let (home, store) = with_records(40);
    store.close();
    let before = std::fs::read(home.options.database()).unwrap();
    let store = SqliteStore::open(&home.options).unwrap();
    sign(&*store, 1, &chain("one"), &message(500, 0, 2, 1, 10)).unwrap();
    let kept = store.audit(30, 1).unwrap()[0].head();
    store.forget_audit(&kept, 100).unwrap();
    sign(&*store, 1, &chain("one"), &message(501, 0, 2, 1, 10)).unwrap();
    let head = store.health().audit_records;
    store.close();
    std::fs::write(home.options.database(), before).unwrap();
    let store = SqliteStore::open(&home.options).unwrap();
    assert_eq!(store.audit_base().unwrap().sequence, 0);
    assert_eq!(store.audit(1, 1000).unwrap().len() as u64, head);
    assert_eq!(store.forget_audit(&kept, 100).unwrap(), kept);
}
