//! What both segments say together: which commits are still there, and whether that can have been written by a witness.

use super::entry::{ALIGN, Entry, Testimony};

/// What the whole file says: the newest commits, without a gap, oldest first. Never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Testified {
    entries: Vec<Entry>,
    newest: Testimony,
    pub(super) segment: usize,
    pub(super) tail: usize,
}

impl Testified {
    /// Reads both segments. `None` if they cannot have been written by a witness: nothing in them, two stores, or an entry in
    /// the middle that is damaged.
    pub fn read(segments: [&[u8]; 2]) -> Option<Self> {
        let [even, odd] = segments.map(Run::read);
        if even.is_damaged(&odd) || odd.is_damaged(&even) {
            return None;
        }
        let (older, newer, segment) = if even.last() > odd.last() {
            (odd, even, 0)
        } else {
            (even, odd, 1)
        };
        let newest = newer.entries.last()?.testimony;
        let mut entries = Vec::new();
        if older
            .last()
            .is_some_and(|last| newer.first() == last.checked_add(1))
        {
            entries.extend(older.entries);
        }
        entries.extend(newer.entries);
        let same = entries.iter().all(|entry| entry.testimony.store == newest.store);
        same.then_some(Self {
            entries,
            newest,
            segment,
            tail: newer.tail,
        })
    }

    /// Every commit that is still in the file, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The newest commit.
    pub const fn newest(&self) -> &Testimony {
        &self.newest
    }

    /// The commit with number `sequence`, if it is still in the file.
    pub fn at(&self, sequence: u64) -> Option<&Testimony> {
        let found = self
            .entries
            .iter()
            .find(|entry| entry.testimony.sequence == sequence);
        found.map(|entry| &entry.testimony)
    }

    /// Every commit after `sequence`; `None` if one of them is no longer in the file.
    pub fn after(&self, sequence: u64) -> Option<&[Entry]> {
        let first = self.entries.first()?.testimony.sequence;
        let skip = sequence.checked_add(1)?.checked_sub(first)?;
        self.entries.get(usize::try_from(skip).ok()?..)
    }
}

/// The entries at the beginning of a segment.
struct Run {
    entries: Vec<Entry>,
    tail: usize,
    /// The highest sequence of a good entry behind the run.
    behind: Option<u64>,
}

impl Run {
    /// Reads a segment up to where its run ends, and looks at what stands behind: nothing, what is older, or damage.
    fn read(segment: &[u8]) -> Self {
        let mut run = Self {
            entries: Vec::new(),
            tail: 0,
            behind: None,
        };
        while let Ok(entry) = Entry::decode(segment.get(run.tail..).unwrap_or_default()) {
            if run
                .last()
                .is_some_and(|last| last.checked_add(1) != Some(entry.testimony.sequence))
            {
                break;
            }
            run.tail = run.tail.saturating_add(Entry::stride(entry.redo.len()));
            run.entries.push(entry);
        }
        let mut at = run.tail;
        while let Some(rest) = segment.get(at..).filter(|rest| !rest.is_empty()) {
            at = at.saturating_add(ALIGN);
            if let Ok(entry) = Entry::decode(rest) {
                run.behind = run.behind.max(Some(entry.testimony.sequence));
                at = at
                    .saturating_add(Entry::stride(entry.redo.len()))
                    .saturating_sub(ALIGN);
            }
        }
        run
    }

    /// Whether an entry of this turn stands behind the end of its run: then the one in between is damaged, and not torn. An
    /// empty run is that of a segment whose first entry was torn; what stands behind is of the turn before, unless it is newer
    /// than all of the other segment.
    fn is_damaged(&self, other: &Self) -> bool {
        let newest = self.last().or_else(|| other.last());
        self.behind
            .is_some_and(|behind| newest.is_none_or(|newest| behind > newest))
    }

    fn first(&self) -> Option<u64> {
        self.entries.first().map(|entry| entry.testimony.sequence)
    }

    fn last(&self) -> Option<u64> {
        self.entries.last().map(|entry| entry.testimony.sequence)
    }
}
