//! What the fuzz targets call: the parsers of bytes that come from the state folder.

use super::api_key::{decode_api_key, encode_api_key};
use super::approval::{decode_approval, encode_approval};
use super::holding::{decode_hold, encode_hold};
use super::record::AuditRecord;
use super::redo::Redo;
use super::witness::Entry;

/// An entry of the witness, and what is in it: what is accepted is written back the same.
pub fn witness(bytes: &[u8]) {
    if let Ok(entry) = Entry::decode(bytes) {
        assert!(bytes.starts_with(&entry.encode()));
    }
    if let Ok(redo) = Redo::decode(bytes) {
        assert_eq!(redo.encode(), bytes);
        for write in redo.holds {
            if let Ok(hold) = decode_hold(&write.body) {
                assert_eq!(encode_hold(&hold), write.body);
            }
        }
        for write in redo.api_keys {
            if let Ok(stored) = decode_api_key(&write.body) {
                assert_eq!(encode_api_key(&stored), write.body);
            }
        }
        for write in redo.approvals {
            if let Ok(approval) = decode_approval(&write.body) {
                assert_eq!(encode_approval(&approval), write.body);
            }
        }
    }
}

/// An encoded audit record: what is accepted is written back the same.
pub fn audit_record(bytes: &[u8]) {
    if let Ok(record) = AuditRecord::decode(bytes) {
        assert_eq!(record.encode(), bytes);
    }
}
