//! Answers of a CometBFT node's RPC.
#![no_main]

use sigward::chain::cometbft::{MAX_VALIDATORS, parse_commit, parse_status, parse_validators};

libfuzzer_sys::fuzz_target!(|json: &[u8]| {
    if let Ok(status) = parse_status(json) {
        assert!(!status.version.contains(|c: char| c.is_control()));
    }
    if let Ok(commit) = parse_commit(json) {
        assert!(commit.signatures.len() <= MAX_VALIDATORS);
    }
    if let Ok(page) = parse_validators(json) {
        assert!(page.total <= MAX_VALIDATORS);
    }
});
