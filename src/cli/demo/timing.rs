//! How long signing took, from the histogram that `/metrics` shows.

use std::collections::BTreeMap;

const BUCKET: &str = "sigward_sign_duration_seconds_bucket";
const WHOLE: &str = "stage=\"total\"";

/// Quantiles in seconds, interpolated within their bucket (as Prometheus' `histogram_quantile` does).
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Timing {
    pub(super) count: u64,
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// Reads them from the text of `/metrics`, all operations together.
pub(super) fn read(metrics: &str) -> anyhow::Result<Timing> {
    // Buckets are cumulative; keyed by the bound's bits, which order as positive numbers do.
    let mut buckets: BTreeMap<u64, f64> = BTreeMap::new();
    for line in metrics
        .lines()
        .filter(|line| line.starts_with(BUCKET) && line.contains(WHOLE))
    {
        if let Some((bound, value)) = sample(line) {
            *buckets.entry(bound.to_bits()).or_default() += value;
        }
    }
    let buckets: Vec<(f64, f64)> = buckets
        .into_iter()
        .map(|(bound, value)| (f64::from_bits(bound), value))
        .collect();
    let count = buckets.last().map_or(0.0, |(_, count)| *count);
    anyhow::ensure!(
        count > 0.0,
        "/metrics tells of no signature ({BUCKET}{{{WHOLE}}})"
    );
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // A count of signatures: whole and positive.
    let signatures = count as u64;
    Ok(Timing {
        count: signatures,
        p50: quantile(&buckets, count * 0.5),
        p99: quantile(&buckets, count * 0.99),
    })
}

fn sample(line: &str) -> Option<(f64, f64)> {
    let (_, after) = line.split_once("le=\"")?;
    let (bound, _) = after.split_once('"')?;
    let (_, value) = line.split_once("} ")?;
    let bound: f64 = bound.parse().ok().filter(|bound: &f64| *bound > 0.0)?;
    Some((bound, value.split_whitespace().next()?.parse().ok()?))
}

fn quantile(buckets: &[(f64, f64)], rank: f64) -> f64 {
    let (mut low, mut below) = (0.0, 0.0);
    for &(bound, count) in buckets {
        if count >= rank {
            // Beyond the last finite bound nothing is known but that bound.
            return if bound.is_finite() {
                low + (bound - low) * (rank - below) / (count - below)
            } else {
                low
            };
        }
        (low, below) = (bound, count);
    }
    low
}

/// Seconds as a person reads them.
pub(super) fn pretty(seconds: f64) -> String {
    if seconds < 0.001 {
        format!("{:.0} µs", seconds * 1e6)
    } else {
        format!("{:.2} ms", seconds * 1e3)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated_over_all_operations() {
        let metrics = "\
# TYPE sigward_sign_duration_seconds histogram
sigward_sign_duration_seconds_bucket{op=\"prevote\",stage=\"total\",le=\"0.0001\"} 0
sigward_sign_duration_seconds_bucket{op=\"prevote\",stage=\"total\",le=\"0.0002\"} 50
sigward_sign_duration_seconds_bucket{op=\"prevote\",stage=\"total\",le=\"+Inf\"} 50
sigward_sign_duration_seconds_bucket{op=\"precommit\",stage=\"total\",le=\"0.0001\"} 0
sigward_sign_duration_seconds_bucket{op=\"precommit\",stage=\"total\",le=\"0.0002\"} 49
sigward_sign_duration_seconds_bucket{op=\"precommit\",stage=\"total\",le=\"+Inf\"} 50
sigward_sign_duration_seconds_bucket{op=\"precommit\",stage=\"guard\",le=\"+Inf\"} 7
sigward_sign_duration_seconds_count{op=\"precommit\",stage=\"total\"} 50
";
        let timing = read(metrics).unwrap();
        assert_eq!(timing.count, 100);
        assert!((timing.p50 - 0.000_150_5).abs() < 1e-6, "{}", timing.p50);
        assert!((timing.p99 - 0.0002).abs() < 1e-9, "{}", timing.p99);
        assert_eq!(pretty(timing.p50), "151 µs");
        assert_eq!(pretty(0.0123), "12.30 ms");
    }

    #[test]
    fn no_signature_is_an_error() {
        assert!(read("up 1\n").is_err());
    }
}
