//! A backup bundle: whatever parses has one encoding, which a change of any byte shows.
#![no_main]

use sigward_hsm::backup::Bundle;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _refused = Bundle::parse(bytes);
});
