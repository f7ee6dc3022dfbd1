//! Every kind of tampering, on chains in memory.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::audit::testing;
use crate::store::{Batch, Done, Form, Health, StoredRow, stopped};
use sigward_policies::decision::Failure;
use sigward_policies::model::id::StoreId;
use sigward_policies::model::key::Key;

/// A store that holds these rows: each a sequence and a record that may not decode.
struct Chain {
    rows: Vec<(u64, Vec<u8>)>,
    promised: u64,
}

impl Chain {
    fn new(len: u64) -> Self {
        let mut head = AuditHead::genesis(&StoreId([1; 16]));
        let rows = (1..=len).map(|n| {
            let (record, bytes) = AuditRecord::link(&head, testing::entry(n));
            head = record.head();
            (n, bytes)
        });
        Self {
            rows: rows.collect(),
            promised: len,
        }
    }

    fn first_broken(&self) -> Option<u64> {
        verify(self, &Evidence::default())
            .unwrap()
            .first_broken
            .map(|broken| broken.sequence)
    }
}

impl Store for Chain {
    fn id(&self) -> StoreId {
        StoreId([1; 16])
    }
    fn commit(&self, _: Batch, done: Done) {
        done(Err(stopped()));
    }
    fn keys(&self) -> Result<Vec<Key>, Refused> {
        Ok(Vec::new())
    }
    fn holds(&self) -> Result<sigward_policies::holding::Holds, Refused> {
        Ok(Default::default())
    }
    fn rows(&self) -> Result<Vec<StoredRow>, Refused> {
        Ok(Vec::new())
    }
    fn audit(&self, from: u64, limit: usize) -> Result<Vec<AuditRecord>, Refused> {
        let page = self
            .rows
            .iter()
            .filter(|(sequence, _)| *sequence >= from)
            .take(limit);
        page.map(|(sequence, bytes)| {
            let wrong = || Failure::new(FailureCode::StoreDisagrees, format!("record {sequence}"));
            let record = AuditRecord::decode(bytes).map_err(|_| wrong())?;
            if record.sequence == *sequence {
                Ok(record)
            } else {
                Err(wrong().into())
            }
        })
        .collect()
    }
    fn health(&self) -> Health {
        Health {
            failed: None,
            commit: 1,
            audit_records: self.promised,
        }
    }
}

/// Records of these forms, each linked to the one before.
fn of_forms(forms: &[Form]) -> Chain {
    let mut chain = Chain::new(0);
    let mut head = AuditHead::genesis(&StoreId([1; 16]));
    for (n, form) in (1..).zip(forms) {
        let (mut record, _) = AuditRecord::link(&head, testing::entry(n));
        record.form = *form;
        let bytes = record.encode();
        head = AuditRecord::decode(&bytes).unwrap().head();
        chain.rows.push((n, bytes));
    }
    chain.promised = forms.len() as u64;
    chain
}

#[test]
fn a_chain_goes_on_to_a_newer_form_and_never_back() {
    use Form::{One, Two};
    for (forms, broken) in [
        (&[One, One, Two, Two][..], None),
        (&[Two, Two], None),
        (&[One, Two, One, Two], Some(3)),
        (&[Two, One], Some(2)),
    ] {
        assert_eq!(of_forms(forms).first_broken(), broken, "{forms:?}");
    }
}

#[test]
fn a_whole_chain_holds() {
    assert_eq!(verify(&Chain::new(0), &Evidence::default()).unwrap().records, 0);
    let found = verify(&Chain::new(2500), &Evidence::default()).unwrap();
    assert_eq!((found.records, found.first_broken), (2500, None));
}

#[test]
fn every_flip_is_named_where_it_is() {
    let bits = Chain::new(5).rows[2].1.len() * 8;
    for bit in 0..bits {
        let mut chain = Chain::new(5);
        chain.rows[2].1[bit / 8] ^= 1 << (bit % 8);
        let broken = chain.first_broken();
        assert!(broken == Some(3) || broken == Some(2), "bit {bit}: {broken:?}");
    }
}

