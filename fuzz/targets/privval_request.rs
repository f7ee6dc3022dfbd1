//! A message of a node: decoded, judged field by field, and turned into canonical sign bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sigward::listener::privval::fuzzing::request(bytes));
