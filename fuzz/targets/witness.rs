//! A slot of the witness file: what is accepted is written back the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sigward::store::fuzzing::witness(bytes));
