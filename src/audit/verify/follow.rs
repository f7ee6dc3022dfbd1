//! Whether one record follows another.

use super::Break;
use crate::store::{AuditHead, AuditRecord};

/// Whether `record` is the one after `head`, and is what its hash says. If not: the first that nothing vouches for, which is the one
/// before where the two do not fit each other.
pub(in crate::audit) fn follow(head: &AuditHead, record: &AuditRecord) -> Result<(), Break> {
    let expected = head.sequence.saturating_add(1);
    let broken = |sequence: u64, what: String| {
        Err(Break {
            sequence: sequence.max(1),
            what,
        })
    };
    if record.sequence > expected {
        return broken(
            expected,
            format!("is missing: record {} stands in its place", record.sequence),
        );
    }
    if record.sequence < expected {
        // A copy of the one before vouches for it; any other speaks against it.
        let copy = record.head() == *head;
        let sequence = if copy {
            expected
        } else {
            expected.saturating_sub(1).min(record.sequence)
        };
        return broken(
            sequence,
            format!(
                "or the one behind it is not in its place: there are two records {}",
                record.sequence
            ),
        );
    }
    match AuditRecord::decode(&record.encode()) {
        Ok(again) if again.hash == record.hash => {}
        Ok(_) => return broken(expected, "does not have its hash".to_owned()),
        Err(cause) => return broken(expected, cause.to_string()),
    }
    if record.previous_hash != head.hash {
        return broken(
            head.sequence,
            "and the record after it are not linked: one of the two was altered".to_owned(),
        );
    }
    Ok(())
}
