//! What a provider that is slow, away, broken, lying or silent makes of a request: never a signature that should not be, never a
//! position lost for longer than it must be.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use sigward_hsm::mock::Act;
use sigward_policies::decision::{FailureCode, RefusalCode};
use sigward_policies::double_sign::Watermark;

use super::*;
use crate::sign::testing::Bench;

/// The height that the store says was signed last.
fn signed_height(bench: &Bench) -> i64 {
    let row = bench.store.rows().unwrap().remove(0).row;
    match row.watermark {
        Watermark::Signed(last) => last.position.height.value(),
        Watermark::Fresh | Watermark::Closed { .. } => 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_fails_gives_the_position_back() {
    let bench = Bench::new().await;
    for (height, act, code) in [
        (1, Act::Unavailable, FailureCode::ProviderUnavailable),
        (2, Act::Fault, FailureCode::ProviderFault),
        (3, Act::Silence, FailureCode::ProviderUnavailable),
    ] {
        bench.mock.then([act.clone()]);
        let failed = bench.signer.sign(bench.prevote(height, 1)).await.unwrap_err();
        assert_eq!(failed.code(), code.as_str(), "{act:?}: {failed}");
        assert!(!failed.is_conflict());
        assert_eq!(signed_height(&bench), height - 1, "nothing was recorded");
        // Nothing was signed, so any message may follow: the identical one, or another.
        bench.signer.sign(bench.prevote(height, 2)).await.unwrap();
        assert_eq!(signed_height(&bench), height);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_signature_never_leaves_and_its_position_is_burnt() {
    let bench = Bench::new().await;
    bench.mock.then([Act::WrongSignature]);
    let failed = bench.signer.sign(bench.prevote(1, 1)).await.unwrap_err();
    assert_eq!(failed.code(), FailureCode::VerificationFailed.as_str());
    assert_eq!(signed_height(&bench), 1, "the commit counts");
    // The stored signature is verified before it leaves, and it is still wrong.
    let again = bench.signer.sign(bench.prevote(1, 1)).await.unwrap_err();
    assert_eq!(again.code(), FailureCode::VerificationFailed.as_str());
    let other = bench.signer.sign(bench.prevote(1, 2)).await.unwrap_err();
    assert_eq!(other.code(), RefusalCode::DoubleSignConflict.as_str());
    // The next position is free.
    bench.signer.sign(bench.prevote(2, 2)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_provider_meets_the_deadline_and_its_late_signature_is_nobodys() {
    let bench = Bench::new().await;
    let late = Duration::from_millis(300);
    bench.mock.then([Act::Slow(DEADLINE + late)]);
    let began = Instant::now();
    let failed = bench.signer.sign(bench.prevote(1, 1)).await.unwrap_err();
    assert_eq!(failed.code(), FailureCode::DeadlineExceeded.as_str());
    assert!(began.elapsed() < DEADLINE + late);
    // The order is still under way and holds the position: another message waits for its end, and finds the position free.
    let reply = bench.signer.sign(bench.prevote(1, 2)).await.unwrap();
    assert!(began.elapsed() >= DEADLINE + late);
    assert_eq!(
        bench.signer.sign(bench.prevote(1, 2)).await.unwrap().signature,
        reply.signature
    );
    let first = bench.signer.sign(bench.prevote(1, 1)).await.unwrap_err();
    assert_eq!(first.code(), RefusalCode::DoubleSignConflict.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_leaves_at_any_moment_costs_no_signature_twice() {
    let bench = Bench::new().await;
    for height in 1..=200 {
        let gone = tokio::time::timeout(
            Duration::from_micros(u64::try_from(height).unwrap() * 7),
            bench.signer.sign(bench.prevote(height, 1)),
        );
        let gone = gone.await.is_err();
        let other = bench.signer.sign(bench.prevote(height, 2)).await;
        let first = bench.signer.sign(bench.prevote(height, 1)).await;
        assert!(other.is_ok() != first.is_ok(), "one message at height {height}");
        assert!(gone || first.is_ok(), "what was released stays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_at_once_get_one_message_a_position() {
    let bench = Arc::new(Bench::new().await);
    for height in 1..=50 {
        let callers: Vec<_> = (0..8)
            .map(|caller| {
                let bench = bench.clone();
                tokio::spawn(async move { bench.signer.sign(bench.prevote(height, caller % 3)).await })
            })
            .collect();
        let mut signatures = Vec::new();
        for caller in callers {
            signatures.extend(caller.await.unwrap().ok().map(|reply| reply.signature.0));
        }
        assert!(!signatures.is_empty());
        signatures.dedup();
        assert_eq!(signatures.len(), 1, "height {height}");
    }
}
