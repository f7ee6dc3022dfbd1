//! The one place that maps errors to exit codes.

use super::output::Output;

/// What `--help` says of exit codes.
pub(super) const HELP: &str = "\
Exit codes: 0 done · 1 failed · 2 wrong usage · 3 refused by a rule (the code is in the message) · 4 a check found something wrong";

/// What stands on the command line cannot be meant: exit code 2, as clap's own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WrongUsage(pub(super) String);

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
    code(error)
}

fn code(error: &anyhow::Error) -> u8 {
    if error.is::<WrongUsage>() {
        2
    } else if error.is::<RefusedByRule>() {
        3
    } else if error.is::<CheckFailed>() {
        4
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_number_in_whatever_context() {
        let why = || "x: y".to_owned();
        for (error, number) in [
            (anyhow::anyhow!("x"), 1),
            (WrongUsage(why()).into(), 2),
            (RefusedByRule(why()).into(), 3),
            (CheckFailed(why()).into(), 4),
        ] {
            assert_eq!(code(&error.context("while at it")), number);
        }
    }
}
