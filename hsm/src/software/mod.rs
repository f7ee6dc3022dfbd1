//! Keys in software: sealed on disk, opened into the locked arena, used in place.

mod ed25519;
mod key;
mod secp256k1;

