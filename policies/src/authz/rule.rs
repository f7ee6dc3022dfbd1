//! One rule, compiled, and the question it is asked. What a rule says no to it says with a reason; `judge` and `explain` ask the same
//! function, so that they cannot differ.

use core::net::IpAddr;
use std::fmt;
use std::sync::Arc;

use super::glob::Glob;
use super::keys::{KeyFacts, KeyPattern};
use super::limits::Rate;
use super::network::Network;
use super::operations::Operations;
use super::subject::SubjectPattern;
use super::window::Window;
use crate::model::caller::Caller;
use crate::model::id::{ChainId, MAX_NAME, UnixSeconds};
use crate::model::operation::Operation;

/// Who asks for what, about which key, on which chain, from where, and when.
///
/// An act about several keys or chains is several questions, and each must be allowed. `None` means *about none*, and a rule that
/// names keys or chains is then not about it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who asks.
    pub subject: &'a Caller,
    /// For what.
    pub operation: Operation,
    /// About which key.
    pub key: Option<&'a KeyFacts>,
    /// On which chain.
    pub chain: Option<&'a ChainId>,
    /// From which address, where it came over a network; none on a unix socket.
    pub from: Option<IpAddr>,
    /// When.
    pub now: UnixSeconds,
}

/// The name of a rule. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RuleId(pub(super) Arc<str>);

impl RuleId {
    /// Takes a name, as documents have them; for whoever reads one back out of a record.
    pub fn parse(name: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        (begins && name.len() <= MAX_NAME && name.bytes().all(plain)).then(|| Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a rule does with a question that it matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Lets it through, this often, after this many others have said yes.
    Allow {
        /// How many others.
        approvals: u8,
        /// How often.
        rate: Option<Rate>,
    },
    /// Refuses it.
    Deny,
}

impl Effect {
    /// The word of documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow { .. } => "allow",
            Self::Deny => "deny",
        }
    }
}

/// One rule of a document.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(super) id: RuleId,
    pub(super) line: usize,
    pub(super) effect: Effect,
    pub(super) operations: Operations,
    pub(super) subjects: Box<[SubjectPattern]>,
    /// Empty: whatever the key, and none; so are those below.
    pub(super) keys: Box<[KeyPattern]>,
    pub(super) chains: Box<[Glob]>,
    pub(super) from: Box<[Network]>,
    pub(super) window: Window,
}

impl Rule {
    /// Its name.
    pub const fn id(&self) -> &RuleId {
        &self.id
    }

    /// The line of the document on which it stands.
    pub const fn line(&self) -> usize {
        self.line
    }

    /// What it does.
    pub const fn effect(&self) -> Effect {
        self.effect
    }

    /// What it is about.
    pub const fn operations(&self) -> Operations {
        self.operations
    }

    /// The first reason for which it is not about `question`; none when it is.
    pub(super) fn misses(&self, question: &Question<'_>) -> Option<Miss> {
        self.misses_who(question)
            .or_else(|| self.misses_what(question))
            .or_else(|| self.misses_where(question))
    }

    /// The same, whatever key and chain the question turns out to be about.
    pub(super) fn misses_call(&self, question: &Question<'_>) -> Option<Miss> {
        self.misses_who(question).or_else(|| self.misses_where(question))
    }

    /// Whether it is about some keys or chains only.
    pub(super) const fn is_scoped(&self) -> bool {
        !self.keys.is_empty() || !self.chains.is_empty()
    }

    fn misses_who(&self, question: &Question<'_>) -> Option<Miss> {
        if !self.operations.contains(question.operation) {
            return Some(Miss::Operation);
        }
        let is = |pattern: &SubjectPattern| pattern.matches(question.subject);
        (!self.subjects.iter().any(is)).then_some(Miss::Subject)
    }

    fn misses_what(&self, question: &Question<'_>) -> Option<Miss> {
        let about = |key: &KeyFacts| self.keys.iter().any(|pattern| pattern.matches(key));
        if !self.keys.is_empty() && !question.key.is_some_and(about) {
            return Some(Miss::Key);
        }
        let on = |chain: &ChainId| self.chains.iter().any(|glob| glob.matches(chain.as_str()));
        (!self.chains.is_empty() && !question.chain.is_some_and(on)).then_some(Miss::Chain)
    }

    fn misses_where(&self, question: &Question<'_>) -> Option<Miss> {
        let within = |address: IpAddr| self.from.iter().any(|network| network.contains(address));
        if !self.from.is_empty() && !question.from.is_some_and(within) {
            return Some(Miss::From);
        }
        (!self.window.contains(question.now)).then_some(Miss::Time)
    }
}

/// Why a rule is not about a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Miss {
    /// Not among its operations.
    Operation,
    /// Not one of its subjects.
    Subject,
    /// Not one of its keys, or no key.
    Key,
    /// Not one of its chains, or no chain.
    Chain,
    /// Not from its networks, or from no network.
    From,
    /// Not at its hours and days.
    Time,
}

impl Miss {
    /// The word for scripts: the field of the rule.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operation => "operation",
            Self::Subject => "subject",
            Self::Key => "key",
            Self::Chain => "chain",
            Self::From => "from",
            Self::Time => "time",
        }
    }
}
