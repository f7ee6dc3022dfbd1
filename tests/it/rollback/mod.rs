//! Files of the home that were deleted, damaged, replaced by older ones or by somebody else's: refused with a code and a line of
//! what to do, or harmless; never a signature that contradicts an earlier one. And the documented ways out work.

mod doors;
mod files;
mod foreign;
mod ways_out;

use crate::support::scene::Refused;

/// A refusal to start: exit code 1, a stable code, and a line of what to do.
fn assert_explained(refused: &Refused, codes: &[&str], case: &str) -> String {
    assert_eq!(refused.status.code(), Some(1), "{case}: {}", refused.log);
    let lines: Vec<&str> = refused.log.lines().collect();
    let said = lines
        .iter()
        .position(|line| line.starts_with("sigward: "))
        .unwrap_or_else(|| panic!("{case}: no last word: {}", refused.log));
    let code = codes
        .iter()
        .find(|code| lines[said].contains(&format!("{code}: ")))
        .unwrap_or_else(|| panic!("{case}: one of {codes:?} is named: {}", refused.log));
    let remedy = lines.get(said + 1).copied().unwrap_or_default().trim();
    assert!(
        remedy.len() > 10,
        "{case}: a line of what to do follows: {}",
        refused.log
    );
    assert!(!refused.log.contains("panicked"), "{case}: {}", refused.log);
    (*code).to_owned()
}
