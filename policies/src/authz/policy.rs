//! A policy: the rules of one document, compiled once, and its word on a question.
//!
//! *Invariants:* the first rule that is about a question decides; where none is, the answer is no; judging allocates nothing.

use std::fmt;

use super::document::{self, DocumentError, Warning};
use super::fixed;
use super::limits::Rate;
use super::rule::{Effect, Question, Rule, RuleId};

/// Which document: the SHA-256 of its bytes. Whoever reads the document computes it; this package knows no cryptography.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PolicyVersion(pub [u8; 32]);

impl fmt::Display for PolicyVersion {
    /// The first 12 hex digits, as in log lines. `{:#}` shows all 64.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if f.alternate() { self.0.len() } else { 6 };
        self.0.iter().take(shown).try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// The word of a policy on a question.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "a verdict that nobody reads is a rule that was skipped"]
pub enum Verdict {
    /// Yes, once `approvals` others have said so, and as often as `rate` says.
    Allow {
        /// By this rule.
        rule: RuleId,
        /// How many others must have approved; 0 asks nobody.
        approvals: u8,
        /// For [`Limits::take`](super::Limits::take).
        rate: Option<Rate>,
    },
    /// No: by this rule, or because no rule is about it.
    Deny {
        /// The rule that says so.
        rule: Option<RuleId>,
    },
}

impl Verdict {
    /// Whether it is a yes, approvals and rate aside.
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }

    /// The rule that decided, where one did.
    pub const fn rule(&self) -> Option<&RuleId> {
        match self {
            Self::Allow { rule, .. } => Some(rule),
            Self::Deny { rule } => rule.as_ref(),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow {
                rule,
                approvals,
                rate,
            } => {
                write!(f, "allowed by rule {rule}")?;
                match approvals {
                    0 => {}
                    1 => f.write_str(", after 1 other approved")?,
                    others => write!(f, ", after {others} others approved")?,
                }
                rate.map_or(Ok(()), |rate| write!(f, ", at most {rate}"))
            }
            Self::Deny { rule: Some(rule) } => write!(f, "denied by rule {rule}"),
            Self::Deny { rule: None } => f.write_str("denied: no rule allows it"),
        }
    }
}

/// The rules of one document.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(super) version: PolicyVersion,
    pub(super) rules: Box<[Rule]>,
    pub(super) warnings: Vec<Warning>,
}

impl Policy {
    /// Reads a document whose digest is `version`. Whatever it does not understand refuses all of it.
    pub fn parse(text: &str, version: PolicyVersion) -> Result<Self, DocumentError> {
        document::read(text, version)
    }

    /// Which document it is.
    pub const fn version(&self) -> PolicyVersion {
        self.version
    }

    /// Its rules, in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What is allowed in a document, and probably not meant.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The word on a question.
    pub fn judge(&self, question: &Question<'_>) -> Verdict {
        if fixed::is_denied(question) {
            return verdict(None);
        }
        let decides = self.rules.iter().find(|rule| rule.misses(question).is_none());
        verdict(decides)
    }
}

/// What follows from the rule that decides.
pub(super) fn verdict(decides: Option<&Rule>) -> Verdict {
    match decides {
        None => Verdict::Deny { rule: None },
        Some(rule) => match rule.effect {
            Effect::Deny => Verdict::Deny {
                rule: Some(rule.id.clone()),
            },
            Effect::Allow { approvals, rate } => Verdict::Allow {
                rule: rule.id.clone(),
                approvals,
                rate,
            },
        },
    }
}
