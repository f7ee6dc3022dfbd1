//! Gathering of denials: a node that asks for the same refusal a thousand times a second must not fill the disk.
//!
//! For each (subject, operation, code) the first few of a second pass, and a few more than that of all kinds together; the rest of that
//! second is counted and becomes one entry with their number. Pure: time comes in with the entries.
//!
//! *Invariants:* the counts of all entries that come out, less those that are put back, are together the number that went in. Memory
//! is bounded: beyond [`MAX_KINDS`] kinds in one second, strangers share one. So is what comes out in a second, whatever goes in.

use std::collections::HashMap;

use crate::store::{AuditEntry, Context};

/// Most kinds that are told apart within a second.
const MAX_KINDS: usize = 1024;
/// Of all kinds together, this many times as many pass as of one.
const KINDS_AT_ONCE: u32 = 4;
/// Most gathered entries that come out at once; the others stay for the next time.
const MAX_FLUSHED: usize = 256;
const SECOND: i64 = 1_000_000;

/// What is gathered together.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Kind {
    subject: String,
    operation: String,
    code: String,
}

#[derive(Debug)]
struct Window {
    second: i64,
    passed: u32,
    held: Option<AuditEntry>,
}

impl Kind {
    fn of(entry: &AuditEntry) -> Self {
        Self {
            subject: entry.subject.clone(),
            operation: entry.operation.clone(),
            code: entry.reason.clone(),
        }
    }
}

impl Window {
    const fn of(second: i64) -> Self {
        Self {
            second,
            passed: 0,
            held: None,
        }
    }

    /// The latest of them stands for all: its time and position say how far it went.
    fn hold(&mut self, mut entry: AuditEntry) {
        let count = self.held.as_ref().map_or(0, |held| held.count);
        entry.count = entry.count.saturating_add(count);
        self.held = Some(entry);
    }
}

/// Lets the first entries of a kind pass and counts the rest.
#[derive(Debug)]
pub struct Gatherer {
    per_second: u32,
    /// The second of the last entry, and how many passed in it, of all kinds.
    now: (i64, u32),
    windows: HashMap<Kind, Window>,
}

impl Gatherer {
    /// Lets `per_second` entries of each kind pass in every second; at least one.
    pub fn new(per_second: u32) -> Self {
        Self {
            per_second: per_second.max(1),
            now: (0, 0),
            windows: HashMap::new(),
        }
    }

    /// Takes a denial in; gives back what is to be recorded now: the gathered ones of an earlier second, the denial itself, both,
    /// or nothing.
    pub fn take(&mut self, mut entry: AuditEntry) -> Vec<AuditEntry> {
        let second = entry.time_micros.div_euclid(SECOND);
        let mut kind = Kind::of(&entry);
        self.make_one_of_strangers(&mut kind, &mut entry);
        if self.now.0 != second {
            self.now = (second, 0);
        }
        let in_all = self.per_second.saturating_mul(KINDS_AT_ONCE);
        let window = self.windows.entry(kind).or_insert(Window::of(second));
        let mut out = Vec::new();
        if window.second != second {
            (window.second, window.passed) = (second, 0);
            if self.now.1 < in_all
                && let Some(held) = window.held.take()
            {
                self.now.1 += 1;
                out.push(held);
            }
        }
        if window.passed < self.per_second && self.now.1 < in_all {
            window.passed += 1;
            self.now.1 += 1;
            out.push(entry);
        } else {
            window.hold(entry);
        }
        out
    }

    /// Takes back what could not be recorded: it comes out again later, as part of one entry of its kind.
    pub fn put_back(&mut self, entries: Vec<AuditEntry>) {
        for mut entry in entries {
            let second = entry.time_micros.div_euclid(SECOND);
            let mut kind = Kind::of(&entry);
            self.make_one_of_strangers(&mut kind, &mut entry);
            let window = self.windows.entry(kind).or_insert(Window::of(second));
            match &mut window.held {
                // The later one stands for both.
                Some(held) => held.count = held.count.saturating_add(entry.count),
                None => window.held = Some(entry),
            }
        }
    }

