//! What the fuzz targets call: the parsers of segments and checkpoints, which come from folders that others may write to.

use std::io::Cursor;

use super::checkpoint::Checkpoint;
use super::segment::SegmentReader;

/// A segment: whatever it says of itself, its records come in order, each linked to the one before, and no more of them than it names.
pub fn segment(bytes: &[u8]) {
    let Ok(mut reader) = SegmentReader::over(Cursor::new(bytes)) else {
        return;
    };
    let (mut head, last) = (reader.header().before, reader.footer().last);
    while let Ok(Some(record)) = reader.next_record() {
        assert_eq!(
            (record.sequence, record.previous_hash),
            (head.sequence + 1, head.hash)
        );
        head = record.head();
        assert!(head.sequence <= last.sequence);
    }
}

/// A line of a file of checkpoints: what is accepted is written back the same.
pub fn checkpoint(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(checkpoint) = Checkpoint::parse(text)
    {
        assert_eq!(checkpoint.line(), text);
    }
}
