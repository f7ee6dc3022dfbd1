//! The task that brings a collector what there is: a batch at a time, tried a few times, and then counted and gone.
//!
//! *Invariant:* what waits here is bounded by the queue and one batch; the log hears once that the collector is away, once an hour while it is,
//! and once that it is back.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::collector::{Collector, NotSent};
use super::words::Words;
use crate::telemetry::metrics::{Dropped, OtlpMetrics};
use crate::telemetry::readiness::Check;
use crate::telemetry::spans::Report;

/// Reports in a batch: half a MiB or so; collectors take four.
const BATCH: usize = 256;
/// How long a batch may grow.
const GATHER: Duration = Duration::from_secs(1);
/// How often a batch is tried, and the pauses between: the first doubles, up to the longest.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long what is left may take when sigward ends.
const LAST: Duration = Duration::from_secs(2);
/// How often the log hears that the collector is still away.
const AGAIN: Duration = Duration::from_secs(3600);

pub(super) struct Sender {
    collector: Collector,
    words: Words,
    metrics: OtlpMetrics,
    check: Check,
    /// Since when it is away, as the log was told.
    away: Option<Instant>,
    pause: Duration,
}

impl Sender {
    pub(super) fn new(collector: Collector, words: Words, metrics: OtlpMetrics, check: Check) -> Self {
        // Nobody knows yet; what is known first is told.
        check.good();
        Self {
            collector,
            words,
            metrics,
            check,
            away: None,
            pause: FIRST_PAUSE,
        }
    }

    /// Sends what comes until `stop`, and then what is left.
    pub(super) async fn run(mut self, mut queue: Receiver<Report>, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        while !stop.is_cancelled() {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                came = queue.recv_many(&mut batch, BATCH) => if came == 0 { break },
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = gather(&mut queue, &mut batch) => {}
            }
            self.send(&mut batch, &stop).await;
        }
        // From here on nothing finds room: what is handed over is counted by whoever hands it.
        queue.close();
        let _late = timeout(LAST, self.send_rest(&mut queue, &mut batch)).await;
        let mut left = count(&batch);
        while let Ok(report) = queue.try_recv() {
            left += report.spans();
        }
        self.metrics.dropped(Dropped::Away, left);
    }

    /// Once a batch: there is no time to try again.
    async fn send_rest(&mut self, queue: &mut Receiver<Report>, batch: &mut Vec<Report>) {
        loop {
            let room = BATCH.saturating_sub(batch.len()).max(1);
            if batch.is_empty() && queue.recv_many(batch, room).await == 0 {
                return;
            }
            let said = self.words.say(batch);
            match self.collector.bring(&said).await {
                Ok(unwanted) => self.taken(batch, unwanted),
                Err(not_sent) => {
                    tracing::warn!(
                        collector = self.collector.name,
                        "traces: the last spans were not sent: {}",
                        not_sent.why()
                    );
                    return;
                }
            }
        }
    }

    /// Leaves `batch` empty, but for one that a stop cut short.
    async fn send(&mut self, batch: &mut Vec<Report>, stop: &CancellationToken) {
        let said = self.words.say(batch);
        for tried in 1..=TRIES {
            let brought = tokio::select! {
                biased;
                // A try that hangs is not waited for: what is left is tried once more at the end.
                () = stop.cancelled() => return,
                brought = self.collector.bring(&said) => brought,
            };
            match brought {
                Ok(unwanted) => return self.taken(batch, unwanted),
                Err(not_sent) => {
                    self.is_away(&not_sent.why());
                    if matches!(not_sent, NotSent::Never(_)) {
                        return self.drop_all(batch, Dropped::Refused);
                    }
                }
            }
            if tried == TRIES {
                break;
            }
            let pause = self.pause;
            self.pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
        self.drop_all(batch, Dropped::Away);
    }

    fn taken(&mut self, batch: &mut Vec<Report>, unwanted: Option<(u64, String)>) {
        let all = count(batch);
        batch.clear();
        let unwanted = match unwanted {
            Some((count, why)) => {
                tracing::debug!(
                    collector = self.collector.name,
                    "traces: {count} spans were not wanted: {why}"
                );
                count.min(all)
            }
            None => 0,
        };
        self.metrics.exported(all - unwanted);
        self.metrics.dropped(Dropped::Refused, unwanted);
        self.pause = FIRST_PAUSE;
        self.check.good();
        if self.away.take().is_some() {
            tracing::info!(
                collector = self.collector.name,
                "traces: the collector takes them again"
            );
        }
    }

    fn drop_all(&self, batch: &mut Vec<Report>, why: Dropped) {
        self.metrics.dropped(why, count(batch));
        batch.clear();
    }

    fn is_away(&mut self, why: &str) {
        self.check
            .fail(format!("the collector does not take them: {why}"));
        if self.away.is_none_or(|told| told.elapsed() >= AGAIN) {
            self.away = Some(Instant::now());
            tracing::warn!(
                collector = self.collector.name,
                "traces: the collector does not take them; spans are dropped and counted, signing goes on: {why}"
            );
        }
    }
}

/// Fills `batch`, for a while.
async fn gather(queue: &mut Receiver<Report>, batch: &mut Vec<Report>) {
    let filling = async {
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            if queue.recv_many(batch, room).await == 0 {
                return;
            }
        }
    };
    let _long_enough = timeout(GATHER, filling).await;
}

fn count(batch: &[Report]) -> u64 {
    batch.iter().map(Report::spans).sum()
}
