//! What is larger than a commit is refused, and the store goes on; what is large comes in several commits.

use std::sync::mpsc::channel;

use super::*;
use crate::store::weight;

/// As many new keys as there are numbers, with a record.
fn keys(numbers: std::ops::Range<u32>) -> Batch {
    Batch::act(numbers.map(|n| Change::AddKey(key(n))).collect(), act())
}

/// So many records with as much text as they keep.
fn records(count: usize) -> Batch {
    let long = AuditEntry {
        subject: "é".repeat(5000),
        reason: "r".repeat(5000),
        ..act()
    };
    Batch::record(vec![long; count])
}

#[test]
fn a_batch_that_is_larger_than_the_witness_is_refused_and_the_store_goes_on() {
    let (home, store) = Home::open();
    let before = store.health();
    let many = weight::MOST_PARTS + 1;
    for huge in [
        keys(0..1000),
        records(1000),
        Batch::record(vec![act(); many]),
        Batch::record(vec![act(); 1_000_000]),
    ] {
        let refused = commit(&*store, huge).unwrap_err();
        assert_eq!(refused.code(), "act_too_large");
        assert!(refused.to_string().contains("in parts"), "{refused}");
    }
    assert_eq!(store.health(), before, "nothing was begun");
    assert!(store.keys().unwrap().is_empty());
    let on = chain("one");
    commit(&*store, begin(1, &on)).unwrap();
    sign(&*store, 1, &on, &message(1, 0, 2, 1, 10)).unwrap();
    store.close();
    let store = SqliteStore::open(&home.options).unwrap();
    assert_eq!(store.keys().unwrap().len(), 1);
}

#[test]
fn acts_that_come_together_are_more_than_one_commit_where_one_does_not_hold_them() {
    let (home, store) = Home::open();
    let (tell, told) = channel();
    // A segment of these tests has 64 KiB; these have some 40 KiB each.
    for n in 0..40 {
        let tell = tell.clone();
        let batch = if n % 2 == 0 {
            keys(n * 100..n * 100 + 100)
        } else {
            records(30)
        };
        store.commit(batch, Box::new(move |outcome| tell.send(outcome).unwrap()));
    }
    let commits: std::collections::BTreeSet<_> =
        (0..40).map(|_| told.recv().unwrap().unwrap().commit).collect();
    assert!(commits.len() >= 20, "{commits:?}");
    assert_eq!(store.keys().unwrap().len(), 2000);
    store.close();
    let store = SqliteStore::open(&home.options).unwrap();
    assert_eq!(store.keys().unwrap().len(), 2000);
    assert_eq!(store.health().audit_records, 20 + 20 * 30);
}

#[test]
fn every_key_of_a_full_store_fits_into_one_confirmation_and_into_one_restore() {
    let room = 4 * 1024 * 1024 - 4096;
    let name = |n: u32| KeyName::new(&format!("{n:0>64}")).unwrap();
    let (mut confirm, mut restore) = (Batch::default(), Batch::default());
    for n in 0..4096 {
        let mut key = key(n);
        key.name = name(n);
        let record = AuditEntry {
            subject: "uid:4294967295".to_owned(),
            key: Some(key.version.public_key),
            reason: "x".repeat(150),
            ..act()
        };
        let backup = sigward_policies::model::key::BackupMark {
            bundle: sigward_policies::model::id::BundleId([1; 16]),
            at: NOW,
        };
        let public_key = key.version.public_key;
        confirm.changes.push(Change::MarkBackedUp { public_key, backup });
        confirm.entries.push(record.clone());
        restore.changes.push(Change::AddKey(key));
        restore.changes.push(Change::Begin {
            public_key,
            chain: chain(&"c".repeat(50)),
            beginning: Beginning::Above(sigward_policies::model::id::Height::new(5).unwrap()),
            sharing: Sharing::OneChain,
        });
        restore.entries.push(record);
    }
    for batch in [confirm, restore] {
        let weight = weight::fits(&batch, room).unwrap();
        assert!(weight > room / 3, "{weight}");
    }
}
