//! The one place that maps errors to exit codes.

use super::output::Output;

/// What `--help` says of exit codes.
pub(super) const HELP: &str = "\
Exit codes: 0 done · 1 failed · 2 wrong usage · 3 refused by a rule (the code is in the message) · 4 a check found something wrong";

/// A rule said no: exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct RefusedByRule(pub(super) String);

/// A check found something wrong: exit code 4.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct CheckFailed(pub(super) String);

/// Prints the error, with its causes, and picks the exit code.
pub(super) fn report(error: &anyhow::Error, output: &Output) -> u8 {
    output.error(error);
    if error.is::<RefusedByRule>() {
        3
    } else if error.is::<CheckFailed>() {
        4
    } else {
        1
    }
}
