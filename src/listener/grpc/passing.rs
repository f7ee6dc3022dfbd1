//! Long answers on their way to whoever asked: piece by piece, and no slower than a pace.
//!
//! *Invariant:* an answer that ends before its time says so; whoever reads slowly has a place for reading no longer than its pace allows.

use std::time::{Duration, Instant};

use sigward_policies::decision::{Failure, FailureCode, Refused};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Status;

/// How long a client may take no record, or fall behind [`PACE`].
const STALLED: Duration = Duration::from_millis(if cfg!(test) { 300 } else { 30_000 });
/// The time for a record: 100 of them a second is what anybody can take.
const PACE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 10 });
/// Sends records on as they are found, until nobody listens: whoever reads has one of a few places.
///
/// # Errors
/// Who takes them more slowly than [`PACE`], over all, loses it: an answer that ends early says so.
pub(super) async fn pass<R, T>(
    mut records: mpsc::Receiver<R>,
    send: &mpsc::Sender<Result<T, Status>>,
    wrap: impl Fn(R) -> T,
) -> Result<(), Refused> {
    let mut patience = STALLED;
    loop {
        let record = tokio::select! {
            () = send.closed() => return Ok(()),
            record = records.recv() => record,
        };
        let Some(record) = record else { return Ok(()) };
        let begun = Instant::now();
        match timeout(patience, send.send(Ok(wrap(record)))).await {
            Ok(Ok(())) => patience = STALLED.min(patience.saturating_sub(begun.elapsed()) + PACE),
            Ok(Err(_gone)) => return Ok(()),
            Err(_elapsed) => {
                let what = "the records were taken too slowly; read on from the last one that came";
                return Err(Failure::new(FailureCode::DeadlineExceeded, what).into());
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const ALL: u32 = 400;

    /// `ALL` records for a client that rests for so long after each: how many it took, and how that ended.
    async fn read(rest: Duration) -> (u32, Result<(), Refused>) {
        let (found, records) = mpsc::channel(1);
        let (send, mut receive) = mpsc::channel(1);
        tokio::spawn(async move {
            for record in 0..ALL {
                if found.send(record).await.is_err() {
                    return;
                }
            }
        });
        let passing = tokio::spawn(async move { pass(records, &send, |record| record).await });
        let mut taken = 0;
        while let Some(record) = receive.recv().await {
            assert_eq!(record.unwrap(), taken);
            taken += 1;
            sleep(rest).await;
        }
        (taken, passing.await.unwrap())
    }

    #[tokio::test]
    async fn who_takes_them_as_they_come_gets_all() {
        let (taken, ended) = read(Duration::ZERO).await;
        assert_eq!((taken, ended.is_ok()), (ALL, true));
    }

    #[tokio::test]
    async fn who_takes_each_in_time_and_all_of_them_in_none_is_told() {
        let (taken, ended) = read(STALLED / 10).await;
        assert!(taken < ALL / 2, "{taken}");
        assert!(ended.unwrap_err().to_string().contains("too slowly"));
    }
}
