//! A segment of the audit chain: bounded, in order, linked, whatever the file says.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sigward::audit::fuzzing::segment(bytes));
