//! What must not compile: a token that is forged, copied or used twice; a signature that is read or released too early.
//!
//! The expected messages are those of the pinned toolchain; after a new pin: `TRYBUILD=overwrite cargo test -p sigward-policies
//! --test compile_fail`, and read what changed.

#[test]
fn tokens_cannot_be_forged_copied_or_skipped() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
