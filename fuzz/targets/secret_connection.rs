//! A peer's side of the SecretConnection handshake, and sealed frames after it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sigward::listener::privval::fuzzing::secret_connection(bytes));
