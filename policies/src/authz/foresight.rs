//! What a policy can say of a call before it is known which keys and chains it is about: a first look, which lets nothing happen.
//!
//! *Invariant:* where [`Policy::judge`] says yes for some key and chain, or for none, the first look never says no. (The other way round
//! it may err: the second question, about the keys and chains themselves, is the one that decides.)

use super::fixed;
use super::limits::Rate;
use super::policy::Policy;
use super::rule::{Effect, Question, RuleId};

/// What may yet become of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "a first look that nobody heeds lets everybody in"]
pub enum Foresight {
    /// Yes, for some key or chain or for none.
    Perhaps {
        /// The first rule that could say so.
        rule: RuleId,
        /// How many others it asks.
        approvals: u8,
        /// How often it lets one.
        rate: Option<Rate>,
    },
    /// No, whatever it is about.
    Never {
        /// The rule that says so; none where no rule allows it.
        rule: Option<RuleId>,
    },
}

impl Policy {
    /// Looks at a question without its key and chain.
    pub fn foresee(&self, question: &Question<'_>) -> Foresight {
        if fixed::is_denied(question) {
            return Foresight::Never { rule: None };
        }
        for rule in self
            .rules
            .iter()
            .filter(|rule| rule.misses_call(question).is_none())
        {
            match rule.effect {
                Effect::Allow { approvals, rate } => {
                    return Foresight::Perhaps {
                        rule: rule.id.clone(),
                        approvals,
                        rate,
                    };
                }
                // Whatever it is about, this rule decides, or one before it that denies as well.
                Effect::Deny if !rule.is_scoped() => {
                    return Foresight::Never {
                        rule: Some(rule.id.clone()),
                    };
                }
                Effect::Deny => {}
            }
        }
        Foresight::Never { rule: None }
    }

    /// Whether there may be a key or chain for which [`judge`](Self::judge) says yes.
    pub fn might_allow(&self, question: &Question<'_>) -> bool {
        matches!(self.foresee(question), Foresight::Perhaps { .. })
    }
}
