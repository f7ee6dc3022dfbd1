//! What rules, limits and audit add to a signature: the same pipeline, store and key, by turns with and without them, in one run.
//!
//! "Without" is a policy that is not there, and a record that is left out of the batch. The store refuses such a batch, and must: only in
//! builds of these tests does it look the other way (`store::unrecorded`), so no program that anybody could be given can.
//!
//! Run it optimised, on the disk in question:
//! `STATE_DIR=/var/lib/x cargo test --release --lib -- --ignored --nocapture cost_of_rules_limits_and_audit`

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::fmt::Write as _;
use std::time::Duration;

use sigward_policies::authz::{Policy, PolicyVersion};

use super::*;
use crate::sign::testing::Bench;
use crate::store::unrecorded;

const ROUNDS: usize = 40;
const VOTES: usize = 250;
/// Rules that speak of nodes and votes, before one that fits.
const RULES: usize = 100;

fn policy() -> Policy {
    let mut text = "version = 1\n".to_owned();
    for n in 0..RULES {
        let rule = format!(
            "[[rule]]\nid = \"r{n}\"\neffect = \"deny\"\nsubjects = [\"node:other-{n}-*/*\"]\noperations = [\"sign.*\"]\nkeys = [\"other-{n}-*\"]\n"
        );
        text.write_str(&rule).unwrap();
    }
    Policy::parse(&text, PolicyVersion([7; 32])).unwrap()
}

fn quantile(times: &mut [Duration], share: usize) -> f64 {
    times.sort();
    times[(times.len() - 1) * share / 100].as_secs_f64() * 1e6
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::test]
#[ignore = "a measurement"]
async fn cost_of_rules_limits_and_audit() {
    let bench = Bench::new().await;
    let mut height = 0;
    let mut found = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
    for round in 0..2 * ROUNDS + 2 {
        // The order changes from round to round: A B, B A, …
        let on = (round + round / 2) % 2 == 0;
        bench
            .signer
            .policies
            .replace(on.then(policy), crate::authz::Mode::Enforced);
        unrecorded::set(!on);
        let mut times = Vec::with_capacity(VOTES);
        for _ in 0..VOTES {
            height += 1;
            let vote = bench.prevote(height, 1);
            let began = Instant::now();
            bench.signer.sign(vote).await.unwrap();
            times.push(began.elapsed());
        }
        unrecorded::set(false);
        // The first two are for warming up.
        if round >= 2 {
            let of = &mut found[usize::from(on)];
            of[0].push(quantile(&mut times, 50));
            of[1].push(quantile(&mut times, 99));
        }
    }
    let [[off, off_99], [on, on_99]] = found.map(|of| of.map(|mut values| median(&mut values)));
    println!(
        "rules ({RULES}), limits and audit, on and off by turns; medians of {ROUNDS} rounds of {VOTES} votes each"
    );
    println!("  off   p50 {off:7.1} µs   p99 {off_99:7.1} µs");
    println!("  on    p50 {on:7.1} µs   p99 {on_99:7.1} µs");
    let added = (on / off - 1.0) * 100.0;
    let word = if added <= 10.0 { "met" } else { "missed" };
    println!("rules, limits and audit add to the p50 ≤ 10 %   measured {added:.1} %   {word}");
}
