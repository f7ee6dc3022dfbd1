//! Codes are a promise: none is used for two things, each looks like one, and docs/errors.md tells of every one and of no other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeSet;

use sigward_policies::decision::{Failure, FailureCode, Refusal, RefusalCode, Refused};

const DOCUMENT: &str = include_str!("../../docs/errors.md");

fn all() -> Vec<&'static str> {
    let refusals = RefusalCode::ALL.iter().map(|code| code.as_str());
    refusals
        .chain(FailureCode::ALL.iter().map(|code| code.as_str()))
        .collect()
}

/// The codes of the document's tables: a row begins with the code, and tells what it means and what to do. Codes of other parts
/// stand below a heading of their own.
fn documented() -> Vec<&'static str> {
    let (rules, _others) = DOCUMENT
        .split_once("\n## Of files, seals, backups and nodes\n")
        .unwrap();
    let rows = rules.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 3, "code, meaning, what to do: {row}");
        assert!(cells[1].len() > 10 && cells[2].len() > 10, "{row}");
        cells[0].trim_matches('`')
    })
    .collect()
}

#[test]
fn no_two_codes_collide() {
    let codes = all();
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
    for code in codes {
        assert!(
            code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{code}"
        );
        assert!(
            !code.starts_with('_') && !code.ends_with('_') && !code.contains("__"),
            "{code}"
        );
    }
}

#[test]
fn every_code_is_documented_once_and_nothing_else_is() {
    let documented = documented();
    let unique: BTreeSet<_> = documented.iter().copied().collect();
    assert_eq!(unique.len(), documented.len(), "a code is documented twice");
    assert_eq!(unique, all().into_iter().collect::<BTreeSet<_>>());
}

#[test]
fn conflicts_are_told_apart_and_documented_as_such() {
    for code in RefusalCode::ALL {
        let row = DOCUMENT
            .lines()
            .find(|line| line.starts_with(&format!("| `{code}` ")))
            .unwrap();
        let refused = Refused::from(Refusal::new(*code, "why"));
        assert_eq!(
            (refused.code(), refused.is_conflict()),
            (code.as_str(), code.is_conflict())
        );
        assert_eq!(row.contains("(conflict)"), code.is_conflict(), "{row}");
        assert_eq!(refused.to_string(), format!("{code}: why"));
    }
    for code in FailureCode::ALL {
        let refused = Refused::from(Failure::new(*code, "why"));
        assert_eq!((refused.code(), refused.is_conflict()), (code.as_str(), false));
    }
}
