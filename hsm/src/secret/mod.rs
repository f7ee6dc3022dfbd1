//! Memory for secrets: one locked arena with packed slots, and the handles that live in it.
//!
//! May import: the standard library, rustix, zeroize, subtle. Nothing else of this package.
//!
//! # Invariants
//! * A secret is born in its slot, never moves, and its slot is overwritten before anybody can take it again.
//! * A slot is locked into RAM, left out of core dumps and empty in a forked child, unless the operator allowed otherwise.
//! * No handle implements `Clone`, `Debug`, `Serialize` or `PartialEq`; comparison is [`SecretBytes::ct_eq`].
//!
//! # Caveats
//! Arithmetic happens in registers and on the stack. `scrubbed` overwrites the stack that a secret computation used,
//! as well as a portable program can; the arena cannot help against a reader of this very process.

mod arena;
mod bytes;
mod harden;
mod page;

pub use arena::{Arena, ArenaSize, SecretError, Unlocked};
pub use bytes::SecretBytes;
pub use harden::{HardenError, harden_process};

pub(crate) use page::Placed;

/// Stack that Ed25519, HKDF and XChaCha20-Poly1305 stay within: 3.3 KiB at most, as measured by painting the stack.
const SHALLOW: usize = 8 * 1024;
/// Stack that secp256k1 (41 KiB: it copies its table of multiples) and Argon2id (11.5 KiB) stay within.
const DEEP: usize = 64 * 1024;

/// Runs `work` in a frame of its own and overwrites the stack it used: temporaries of a library that moved or spilled a
/// secret do not outlive the call. Best effort by nature (see `zeroize::zeroize_stack`); costs about 0.1 µs.
pub(crate) fn scrubbed<T>(work: impl FnOnce() -> T) -> T {
    let out = apart(work);
    zeroize::zeroize_stack::<SHALLOW>();
    out
}

/// As [`scrubbed`], for computations that need more stack; costs about 1 µs.
pub(crate) fn scrubbed_deep<T>(work: impl FnOnce() -> T) -> T {
    let out = apart(work);
    zeroize::zeroize_stack::<DEEP>();
    out
}

#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}
