//! Entries and segments: what is whole, torn, older, and damaged.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::entry::{ALIGN, ENTRY_LEN};
use super::*;
use crate::store::record::AuditHead;
use sigward_policies::model::id::StoreId;

fn entry(sequence: u64) -> Entry {
    let audit = AuditHead {
        sequence: 9,
        hash: [5; 32],
    };
    Entry {
        testimony: Testimony {
            store: StoreId([3; 16]),
            sequence,
            digest: [4; 32],
            audit,
        },
        redo: vec![7; 100 + usize::try_from(sequence).unwrap() * 13],
    }
}

fn segment(sequences: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for sequence in sequences {
        bytes.extend(entry(sequence).encode());
        bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
    }
    bytes.resize(64 * 1024, 0);
    bytes
}

fn read(even: &[u8], odd: &[u8]) -> Option<(u64, u64)> {
    let testified = Testified::read([even, odd])?;
    Some((
        testified.entries()[0].testimony.sequence,
        testified.newest().sequence,
    ))
}

#[test]
fn every_flipped_bit_and_every_cut_of_an_entry_is_seen() {
    let whole = entry(7).encode();
    assert_eq!(whole.len(), ENTRY_LEN + entry(7).redo.len());
    assert_eq!(Entry::decode(&whole).unwrap(), entry(7));
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Entry::decode(&flipped).is_err(), "bit {bit}");
    }
    for end in 0..whole.len() {
        assert!(Entry::decode(&whole[..end]).is_err());
    }
}

#[test]
fn the_newest_run_counts_and_an_older_one_only_if_it_joins() {
    let zeros = segment([]);
    assert_eq!(read(&segment(1..=4), &zeros), Some((1, 4)));
    assert_eq!(read(&segment(1..=4), &segment(5..=8)), Some((1, 8)));
    assert_eq!(read(&segment(9..=11), &segment(5..=8)), Some((5, 11)));
    assert_eq!(read(&segment(9..=11), &segment(3..=6)), Some((9, 11)));
    assert_eq!(read(&zeros, &zeros), None);
    assert_eq!(
        Testified::read([&segment(1..=4), &segment(5..=8)])
            .unwrap()
            .after(6)
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        Testified::read([&segment(1..=4), &zeros])
            .unwrap()
            .after(4)
            .unwrap()
            .len(),
        0
    );
    assert!(
        Testified::read([&segment(3..=4), &zeros])
            .unwrap()
            .after(1)
            .is_none()
    );
}

#[test]
fn what_is_older_behind_the_end_is_passed_over_and_what_is_newer_is_damage() {
    // Segment overwritten from its beginning: entries of the last turn stand behind.
    let mut bytes = segment(1..=6);
    let fresh = segment([20, 21]);
    let end = Entry::stride(entry(20).redo.len()) + Entry::stride(entry(21).redo.len());
    bytes[..end].copy_from_slice(&fresh[..end]);
    assert_eq!(read(&bytes, &segment([])), Some((20, 21)));
    // The last entry torn: nobody heard of it. One before it: damage.
    let stride = |sequence| Entry::stride(entry(sequence).redo.len());
    let mut torn = segment(1..=3);
    torn[stride(1) + stride(2) + 50] ^= 1;
    assert_eq!(read(&torn, &segment([])), Some((1, 2)));
    let mut damaged = segment(1..=3);
    damaged[stride(1) + 50] ^= 1;
    assert_eq!(read(&damaged, &segment([])), None);
}

#[test]
fn a_segment_whose_first_entry_is_torn_leaves_the_other_one_in_force() {
    let mut torn = segment(1..=4);
    let half = entry(9).encode();
    torn[..half.len() / 2].copy_from_slice(&half[..half.len() / 2]);
    assert_eq!(read(&torn, &segment(5..=8)), Some((5, 8)));
    // The same with an entry of this turn behind it is damage.
    let mut damaged = segment(9..=11);
    damaged[50] ^= 1;
    assert_eq!(read(&damaged, &segment(5..=8)), None);
}

#[test]
fn two_stores_in_one_witness_are_damage() {
    let mut foreign = entry(5);
    foreign.testimony.store = StoreId([9; 16]);
    let mut odd = foreign.encode();
    odd.resize(64 * 1024, 0);
    assert_eq!(read(&segment(1..=4), &odd), None);
}
