//! What the fuzz targets call: the parsers of bytes that come from the state folder.

use super::record::AuditRecord;
use super::witness::Testimony;

/// A slot of the witness file: what is accepted is written back the same.
pub fn witness(bytes: &[u8]) {
    if let Ok(testimony) = Testimony::decode(bytes) {
        assert_eq!(testimony.encode(), bytes);
    }
}

/// An encoded audit record: what is accepted is written back the same.
pub fn audit_record(bytes: &[u8]) {
    if let Ok(record) = AuditRecord::decode(bytes) {
        assert_eq!(record.encode(), bytes);
    }
}
