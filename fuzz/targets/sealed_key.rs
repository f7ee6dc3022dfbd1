//! The envelope of a sealed key.
#![no_main]

use sigward_hsm::envelope::Sealed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _refused = Sealed::parse(bytes);
});
