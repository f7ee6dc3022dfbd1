//! Sets of operations, and how a document writes them: names, and globs that never reach what is reserved.

use std::fmt;

use super::glob::Glob;
use crate::model::operation::Operation;

/// What a `*` makes of operations that are reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reserved {
    /// It does not reach them: whoever allows them names them.
    LeftOut,
    /// It does: to deny everything is to deny them too.
    Included,
}

/// Some of all operations.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Operations(u128);

impl Operations {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Exactly these.
    #[must_use]
    pub const fn of(operations: &[Operation]) -> Self {
        let mut set = 0;
        let mut rest = operations;
        while let [first, others @ ..] = rest {
            set |= bit(*first);
            rest = others;
        }
        Self(set)
    }

    /// What a word of a document stands for: one operation, or with `*` and `?` those whose names match, `reserved` ones as it says.
    /// `None` where it stands for nothing.
    pub fn matching(word: &str, reserved: Reserved) -> Option<Self> {
        if let Some(exact) = Operation::parse(word) {
            return Some(Self(bit(exact)));
        }
        if !word.contains(['*', '?']) {
            return None;
        }
        let glob = Glob::new(word, None);
        let reach = |operation: &Operation| reserved == Reserved::Included || !operation.is_reserved();
        let matching = |operation: &&Operation| reach(operation) && glob.matches(operation.as_str());
        let found: Self = Operation::ALL.iter().filter(matching).copied().collect();
        (found != Self::NONE).then_some(found)
    }

    /// Whether `operation` is among them.
    pub const fn contains(self, operation: Operation) -> bool {
        self.0 & bit(operation) != 0
    }

    /// Those in either.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are among them.
    pub const fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// In the order of the list.
    pub fn iter(self) -> impl Iterator<Item = Operation> {
        Operation::ALL
            .iter()
            .copied()
            .filter(move |operation| self.contains(*operation))
    }

    /// The first for which `wanted` holds.
    pub(super) fn find(self, wanted: fn(Operation) -> bool) -> Option<Operation> {
        self.iter().find(|operation| wanted(*operation))
    }
}

impl FromIterator<Operation> for Operations {
    fn from_iter<I: IntoIterator<Item = Operation>>(operations: I) -> Self {
        Self(
            operations
                .into_iter()
                .fold(0, |set, operation| set | bit(operation)),
        )
    }
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Operation::as_str)).finish()
    }
}

/// The list is shorter than 128; a test of it says so.
const fn bit(operation: Operation) -> u128 {
    1 << (operation as u32)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn no_glob_allows_what_is_reserved() {
        for word in ["*", "**", "sign.*", "sign.r*", "sign.bn25?", "s*"] {
            let found = Operations::matching(word, Reserved::LeftOut).unwrap_or_default();
            assert!(!found.iter().any(Operation::is_reserved), "{word}");
        }
        assert!(
            Operations::matching("sign.raw", Reserved::LeftOut)
                .unwrap()
                .contains(Operation::SignRaw)
        );
        assert_eq!(Operations::matching("sign.ra*", Reserved::LeftOut), None);
        let denied = Operations::matching("sign.*", Reserved::Included).unwrap();
        assert!(denied.contains(Operation::SignRaw) && denied.contains(Operation::SignBn254));
    }

    #[test]
    fn a_glob_is_what_its_names_say() {
        let found: Vec<_> = Operations::matching("stop_line.*", Reserved::LeftOut)
            .unwrap()
            .iter()
            .collect();
        assert_eq!(found, [Operation::StopLineSet, Operation::StopLineClear]);
        let state = Operations::matching("state.*", Reserved::LeftOut).unwrap();
        assert!(state.contains(Operation::StateDisallow) && !state.contains(Operation::StatusRead));
        assert_eq!(
            Operations::matching("sign.cometbft.vote", Reserved::LeftOut),
            None
        );
        assert_eq!(Operations::matching("", Reserved::LeftOut), None);
    }
}
