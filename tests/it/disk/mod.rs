//! A disk of 20 MB that fills up, slowly and at once: readiness first, then refusals, no corruption, and never a second message.
//!
//! The disk is a tmpfs below the test's folder, or ext4 in a loop device where that is allowed; both need root. Without the right
//! to mount the tests say so and prove nothing.

mod at_once;
mod slowly;
mod small_disk;
