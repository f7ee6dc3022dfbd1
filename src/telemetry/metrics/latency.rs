//! A histogram that can be read back: the same buckets as those that are exported, for `sigward status` and `sigward top`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::sign::SECONDS;

/// Times since the start. Cheap to clone; an observation is one atomic addition.
#[derive(Clone, Debug, Default)]
pub(super) struct Latency(Arc<[AtomicU64; SECONDS.len() + 1]>);

/// What was read back.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Quantiles {
    /// How many observations.
    pub count: u64,
    /// Half took no longer, in seconds.
    pub p50: f64,
    /// 99 of 100 took no longer, in seconds.
    pub p99: f64,
}

impl Latency {
    pub(super) fn observe(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = SECONDS.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.0.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Reads it.
    pub(super) fn read(&self) -> Quantiles {
        let counts: Vec<u64> = self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Quantiles {
            count: counts.iter().sum(),
            p50: quantile(&counts, 0.5),
            p99: quantile(&counts, 0.99),
        }
    }
}

/// As PromQL's `histogram_quantile`: linear within a bucket; what lies beyond the last bound is the last bound.
fn quantile(counts: &[u64], q: f64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "an estimate in any case")]
    let rank = counts.iter().sum::<u64>() as f64 * q;
    let (mut below, mut lower) = (0.0, 0.0);
    for (count, upper) in counts.iter().zip(SECONDS) {
        #[allow(clippy::cast_precision_loss, reason = "an estimate in any case")]
        let count = *count as f64;
        if count > 0.0 && below + count >= rank {
            return lower + (upper - lower) * (rank - below) / count;
        }
        below += count;
        lower = upper;
    }
    if counts.iter().any(|count| *count > 0) {
        lower
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_in_the_bucket_of_their_rank() {
        let latency = Latency::default();
        assert_eq!(latency.read(), Quantiles::default());
        (0..98).for_each(|_| latency.observe(Duration::from_micros(120)));
        (0..2).for_each(|_| latency.observe(Duration::from_millis(20)));
        let read = latency.read();
        assert_eq!(read.count, 100);
        assert!(read.p50 > 0.000_1 && read.p50 <= 0.000_15, "{read:?}");
        assert!(read.p99 > 0.01 && read.p99 <= 0.025, "{read:?}");
        let slow = Latency::default();
        slow.observe(Duration::from_secs(30));
        assert_eq!(slow.read().p50, 1.0);
    }
}
