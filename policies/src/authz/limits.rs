//! How often: a bucket of tokens for each subject and rule, kept as the one moment at which it would be full again (the generic
//! cell rate algorithm, ITU-T I.371). The clock comes in.
//!
//! *Invariants:* memory is bounded, whoever asks for whatever; one subject cannot take the room of the others; a clock that is set
//! back locks nobody out for longer than an empty bucket does.

use std::collections::HashMap;
use std::time::Duration;

use super::rule::{Question, RuleId};
use crate::decision::{Refusal, RefusalCode};
use crate::model::algorithm::PublicKey;
use crate::model::caller::Caller;
use crate::model::operation::Operation;

/// Largest count of a rate.
pub(super) const MAX_COUNT: u32 = 1_000_000;
/// Longest time of a rate, in seconds: a day.
pub(super) const MAX_PER_SECONDS: u32 = 86_400;
/// Buckets of one subject.
pub const MAX_OF_A_SUBJECT: usize = 256;
/// Subjects that have buckets.
pub const MAX_SUBJECTS: usize = 4_096;

/// How often something may be asked: `count` times at once, and that many again over `per_seconds`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// 1 to 1,000,000.
    pub(super) count: u32,
    /// 1 to 86,400.
    pub(super) per_seconds: u32,
    /// Whether each key has a bucket of its own.
    pub(super) each_key: bool,
    /// Whether each operation has.
    pub(super) each_operation: bool,
}

impl Rate {
    /// Times at once.
    pub const fn count(self) -> u32 {
        self.count
    }

    /// Over this many seconds.
    pub const fn per_seconds(self) -> u32 {
        self.per_seconds
    }

    /// Whether each key is counted for itself.
    pub const fn is_each_key(self) -> bool {
        self.each_key
    }

    /// Nanoseconds for one of them; rounded up, so that rounding allows nothing.
    fn interval(self) -> u64 {
        let count = u64::from(self.count.max(1));
        (u64::from(self.per_seconds) * 1_000_000_000).div_ceil(count)
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {} s", self.count, self.per_seconds)?;
        match (self.each_key, self.each_operation) {
            (false, false) => Ok(()),
            (true, false) => f.write_str(" for each key"),
            (false, true) => f.write_str(" for each operation"),
            (true, true) => f.write_str(" for each key and operation"),
        }
    }
}

/// A moment, in nanoseconds of any clock that only goes on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tick(pub u64);

/// Too often: ask again after this long. `RESOURCE_EXHAUSTED`, 429.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooOften {
    /// The shortest time after which the same question could be let through.
    pub retry_after: Duration,
}

impl TooOften {
    /// As it is told; a second at least, so that nobody is told to ask again in none.
    pub fn refusal(self) -> Refusal {
        let seconds = self.retry_after.as_secs().saturating_add(1);
        Refusal::new(
            RefusalCode::RateLimited,
            format!("asked too often; ask again in {seconds} s"),
        )
    }
}

/// What was asked lately. One for the whole process; it outlives policies, so that a reload fills no bucket.
#[derive(Debug, Default)]
pub struct Limits {
    subjects: HashMap<Box<str>, HashMap<Bucket, u64>>,
}

/// What shares a bucket, of one subject.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Bucket {
    rule: RuleId,
    key: Option<PublicKey>,
    operation: Option<Operation>,
}

impl Limits {
    /// Takes one token for `question`, which `rule` lets through at `rate`; or says when to ask again, and takes nothing.
    ///
    /// Keys that are not there share a bucket: whoever invents names gets no more of it.
    pub fn take(
        &mut self,
        question: &Question<'_>,
        rule: &RuleId,
        rate: Rate,
        now: Tick,
    ) -> Result<(), TooOften> {
        let bucket = Bucket {
            rule: rule.clone(),
            key: question
                .key
                .filter(|_| rate.each_key)
                .and_then(|key| key.public_key),
            operation: rate.each_operation.then_some(question.operation),
        };
        let buckets = self.of(question.subject, now)?;
        if buckets.len() >= MAX_OF_A_SUBJECT && !buckets.contains_key(&bucket) {
            make_room(buckets, now)?;
        }
        let interval = rate.interval();
        let capacity = interval.saturating_mul(rate.count.into());
        // Full at the latest after `capacity`: anything beyond it comes from another rate, or from a clock that was set back.
        let full_at = buckets.get(&bucket).copied().unwrap_or(now.0);
        let full_at = full_at.clamp(now.0, now.0.saturating_add(capacity));
        let next = full_at.saturating_add(interval);
        let allowed_at = next.saturating_sub(capacity);
        if allowed_at > now.0 {
            // Written down too, or a clock that was set back would never catch up with it.
            buckets.insert(bucket, full_at);
            return Err(TooOften {
                retry_after: Duration::from_nanos(allowed_at - now.0),
            });
        }
        buckets.insert(bucket, next);
        Ok(())
    }

    /// How many buckets there are.
    pub fn len(&self) -> usize {
        self.subjects.values().map(HashMap::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn of(&mut self, subject: &Caller, now: Tick) -> Result<&mut HashMap<Bucket, u64>, TooOften> {
        let name: Box<str> = subject.to_string().into();
        if self.subjects.len() >= MAX_SUBJECTS && !self.subjects.contains_key(&name) {
            // A subject whose every bucket is full is one that has asked nothing.
            self.subjects
                .retain(|_, buckets| buckets.values().any(|full_at| *full_at > now.0));
            if self.subjects.len() >= MAX_SUBJECTS {
                let soonest = self
                    .subjects
                    .values()
                    .filter_map(|buckets| buckets.values().max())
                    .min();
                return Err(later(soonest.copied(), now));
            }
        }
        Ok(self.subjects.entry(name).or_default())
    }
}

/// A bucket that is full again is one that was never used.
fn make_room(buckets: &mut HashMap<Bucket, u64>, now: Tick) -> Result<(), TooOften> {
    buckets.retain(|_, full_at| *full_at > now.0);
    if buckets.len() < MAX_OF_A_SUBJECT {
        return Ok(());
    }
    Err(later(buckets.values().min().copied(), now))
}

fn later(soonest: Option<u64>, now: Tick) -> TooOften {
    let wait = soonest.unwrap_or(now.0).saturating_sub(now.0).max(1);
    TooOften {
        retry_after: Duration::from_nanos(wait),
    }
}

#[cfg(test)]
mod tests;
