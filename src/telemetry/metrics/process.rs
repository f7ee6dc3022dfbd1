//! The process: when it began, and the memory and file descriptors it holds, read when somebody asks.

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
    registry.register_collector(Box::new(Process));
}

/// What `/proc/self` says (proc(5)); left out where that cannot be read.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let bytes = Some(Unit::Bytes);
        for (name, help, unit, value) in [
            (
                "resident_memory",
                "Memory of this process that is in RAM.",
                &bytes,
                resident_bytes(),
            ),
            ("open_fds", "Open file descriptors.", &None, open_fds()),
            ("max_fds", "File descriptors that may be open.", &None, max_fds()),
        ] {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, unit.as_ref(), gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}

/// Links, nodes and clients hold one each; the one that reads the folder is not counted.
fn open_fds() -> Option<i64> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?.count();
    i64::try_from(entries.saturating_sub(1)).ok()
}

fn max_fds() -> Option<i64> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    i64::try_from(limit.current?).ok()
}

fn resident_bytes() -> Option<i64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(i64::try_from(rustix::param::page_size()).ok()?)
}
