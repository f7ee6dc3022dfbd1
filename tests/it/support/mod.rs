//! What the tests stand on: a home on a real disk, the `sigward` program, CometBFT nodes, and the reading of what both left behind.
//!
//! *Invariants:* whatever was started is killed when its value is dropped, panics included; nothing listens or dials off loopback;
//! a failure prints the end of the logs of whoever is to blame.

#![cfg_attr(
    not(feature = "failpoints"),
    allow(dead_code, reason = "the crash tests are of a build with crash points")
)]

pub(crate) mod admin;
pub(crate) mod audit;
pub(crate) mod canonical;
pub(crate) mod fake_node;
pub(crate) mod genesis;
pub(crate) mod grpcurl;
pub(crate) mod home;
pub(crate) mod http;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod metrics;
pub(crate) mod node;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod scene;
pub(crate) mod signer;
pub(crate) mod standstill;
pub(crate) mod turn;

use std::time::{Duration, Instant};

/// Asks again every 20 ms until `probe` has an answer; `None` when the time is up.
pub(crate) fn poll<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = probe() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