    fn make_one_of_strangers(&self, kind: &mut Kind, entry: &mut AuditEntry) {
        if self.windows.len() >= MAX_KINDS && !self.windows.contains_key(kind) {
            "others".clone_into(&mut entry.subject);
            // What is known of this one is not true of the others.
            entry.context = Context::default();
            kind.subject.clone_from(&entry.subject);
            kind.operation.clear();
            kind.code.clear();
        }
    }

    /// What was gathered in seconds that are over at `now_micros`, a bounded part of it. To be called about once a second.
    pub fn flush(&mut self, now_micros: i64) -> Vec<AuditEntry> {
        let now = now_micros.div_euclid(SECOND);
        self.flush_if(|second| second != now, MAX_FLUSHED)
    }

    /// Everything that was gathered: at the end.
    pub fn flush_all(&mut self) -> Vec<AuditEntry> {
        self.flush_if(|_| true, usize::MAX)
    }

    fn flush_if(&mut self, over: impl Fn(i64) -> bool, most: usize) -> Vec<AuditEntry> {
        let mut left = most;
        let mut out: Vec<_> = self
            .windows
            .extract_if(|_, window| {
                let goes = over(window.second) && (window.held.is_none() || left > 0);
                left = left.saturating_sub(usize::from(goes && window.held.is_some()));
                goes
            })
            .filter_map(|(_, window)| window.held)
            .collect();
        out.sort_by_key(|entry| entry.time_micros);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Outcome;

    fn denial(subject: &str, code: &str, time_micros: i64) -> AuditEntry {
        AuditEntry {
            time_micros,
            subject: subject.to_owned(),
            operation: "sign.cometbft.prevote".to_owned(),
            key: None,
            key_version: None,
            chain: None,
            position: None,
            outcome: Outcome::Denied,
            reason: code.to_owned(),
            request_digest: None,
            signature_digest: None,
            count: 1,
            context: Context::default(),
        }
    }

    #[test]
    fn the_first_of_a_second_pass_and_the_rest_become_one() {
        let mut gatherer = Gatherer::new(2);
        let passed: usize = (0..10).map(|at| gatherer.take(denial("a", "x", at)).len()).sum();
        assert_eq!(passed, 2);
        assert_eq!(gatherer.take(denial("b", "x", 10)).len(), 1);
        assert!(gatherer.flush(999_999).is_empty());
        let gathered = gatherer.flush(1_000_000);
        assert_eq!(gathered.iter().map(|entry| entry.count).collect::<Vec<_>>(), [8]);
        assert!(gatherer.flush_all().is_empty());
    }

    #[test]
    fn nothing_is_lost_whatever_the_clock_does_and_memory_is_bounded() {
        let mut gatherer = Gatherer::new(3);
        let mut out = Vec::new();
        for n in 0..20_000_i64 {
            let time = (n * 7919 % 5 - 2) * SECOND + n;
            out.extend(gatherer.take(denial(&format!("s{}", n % 3000), "x", time)));
            assert!(gatherer.windows.len() <= MAX_KINDS + 1);
            if n % 5000 == 0 {
                out.extend(gatherer.flush(time));
            }
        }
        out.extend(gatherer.flush_all());
        assert_eq!(
            out.iter().map(|entry| u64::from(entry.count)).sum::<u64>(),
            20_000
        );
    }

    #[test]
    fn many_kinds_together_have_a_bound_and_what_is_put_back_comes_again() {
        let mut gatherer = Gatherer::new(10);
        let passed: usize = (0..900)
            .map(|n| gatherer.take(denial(&format!("s{n}"), "x", n)).len())
            .sum();
        assert_eq!(passed, 40);
        let mut came = passed;
        loop {
            let flushed = gatherer.flush(SECOND);
            assert!(flushed.len() <= MAX_FLUSHED);
            if flushed.is_empty() {
                break;
            }
            came += flushed.len();
        }
        assert_eq!(came, 900);

        let passed = gatherer.take(denial("a", "x", SECOND));
        gatherer.put_back(passed);
        let later = gatherer.take(denial("a", "x", SECOND + 1));
        gatherer.put_back(later);
        let again = gatherer.flush(2 * SECOND);
        assert_eq!(again.iter().map(|entry| entry.count).collect::<Vec<_>>(), [2]);
    }
}
