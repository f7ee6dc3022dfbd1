//! Canonical sign bytes out of a state file: what is accepted is written back the same.
#![no_main]

use sigward_policies::model::sign_bytes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok((message, chain)) = sign_bytes::parse(bytes) {
        assert_eq!(sign_bytes::of_message(&message, &chain), bytes);
    }
});