#[test]
fn deleting_inserting_swapping_and_cutting_are_named() {
    let mut deleted = Chain::new(1500);
    deleted.rows.remove(1200);
    assert_eq!(deleted.first_broken(), Some(1201));

    let mut swapped = Chain::new(9);
    let (a, b) = (swapped.rows[3].1.clone(), swapped.rows[4].1.clone());
    (swapped.rows[3].1, swapped.rows[4].1) = (b, a);
    assert_eq!(swapped.first_broken(), Some(4));

    let mut inserted = Chain::new(9);
    let copy = inserted.rows[3].clone();
    inserted.rows.insert(4, copy);
    assert_eq!(inserted.first_broken(), Some(5));

    let mut cut = Chain::new(9);
    cut.rows.truncate(6);
    assert_eq!(cut.first_broken(), Some(7));
}

#[test]
fn a_chain_without_any_checkpoint_is_broken_where_there_must_be_one_and_the_key_was_given() {
    let key = *testing::Signer::new().key.public_key();
    let found = |chain: &Chain, key| {
        let evidence = Evidence {
            key,
            expected: Some(Expected {
                records: 50,
                age: std::time::Duration::from_secs(20),
            }),
            ..Evidence::default()
        };
        let broken = verify(chain, &evidence).unwrap().first_broken;
        broken.map(|broken| broken.sequence)
    };
    for (records, broken) in [(0, None), (1, None), (49, None), (50, Some(1))] {
        assert_eq!(found(&Chain::new(records), Some(key)), broken, "{records}");
        assert_eq!(found(&Chain::new(records), None), None);
    }
    // A second a record, and one signature: by then a daemon had its turn.
    for (records, signed, broken) in [(30, 21, Some(1)), (30, 20, None), (21, 21, Some(1)), (3, 3, None)] {
        let mut chain = Chain::new(0);
        let mut head = AuditHead::genesis(&StoreId([1; 16]));
        for n in 1..=records {
            let mut entry = testing::entry(n);
            if n == signed {
                entry.operation = "sign.cometbft.prevote".to_owned();
            }
            let (record, bytes) = AuditRecord::link(&head, entry);
            head = record.head();
            chain.rows.push((n, bytes));
        }
        chain.promised = records;
        assert_eq!(found(&chain, Some(key)), broken, "{records} {signed}");
        assert_eq!(found(&chain, None), None);
    }
}

/// Somebody else's file may take long: records may leave meanwhile, and it ends when nobody listens.
#[test]
fn an_anchor_is_read_before_records_are_held_and_only_while_somebody_listens() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("anchor");
    // Lines of others, one without an end, and then a checkpoint of nothing.
    let made = testing::Signer::new().sign(None, AuditHead::genesis(&StoreId([1; 16])), 1);
    let text = format!(
        "{}{}\n{}\n",
        "line\n".repeat(100),
        "x".repeat(100_000),
        made.line()
    );
    std::fs::write(&path, text).unwrap();
    let evidence = Evidence {
        anchor: Some(path.clone()),
        ..Evidence::default()
    };
    let chain = Chain::new(2048);
    let mut asked = 0;
    let found = verify_telling(&chain, &evidence, &mut |records, _| {
        asked += 1;
        assert_eq!(evidence.stay.leaving().is_some(), records == 0, "{records}");
        true
    });
    assert!(
        found.unwrap().first_broken.is_some(),
        "the state has no such checkpoint"
    );
    assert!(
        asked > 190,
        "asked {asked} times: at every line, and at every part of a long one"
    );
    let mut asked = 0;
    let abandoned = verify_telling(&chain, &evidence, &mut |_, _| {
        asked += 1;
        asked < 150
    });
    assert!(
        matches!(abandoned, Err(Refused::Failed(failure)) if failure.code == FailureCode::DeadlineExceeded)
    );
    assert_eq!(asked, 150);
    // Without one that breaks it, the walk goes on, and holds what it reads.
    std::fs::write(&path, "line\n").unwrap();
    let mut held = false;
    let found = verify_telling(&chain, &evidence, &mut |records, _| {
        held |= records > 0 && evidence.stay.leaving().is_none();
        true
    });
    assert_eq!((found.unwrap().anchored, held), (Some((0, 0)), true));
    let nowhere = Evidence {
        anchor: Some(tmp.path().join("nowhere")),
        ..Evidence::default()
    };
    assert!(matches!(verify(&chain, &nowhere), Err(Refused::Denied(_))));
}
