//! Writing a segment: under another name, synced, renamed, the folder synced, and read back.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use sha2::{Digest, Sha256};

use super::{END, Footer, Header, Segment, SegmentFolder, SegmentReader};
use crate::crash::crash_point;
use crate::store::AuditRecord;

/// A file that sums what is written to it.
struct Summed<W> {
    into: W,
    hash: Sha256,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.into.write(bytes)?;
        self.hash.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

/// Writes a segment whose records `next` gives out, one by one and in order, until it has none. Durable and read back when it
/// returns; nothing that was there is overwritten, and no segment overlaps another.
pub(in crate::audit) fn write(
    folder: &SegmentFolder,
    header: &Header,
    mut next: impl FnMut() -> io::Result<Option<AuditRecord>>,
) -> io::Result<Option<Segment>> {
    let Some(first) = next()? else { return Ok(None) };
    let unfinished = folder.unfinished();
    // What a start that was cut off left behind never had a name.
    match std::fs::remove_file(&unfinished) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)?;
    let mut summed = Summed {
        into: BufWriter::new(file),
        hash: Sha256::new(),
    };
    summed.write_all(&header.encode())?;
    let mut records = DeflateEncoder::new(summed, Compression::default());
    let mut last = (first.head(), first.entry.time_micros);
    let mut record = Some(first);
    while let Some(one) = record {
        let encoded = one.encode();
        let length = u16::try_from(encoded.len()).map_err(io::Error::other)?;
        records.write_all(&length.to_be_bytes())?;
        records.write_all(&encoded)?;
        last = (one.head(), one.entry.time_micros);
        record = next()?;
    }
    let mut summed = records.finish()?;
    summed.write_all(&Footer::summed(&last.0, last.1))?;
    let digest: [u8; 32] = summed.hash.finalize().into();
    let mut file = summed.into;
    file.write_all(&digest)?;
    file.write_all(&END)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    drop(file);
    crash_point!("audit_segment_written");
    // Read back before it has its name: a disk that writes something else is found while the records are still in the database.
    let reader = SegmentReader::open(&unfinished)?;
    if reader.header() != header {
        return Err(io::Error::other(
            "the segment does not read back as it was written",
        ));
    }
    let footer = reader.verify().map_err(io::Error::other)?;
    let segment = folder.segment(header.before.sequence.saturating_add(1), footer.last.sequence);
    // Looked at as late as can be: somebody may have brought segments back while this one was written.
    let there = folder.list_there()?;
    let overlaps = |other: &&Segment| other.first <= segment.last && segment.first <= other.last;
    if let Some(other) = there.iter().find(overlaps) {
        let name = other.path.display();
        let what = format!("{name} holds some of the same records");
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    }
    std::fs::rename(&unfinished, &segment.path)?;
    crash_point!("audit_segment_renamed");
    File::open(folder.path())?.sync_all()?;
    Ok(Some(segment))
}
