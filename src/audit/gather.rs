//! Gathering of denials: a node that asks for the same refusal a thousand times a second must not fill the disk.
//!
//! For each (subject, operation, code) the first few of a second pass; the rest of that second is counted and becomes one entry
//! with their number. Pure: time comes in with the entries.
//!
//! *Invariants:* the counts of all entries that come out are together the number that went in. Memory is bounded: beyond
//! [`MAX_KINDS`] kinds in one second, strangers share one.

use std::collections::HashMap;

use crate::store::{AuditEntry, Context};

/// Most kinds that are told apart within a second.
const MAX_KINDS: usize = 1024;
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

/// Lets the first entries of a kind pass and counts the rest.
#[derive(Debug)]
pub struct Gatherer {
    per_second: u32,
    windows: HashMap<Kind, Window>,
}

impl Gatherer {
    /// Lets `per_second` entries of each kind pass in every second; at least one.
    pub fn new(per_second: u32) -> Self {
        Self {
            per_second: per_second.max(1),
            windows: HashMap::new(),
        }
    }

    /// Takes a denial in; gives back what is to be recorded now: the gathered ones of an earlier second, the denial itself, both,
    /// or nothing.
    pub fn take(&mut self, mut entry: AuditEntry) -> Vec<AuditEntry> {
        let second = entry.time_micros.div_euclid(SECOND);
        let mut kind = Kind {
            subject: entry.subject.clone(),
            operation: entry.operation.clone(),
            code: entry.reason.clone(),
        };
        if self.windows.len() >= MAX_KINDS && !self.windows.contains_key(&kind) {
            "others".clone_into(&mut entry.subject);
            // What is known of this one is not true of the others.
            entry.context = Context::default();
            kind.subject.clone_from(&entry.subject);
            kind.operation.clear();
            kind.code.clear();
        }
        let window = self.windows.entry(kind).or_insert(Window {
            second,
            passed: 0,
            held: None,
        });
        let mut out = Vec::new();
        if window.second != second {
            out.extend(window.held.take());
            *window = Window {
                second,
                passed: 0,
                held: None,
            };
        }
        if window.passed < self.per_second {
            window.passed += 1;
            out.push(entry);
        } else {
            // The latest of them stands for all: its time and position say how far it went.
            let count = window.held.as_ref().map_or(0, |held| held.count);
            entry.count = entry.count.saturating_add(count);
            window.held = Some(entry);
        }
        out
    }

    /// What was gathered in seconds that are over at `now_micros`. To be called about once a second.
    pub fn flush(&mut self, now_micros: i64) -> Vec<AuditEntry> {
        let now = now_micros.div_euclid(SECOND);
        self.flush_if(|second| second != now)
    }

    /// Everything that was gathered: at the end.
    pub fn flush_all(&mut self) -> Vec<AuditEntry> {
        self.flush_if(|_| true)
    }

    fn flush_if(&mut self, over: impl Fn(i64) -> bool) -> Vec<AuditEntry> {
        let mut out: Vec<_> = self
            .windows
            .extract_if(|_, window| over(window.second))
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
}
