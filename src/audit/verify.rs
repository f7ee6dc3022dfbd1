//! Does the chain hold? Reads every record, links it to the one before, and names the first that breaks.
//!
//! *Caveat:* a chain that was cut off at its end together with the store's own head (and its witness) verifies; only an anchor
//! outside shows that.

use sigward_policies::decision::{FailureCode, Refused};

use crate::store::{AuditHead, AuditRecord, Store};

const PAGE: usize = 1000;

/// What verification found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verification {
    /// Records that hold, from the first on.
    pub records: u64,
    /// Where they end.
    pub head: AuditHead,
    /// The first record that does not hold; `None` for a whole chain.
    pub first_broken: Option<Break>,
}

/// Where a chain breaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Break {
    /// The sequence of the first record that does not hold.
    pub sequence: u64,
    /// What is wrong with it.
    pub what: String,
}

/// Verifies the whole chain of `store`. An error is about the store, not the chain: the question has no answer then.
pub fn verify(store: &dyn Store) -> Result<Verification, Refused> {
    // Records that are appended while we read are read too; only these must be there.
    let promised = store.health().audit_records;
    let mut head = AuditHead::genesis(&store.id());
    loop {
        let next = head.sequence.saturating_add(1);
        let page = match store.audit(next, PAGE) {
            Ok(page) => page,
            Err(damage) if is_damage(&damage) => match store.audit(next, 1) {
                // The damage is further on: go there record by record.
                Ok(one) => one,
                Err(damage) if is_damage(&damage) => return Ok(broken(head, damage.to_string())),
                Err(other) => return Err(other),
            },
            Err(other) => return Err(other),
        };
        if page.is_empty() {
            break;
        }
        for record in &page {
            if let Err(what) = follows(&head, record) {
                return Ok(broken(head, what));
            }
            head = record.head();
        }
    }
    if head.sequence < promised {
        return Ok(broken(head, format!("missing: the chain has {promised} records")));
    }
    Ok(Verification {
        records: head.sequence,
        head,
        first_broken: None,
    })
}

fn is_damage(refused: &Refused) -> bool {
    matches!(refused, Refused::Failed(failure) if failure.code == FailureCode::StoreDisagrees)
}

fn broken(head: AuditHead, what: String) -> Verification {
    Verification {
        records: head.sequence,
        head,
        first_broken: Some(Break {
            sequence: head.sequence.saturating_add(1),
            what,
        }),
    }
}

/// Whether `record` is the one after `head`, and is what its hash says.
fn follows(head: &AuditHead, record: &AuditRecord) -> Result<(), String> {
    let expected = head.sequence.saturating_add(1);
    if record.sequence != expected {
        return Err(format!("missing: record {} stands in its place", record.sequence));
    }
    if record.previous_hash != head.hash {
        return Err("is not linked to the record before it".to_owned());
    }
    match AuditRecord::decode(&record.encode()) {
        Ok(again) if again.hash == record.hash => Ok(()),
        Ok(_) => Err("does not have its hash".to_owned()),
        Err(cause) => Err(cause.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::store::{AuditEntry, Batch, Done, Health, Outcome, StoredRow, stopped};
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
                let entry = AuditEntry {
                    time_micros: 5,
                    subject: format!("uid:{n}"),
                    operation: "key.create".to_owned(),
                    key: None,
                    chain: None,
                    position: None,
                    outcome: Outcome::Allowed,
                    reason: String::new(),
                    request_digest: Some([3; 32]),
                    signature_digest: None,
                    count: 1,
                };
                let (record, bytes) = AuditRecord::link(&head, entry);
                head = record.head();
                (n, bytes)
            });
            Self {
                rows: rows.collect(),
                promised: len,
            }
        }

        fn first_broken(&self) -> Option<u64> {
            verify(self).unwrap().first_broken.map(|broken| broken.sequence)
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

    #[test]
    fn a_whole_chain_holds() {
        assert_eq!(verify(&Chain::new(0)).unwrap().records, 0);
        let found = verify(&Chain::new(2500)).unwrap();
        assert_eq!((found.records, found.first_broken), (2500, None));
    }

    #[test]
    fn every_flip_is_named_where_it_is_or_where_the_next_record_misses_it() {
        let bits = Chain::new(5).rows[2].1.len() * 8;
        for bit in 0..bits {
            let mut chain = Chain::new(5);
            chain.rows[2].1[bit / 8] ^= 1 << (bit % 8);
            let broken = chain.first_broken();
            assert!(broken == Some(3) || broken == Some(4), "bit {bit}: {broken:?}");
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
}
