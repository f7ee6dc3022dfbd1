//! The process: when it began, and the memory it holds, read when somebody asks.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};
use sigward_policies::model::id::UnixSeconds;

pub(super) fn register(registry: &mut Registry, began: UnixSeconds) {
    let start = Gauge::<i64>::default();
    start.set(began.0);
    registry.register_with_unit(
        "start_time",
        "When this process began, since 1970",
        Unit::Seconds,
        start,
    );
    registry.register_collector(Box::new(Memory));
}

/// Resident memory, from `/proc/self/statm` (proc(5)); left out where that cannot be read.
#[derive(Debug)]
struct Memory;

impl Collector for Memory {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(bytes) = resident_bytes() else {
            return Ok(());
        };
        let gauge = ConstGauge::new(bytes);
        let metric = encoder.encode_descriptor(
            "resident_memory",
            "Memory of this process that is in RAM.",
            Some(&Unit::Bytes),
            gauge.metric_type(),
        )?;
        gauge.encode(metric)
    }
}

fn resident_bytes() -> Option<i64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(i64::try_from(rustix::param::page_size()).ok()?)
}
