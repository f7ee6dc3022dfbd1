//! What decided about a request, as records tell it.

use std::fmt;

use super::policy::PolicyVersion;
use super::rule::RuleId;

/// What decided.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Ruling {
    /// What is built in: no document is in force, or it has no say in this.
    BuiltIn,
    /// A document is in force and none of its rules is about this: what is not allowed otherwise is denied.
    NoRule {
        /// The document.
        policy: PolicyVersion,
    },
    /// A rule of a document.
    Rule {
        /// The document.
        policy: PolicyVersion,
        /// The rule.
        rule: RuleId,
    },
}

impl Ruling {
    /// The name of the rule, or in brackets why there is none: no rule has such a name.
    pub fn name(&self) -> &str {
        match self {
            Self::BuiltIn => "(built-in)",
            Self::NoRule { .. } => "(no rule)",
            Self::Rule { rule, .. } => rule.as_str(),
        }
    }

    /// The document, where one was in force and asked.
    pub const fn policy(&self) -> Option<PolicyVersion> {
        match self {
            Self::BuiltIn => None,
            Self::NoRule { policy } | Self::Rule { policy, .. } => Some(*policy),
        }
    }
}

impl fmt::Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.policy()
            .map_or(Ok(()), |policy| write!(f, " of policy {policy}"))
    }
}
