//! A line of a file of checkpoints: what is accepted is written back the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sigward::audit::fuzzing::checkpoint(bytes));
