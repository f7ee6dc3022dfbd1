//! Traces: what a request says of the one that it belongs to (`parent`), and ids for those that bring none.
//!
//! Ids must differ, on this machine and on others, and samplers must find no pattern in them (W3C Trace Context, level 2, random
//! trace id flag). Nobody must be kept from guessing them: no secret hangs on one. So one draw of randomness is enough for a process.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use sigward_policies::model::trace::TraceId;

mod parent;

pub use parent::{SpanId, TraceParent};

/// A trace id that nothing else has.
pub fn mint() -> TraceId {
    static SEED: LazyLock<(u64, u64)> = LazyLock::new(seed);
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let (left, right) = *SEED;
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let halves = [
            mix(left.wrapping_add(number)),
            mix(right ^ number.rotate_left(32)),
        ];
        let whole = (u128::from(halves[0]) << 64) | u128::from(halves[1]);
        if let Some(id) = TraceId::new(whole.to_be_bytes()) {
            return id;
        }
    }
}

/// A span id that nothing else in its trace has.
pub fn mint_span() -> SpanId {
    loop {
        let trace = u128::from_be_bytes(*mint().as_bytes());
        if let Some(id) = SpanId::new((trace as u64).to_be_bytes()) {
            return id;
        }
    }
}

/// SplitMix64's finalizer: one number to one other, without a pattern.
const fn mix(number: u64) -> u64 {
    let a = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let b = (a ^ (a >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let c = (b ^ (b >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    c ^ (c >> 31)
}

/// Where randomness fails, the process and its time have to do: requests are answered all the same.
fn seed() -> (u64, u64) {
    let mut random = [0; 16];
    if getrandom::fill(&mut random).is_err() {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let nanos = since.map_or(0, |since| since.as_nanos());
        return (nanos as u64, u64::from(std::process::id()));
    }
    let number = u128::from_be_bytes(random);
    ((number >> 64) as u64, number as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_traces_have_one_id() {
        let ids: HashSet<_> = (0..10_000).map(|_| mint()).collect();
        assert_eq!(ids.len(), 10_000);
        let halves: HashSet<_> = ids
            .iter()
            .map(|id| id.as_bytes().split_at(8).1.to_vec())
            .collect();
        assert_eq!(halves.len(), 10_000, "samplers look at the right half");
    }
}
