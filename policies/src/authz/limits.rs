//! How often: a bucket of tokens for each subject and rule, kept as the one moment at which it would be full again (the generic
//! cell rate algorithm, ITU-T I.371). The clock comes in.
//!
//! Whoever shows a token counts twice: as the subject that it is, and as one of its issuer's. An issuer can invent as many subjects as
//! it likes; all of them together get [`MOST_OF_AN_ISSUER`] times what one gets, and the room of that issuer.
//!
//! *Invariants:* memory is bounded, whoever asks for whatever; one subject cannot take the room of the others, nor can an issuer with
//! all its subjects; a clock that is set back locks nobody out for longer than an empty bucket does; what is refused takes nothing.

use std::collections::HashMap;
use std::time::Duration;

use super::rule::{Question, RuleId};
use crate::decision::{Refusal, RefusalCode};
use crate::model::algorithm::PublicKey;
use crate::model::bearer::IssuerName;
use crate::model::caller::Caller;
use crate::model::operation::Operation;

/// Largest count of a rate.
pub(super) const MAX_COUNT: u32 = 1_000_000;
/// Longest time of a rate, in seconds: a day.
pub(super) const MAX_PER_SECONDS: u32 = 86_400;
/// Buckets of one subject.
pub const MAX_OF_A_SUBJECT: usize = 256;
/// Subjects that have buckets, those of issuers aside.
pub const MAX_SUBJECTS: usize = 4_096;
/// Issuers that have buckets: as many as the configuration may name.
pub const MAX_ISSUERS: usize = 64;
/// Subjects of one issuer that have buckets, and buckets of one of those.
pub const MAX_SUBJECTS_OF_AN_ISSUER: usize = 256;
const MAX_OF_ITS_SUBJECT: usize = 64;
/// How much more often than one of its subjects an issuer is let through with all of them.
pub const MOST_OF_AN_ISSUER: u32 = 16;

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
    subjects: HashMap<Box<str>, Buckets>,
    issuers: HashMap<IssuerName, OfIssuer>,
}

/// When each would be full again.
type Buckets = HashMap<Bucket, u64>;

/// What was asked with tokens of one issuer: by each subject, and by all of them.
#[derive(Debug, Default)]
struct OfIssuer {
    all: Buckets,
    subjects: HashMap<Box<str>, Buckets>,
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
        let Caller::Token { holder } = question.subject else {
            let name = question.subject.to_string();
            let buckets = room_for(&mut self.subjects, name, MAX_SUBJECTS, now)?;
            let next = next(buckets, &bucket, (rate, 1), MAX_OF_A_SUBJECT, now)?;
            buckets.insert(bucket, next);
            return Ok(());
        };
        let issuer = self.issuer(holder.issuer(), now)?;
        let all = next(
            &mut issuer.all,
            &bucket,
            (rate, MOST_OF_AN_ISSUER),
            MAX_OF_A_SUBJECT,
            now,
        )?;
        let name = holder.subject().to_owned();
        let own = room_for(&mut issuer.subjects, name, MAX_SUBJECTS_OF_AN_ISSUER, now)?;
        let next = next(own, &bucket, (rate, 1), MAX_OF_ITS_SUBJECT, now)?;
        // Only now: a refusal by either takes nothing of the other.
        own.insert(bucket.clone(), next);
        issuer.all.insert(bucket, all);
        Ok(())
    }

    /// How many buckets there are.
    pub fn len(&self) -> usize {
        let of = |subjects: &HashMap<Box<str>, Buckets>| subjects.values().map(HashMap::len).sum::<usize>();
        let issuers = self.issuers.values();
        of(&self.subjects)
            + issuers
                .map(|issuer| issuer.all.len() + of(&issuer.subjects))
                .sum::<usize>()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn issuer(&mut self, name: &IssuerName, now: Tick) -> Result<&mut OfIssuer, TooOften> {
        if self.issuers.len() >= MAX_ISSUERS && !self.issuers.contains_key(name) {
            // Names of former configurations. What a subject has used its issuer has used, for longer.
            self.issuers.retain(|_, issuer| is_used(&issuer.all, now));
            if self.issuers.len() >= MAX_ISSUERS {
                let soonest = self
                    .issuers
                    .values()
                    .filter_map(|issuer| issuer.all.values().max());
                return Err(later(soonest.min().copied(), now));
            }
        }
        Ok(self.issuers.entry(name.clone()).or_default())
    }
}

/// The buckets of a subject, where there is room for one more.
fn room_for(
    subjects: &mut HashMap<Box<str>, Buckets>,
    name: String,
    most: usize,
    now: Tick,
) -> Result<&mut Buckets, TooOften> {
    let name: Box<str> = name.into();
    if subjects.len() >= most && !subjects.contains_key(&name) {
        // A subject whose every bucket is full is one that has asked nothing.
        subjects.retain(|_, buckets| is_used(buckets, now));
        if subjects.len() >= most {
            let soonest = subjects.values().filter_map(|buckets| buckets.values().max());
            return Err(later(soonest.min().copied(), now));
        }
    }
    Ok(subjects.entry(name).or_default())
}

fn is_used(buckets: &Buckets, now: Tick) -> bool {
    buckets.values().any(|full_at| *full_at > now.0)
}

/// When `bucket` will be full once one more is taken from it, of `times` the rate; or when to ask again.
fn next(
    buckets: &mut Buckets,
    bucket: &Bucket,
    (rate, times): (Rate, u32),
    most: usize,
    now: Tick,
) -> Result<u64, TooOften> {
    if buckets.len() >= most && !buckets.contains_key(bucket) {
        make_room(buckets, most, now)?;
    }
    let interval = rate.interval().div_ceil(times.into());
    let count = u64::from(rate.count).saturating_mul(times.into());
    let capacity = interval.saturating_mul(count);
    // Full at the latest after `capacity`: anything beyond it comes from another rate, or from a clock that was set back.
    let full_at = buckets.get(bucket).copied().unwrap_or(now.0);
    let full_at = full_at.clamp(now.0, now.0.saturating_add(capacity));
    let next = full_at.saturating_add(interval);
    let allowed_at = next.saturating_sub(capacity);
    if allowed_at > now.0 {
        // Written down too, or a clock that was set back would never catch up with it.
        buckets.insert(bucket.clone(), full_at);
        return Err(TooOften {
            retry_after: Duration::from_nanos(allowed_at - now.0),
        });
    }
    Ok(next)
}

/// A bucket that is full again is one that was never used.
fn make_room(buckets: &mut Buckets, most: usize, now: Tick) -> Result<(), TooOften> {
    buckets.retain(|_, full_at| *full_at > now.0);
    if buckets.len() < most {
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
