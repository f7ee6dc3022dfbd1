#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]
use std::io::{Cursor, Write as _};

use proptest::prelude::*;

use super::*;
use crate::audit::testing::chain;

const STORE: StoreId = StoreId([1; 16]);

/// A segment of records `from` to `to`, and its bytes.
fn segment(from: usize, to: usize) -> (tempfile::TempDir, Segment, Vec<u8>) {
    let tmp = tempfile::tempdir().unwrap();
    let folder = SegmentFolder::of(tmp.path(), &STORE);
    folder.ensure().unwrap();
    let records = chain(STORE, to as u64);
    let before = match from {
        1 => AuditHead::genesis(&STORE),
        _ => records[from - 2].head(),
    };
    let mut left = records[from - 1..].iter().cloned();
    let header = Header { store: STORE, before };
    let made = write(&folder, &header, || Ok(left.next())).unwrap().unwrap();
    let bytes = std::fs::read(&made.path).unwrap();
    (tmp, made, bytes)
}

fn broken(bytes: &[u8]) -> Option<u64> {
    match SegmentReader::over(Cursor::new(bytes)) {
        Ok(reader) => reader.verify().err().map(|broken| broken.sequence),
        Err(_) => Some(1),
    }
}

#[test]
fn a_segment_reads_back_and_the_folder_lists_it_by_its_records() {
    let (tmp, made, bytes) = segment(11, 60);
    assert_eq!((made.first, made.last), (11, 60));
    assert_eq!(SegmentFolder::of(tmp.path(), &STORE).list().unwrap(), [made]);
    let mut reader = SegmentReader::over(Cursor::new(&bytes)).unwrap();
    let all = chain(STORE, 60);
    for expected in &all[10..] {
        assert_eq!(reader.next_record().unwrap().as_ref(), Some(expected));
    }
    assert_eq!(reader.next_record().unwrap(), None);
}

#[test]
fn every_flipped_bit_is_found_at_or_before_the_first_record_it_changes() {
    let (_tmp, _, bytes) = segment(1, 12);
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        // The first record that reads otherwise than it was written, as far as the stream can be read at all.
        let named = broken(&bad).unwrap_or_else(|| panic!("bit {bit} goes unnoticed"));
        let mut reader = match SegmentReader::over(Cursor::new(&bad)) {
            Ok(reader) => reader,
            Err(_) => continue,
        };
        let mut whole = 0;
        for expected in chain(STORE, 12) {
            match reader.next_record() {
                Ok(Some(record)) if record == expected => whole += 1,
                _ => break,
            }
        }
        assert!(named <= whole + 1, "bit {bit}: {named}, but {whole} are whole");
    }
}

#[test]
fn a_segment_that_is_cut_or_longer_is_refused() {
    let (_tmp, _, bytes) = segment(1, 12);
    for end in 0..bytes.len() {
        assert!(broken(&bytes[..end]).is_some(), "cut at {end}");
    }
    assert!(broken(&[bytes.as_slice(), &[0]].concat()).is_some());
}

/// A gigabyte of zeros in a megabyte: found at its first record, in the memory of one.
#[test]
fn a_decompression_bomb_ends_at_its_first_record() {
    let header = Header {
        store: STORE,
        before: AuditHead::genesis(&STORE),
    };
    let mut body = flate2::write::DeflateEncoder::new(header.encode(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..64 {
        body.write_all(&zeros).unwrap();
    }
    let mut bytes = body.finish().unwrap();
    let last = AuditHead {
        sequence: u64::MAX,
        hash: [0; 32],
    };
    bytes.extend(Footer::summed(&last, 0));
    bytes.extend([0; 32]);
    bytes.extend(END);
    assert_eq!(broken(&bytes), Some(1));
}

#[test]
fn names_that_are_no_segments_are_passed_over() {
    let tmp = tempfile::tempdir().unwrap();
    let folder = SegmentFolder::of(tmp.path(), &STORE);
    assert!(folder.list().unwrap().is_empty());
    folder.ensure().unwrap();
    for name in [
        "segment-1-2.sgwa",
        "segment-00000000000000000002-00000000000000000001.sgwa",
        "segment-00000000000000000000-00000000000000000001.sgwa",
        "segment-99999999999999999999-99999999999999999999.sgwa",
        "segment.unfinished",
        "checkpoints",
    ] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    assert!(folder.list().unwrap().is_empty());
}

proptest! {
    #[test]
    fn whatever_bytes_are_read_nothing_is_believed(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(broken(&bytes).is_some());
    }
}

/// What an earlier sigward wrote (tests/vectors): it reads for ever.
#[test]
fn segments_and_checkpoints_of_version_1_read() {
    use crate::audit::CheckpointFile;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/audit@1");
    let mut checkpoints = Vec::new();
    CheckpointFile::at(folder.join("checkpoints"))
        .each(|read| {
            checkpoints.push(read.unwrap());
            true
        })
        .unwrap();
    assert!(checkpoints.len() == 1 && checkpoints[0].follows(None));
    let store = checkpoints[0].store;
    let mut head = AuditHead::genesis(&store);
    let mut vouched = 0;
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|suffix| suffix == "sgwa"));
    files.sort();
    for file in files {
        let mut reader = SegmentReader::open(&file).unwrap();
        assert_eq!((reader.header().store, reader.header().before), (store, head));
        while let Some(record) = reader.next_record().unwrap() {
            head = record.head();
            vouched += checkpoints.iter().filter(|made| made.head == head).count();
        }
    }
    assert_eq!(
        (head.sequence, vouched),
        (19, 1),
        "the checkpoint vouches for the last of them"
    );
}
