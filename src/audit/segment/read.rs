//! Reading a segment, record by record, with every check that it can be given by itself.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Take};
use std::path::Path;

use flate2::bufread::DeflateDecoder;
use sha2::{Digest, Sha256};

use super::{FOOTER, Footer, HEADER, Header, MAX_RECORD, SUMMED};
use crate::audit::verify::follow;
use crate::store::{AuditHead, AuditRecord};

/// Where a segment breaks.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("record {sequence} {what}")]
pub struct SegmentBreak {
    /// The first record that nothing vouches for.
    pub sequence: u64,
    /// What is wrong.
    pub what: String,
}

/// A segment that is being read.
pub struct SegmentReader<R> {
    header: Header,
    footer: Footer,
    records: DeflateDecoder<BufReader<Take<R>>>,
    head: AuditHead,
}

impl<R> std::fmt::Debug for SegmentReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentReader")
            .field("header", &self.header)
            .field("footer", &self.footer)
            .finish_non_exhaustive()
    }
}

impl SegmentReader<File> {
    /// Opens a file.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::over(File::open(path)?)
    }
}

impl<R: Read + Seek> SegmentReader<R> {
    /// Reads what the segment says of itself.
    pub fn over(mut source: R) -> io::Result<Self> {
        let bad = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let length = source.seek(SeekFrom::End(0))?;
        let body = length
            .checked_sub(HEADER + FOOTER)
            .ok_or_else(|| bad("is too short for a segment".to_owned()))?;
        let (mut head, mut foot) = ([0; HEADER as usize], [0; FOOTER as usize]);
        source.seek(SeekFrom::Start(HEADER + body))?;
        source.read_exact(&mut foot)?;
        source.seek(SeekFrom::Start(0))?;
        source.read_exact(&mut head)?;
        let header = Header::decode(&head).map_err(|cause| bad(format!("is no segment: {cause}")))?;
        let footer =
            Footer::decode(&foot).map_err(|cause| bad(format!("does not end as a segment: {cause}")))?;
        if footer.last.sequence <= header.before.sequence {
            return Err(bad("has no records".to_owned()));
        }
        Ok(Self {
            header,
            footer,
            records: DeflateDecoder::new(BufReader::new(source.take(body))),
            head: header.before,
        })
    }

    /// What it says before its records.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// What it says behind them.
    pub const fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The next record, or none behind the last. The last is told only when the whole file holds: records, footer and digest.
    pub fn next_record(&mut self) -> Result<Option<AuditRecord>, SegmentBreak> {
        // Nothing has vouched for the record before this one yet, and one changed bit of a compressed file may change both.
        let next = self.head.sequence.saturating_add(1);
        let sequence = if self.head == self.header.before {
            next
        } else {
            self.head.sequence
        };
        let broken = |what: String| SegmentBreak {
            sequence,
            what: format!("or the one behind it {what}"),
        };
        if self.head.sequence == self.footer.last.sequence {
            return Ok(None);
        }
        let mut length = [0; 2];
        let mut encoded = [0; MAX_RECORD];
        let unreadable = |cause: io::Error| broken(format!("cannot be read: {cause}"));
        self.records.read_exact(&mut length).map_err(unreadable)?;
        let length = usize::from(u16::from_be_bytes(length));
        let encoded = encoded
            .get_mut(..length)
            .ok_or_else(|| broken(format!("would have {length} bytes")))?;
        self.records.read_exact(encoded).map_err(unreadable)?;
        let record =
            AuditRecord::decode(encoded).map_err(|cause| broken(format!("does not decode: {cause}")))?;
        follow(&self.head, &record).map_err(|found| SegmentBreak {
            sequence: found.sequence.min(sequence),
            what: found.what,
        })?;
        self.head = record.head();
        if self.head.sequence == self.footer.last.sequence {
            self.finish(&record)?;
        }
        Ok(Some(record))
    }

    /// Behind the last record nothing follows, the footer is true, and the digest is that of the file.
    fn finish(&mut self, last: &AuditRecord) -> Result<(), SegmentBreak> {
        let named = |sequence: u64, what: &str| SegmentBreak {
            sequence,
            what: what.to_owned(),
        };
        if last.head() != self.footer.last || last.entry.time_micros != self.footer.last_time {
            return Err(named(last.sequence, "is not the one that its segment ends with"));
        }
        let first = self.header.before.sequence.saturating_add(1);
        if !matches!(self.records.read(&mut [0]), Ok(0)) {
            return Err(named(
                first,
                "stands in a segment with something behind its records",
            ));
        }
        match self.digest() {
            Ok(digest) if digest == self.footer.digest => Ok(()),
            Ok(_) => Err(named(first, "stands in a segment that does not have its digest")),
            Err(cause) => Err(named(
                first,
                &format!("stands in a segment that cannot be read: {cause}"),
            )),
        }
    }

    /// SHA-256 of the file up to the digest in it.
    fn digest(&mut self) -> io::Result<[u8; 32]> {
        let source = self.records.get_mut().get_mut().get_mut();
        let length = source.seek(SeekFrom::End(0))?;
        source.seek(SeekFrom::Start(0))?;
        let summed = length.saturating_sub(FOOTER - SUMMED as u64);
        let mut hash = Sha256::new();
        let mut rest = source.take(summed);
        let mut buffer = [0; 16 * 1024];
        loop {
            match rest.read(&mut buffer)? {
                0 => return Ok(hash.finalize().into()),
                count => hash.update(buffer.get(..count).unwrap_or_default()),
            }
        }
    }

    /// Reads all of it.
    pub fn verify(mut self) -> Result<Footer, SegmentBreak> {
        while self.next_record()?.is_some() {}
        Ok(self.footer)
    }
}
