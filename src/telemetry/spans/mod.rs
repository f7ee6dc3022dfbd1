//! Spans: what a request did, and when, on the way to whoever collects traces. What is sent, and how, is in `otlp`.
//!
//! A request that is being followed is told of when it has ended, by one [`Report`]: a span for the request and one for each stage.
//! [`Spans`] decides which are followed and takes the reports in. Without a collector that is one branch a request, and nothing is kept.
//!
//! *Invariants:* handing a report over never waits, never fails and holds nothing that grows: what finds no room is counted and gone;
//! of what a caller chooses (its trace, its flag) nothing raises the load beyond [`CALLS_A_SECOND`], nor takes room from votes; a [`Value`] holds
//! numbers, our own words and names of the configuration, so no payload, key, token or signature can be in a report.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sigward_policies::model::trace::TraceId;
use tokio::sync::mpsc;

use super::metrics::{Dropped, OtlpMetrics};
use super::trace::TraceParent;

mod report;

pub use report::{Began, Fault, Report, StageSpan, Value};

/// How many reports wait at most: some megabytes.
const ROOM: usize = 2048;
/// Calls find no room any more when half of it is taken: what is left is for votes.
const ROOM_FOR_VOTES: usize = ROOM / 2;
/// How many calls are followed in a second at most, whatever their callers ask for.
pub const CALLS_A_SECOND: u32 = 100;

/// Where reports go. Cheap to clone; by default nowhere.
#[derive(Clone, Debug, Default)]
pub struct Spans(Option<Arc<Open>>);

#[derive(Debug)]
struct Open {
    queue: mpsc::Sender<Report>,
    share: Share,
    pace: Mutex<Pace>,
    metrics: OtlpMetrics,
}

impl Spans {
    /// A way for reports, and its other end. `sample` is the share of the traces that begin here, from 0 to 1.
    pub fn open(sample: f64, metrics: OtlpMetrics) -> (Self, mpsc::Receiver<Report>) {
        let (queue, end) = mpsc::channel(ROOM);
        let open = Open {
            queue,
            share: Share::of(sample),
            pace: Mutex::new(Pace::new(Instant::now())),
            metrics,
        };
        (Self(Some(Arc::new(open))), end)
    }

    /// Whether a request of a node is followed: its trace begins here.
    pub fn follow_vote(&self, trace: TraceId) -> bool {
        self.0.as_ref().is_some_and(|open| open.share.has(trace))
    }

    /// Whether a call is followed. A caller that says something of its trace is believed, within the bound of all calls together.
    pub fn follow_call(&self, trace: TraceId, parent: Option<&TraceParent>) -> bool {
        let Some(open) = &self.0 else { return false };
        let wanted = parent.map_or_else(|| open.share.has(trace), |parent| parent.sampled);
        wanted && open.in_pace()
    }

    /// Takes the report of a request of a node.
    pub fn tell_vote(&self, report: Report) {
        if let Some(open) = &self.0 {
            open.take(report);
        }
    }

    /// Takes the report of a call.
    pub fn tell_call(&self, report: Report) {
        let Some(open) = &self.0 else { return };
        if open.queue.capacity() <= ROOM_FOR_VOTES {
            return open.metrics.dropped(Dropped::NoRoom, report.spans());
        }
        open.take(report);
    }
}

impl Open {
    fn take(&self, report: Report) {
        // Full, or whoever sends has ended: either way nobody waits.
        if let Err(error) = self.queue.try_send(report) {
            self.metrics.dropped(Dropped::NoRoom, error.into_inner().spans());
        }
    }

    fn in_pace(&self) -> bool {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = pace.allows(Instant::now());
        drop(pace);
        if !allowed {
            self.metrics.dropped(Dropped::Pace, 1);
        }
        allowed
    }
}

/// A share of all traces: those whose last 56 bits, which are random, are below it (W3C Trace Context, level 2), so that everybody who
/// samples by the same share follows the same traces.
#[derive(Clone, Copy, Debug)]
struct Share(u64);

const RANDOM_BITS: u32 = 56;

impl Share {
    fn of(sample: f64) -> Self {
        let all = 1_u64 << RANDOM_BITS;
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share"
        )]
        let below = (sample.clamp(0.0, 1.0) * all as f64) as u64;
        Self(below)
    }

    const fn has(self, trace: TraceId) -> bool {
        let number = u128::from_be_bytes(*trace.as_bytes()) as u64;
        number & ((1 << RANDOM_BITS) - 1) < self.0
    }
}

/// How many calls were followed in the second under way.
#[derive(Debug)]
struct Pace {
    second: Instant,
    followed: u32,
}

impl Pace {
    const fn new(now: Instant) -> Self {
        Self {
            second: now,
            followed: 0,
        }
    }

    fn allows(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.second).as_secs() >= 1 {
            *self = Self::new(now);
        }
        let allowed = self.followed < CALLS_A_SECOND;
        self.followed += u32::from(allowed);
        allowed
    }
}

#[cfg(test)]
mod tests;
