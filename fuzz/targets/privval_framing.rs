//! A plaintext stream cut into messages, whatever the sizes it arrives in.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sigward::listener::privval::fuzzing::framing(bytes));
