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

/// What a policy asks of an act that cannot say which keys and chains it is about, and may be about any.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "what the strictest rule says is not asked for by itself"]
pub enum Strictest {
    /// Of some key or chain, or whatever it is about, this rule says no.
    Denies {
        /// The first that does.
        rule: RuleId,
    },
    /// Of some key or chain, this rule asks so many others, and none asks more.
    Asks {
        /// Which.
        rule: RuleId,
        /// At least one.
        approvals: u8,
    },
    /// No rule asks anybody.
    AsksNobody,
}

impl Policy {
    /// Looks at all that the rules could say to a question, whatever key and chain it turns out to be about.
    pub fn strictest(&self, question: &Question<'_>) -> Strictest {
        let mut most = Strictest::AsksNobody;
        for rule in self
            .rules
            .iter()
            .filter(|rule| rule.misses_call(question).is_none())
        {
            let asked = match most {
                Strictest::Asks { approvals, .. } => approvals,
                Strictest::Denies { .. } | Strictest::AsksNobody => 0,
            };
            match rule.effect {
                Effect::Deny => {
                    return Strictest::Denies {
                        rule: rule.id.clone(),
                    };
                }
                Effect::Allow { approvals, .. } if approvals > asked => {
                    most = Strictest::Asks {
                        rule: rule.id.clone(),
                        approvals,
                    };
                }
                Effect::Allow { .. } => {}
            }
            // No rule behind this one decides anything.
            if !rule.is_scoped() {
                return most;
            }
        }
        most
    }

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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::authz::PolicyVersion;
    use crate::model::caller::Caller;
    use crate::model::id::UnixSeconds;
    use crate::model::operation::Operation;

    fn rule(id: &str, effect: &str, more: &str) -> String {
        format!(
            "[[rule]]\nid = \"{id}\"\neffect = \"{effect}\"\nsubjects = [\"uid:*\"]\noperations = [\"state.allow\"]\n{more}\n"
        )
    }

    #[test]
    fn what_may_be_about_anything_is_asked_for_the_most_that_any_rule_asks() {
        let (one, three) = (
            rule("one", "allow", "keys = [\"a\"]\napprovals = 1"),
            rule("three", "allow", "keys = [\"b\"]\napprovals = 3"),
        );
        let alone = rule("alone", "allow", "");
        let never = rule("never", "deny", "chains = [\"c-1\"]");
        let asks = |id: &str, approvals| Strictest::Asks {
            rule: RuleId(id.into()),
            approvals,
        };
        let denies = Strictest::Denies {
            rule: RuleId("never".into()),
        };
        let subject = Caller::LocalUser { uid: 0 };
        let question = Question {
            subject: &subject,
            operation: Operation::StateAllow,
            key: None,
            chain: None,
            from: None,
            now: UnixSeconds(0),
        };
        for (rules, wanted) in [
            (vec![], Strictest::AsksNobody),
            (vec![&alone], Strictest::AsksNobody),
            (vec![&one, &three, &alone], asks("three", 3)),
            (vec![&three, &one], asks("three", 3)),
            (vec![&alone, &three], Strictest::AsksNobody),
            (vec![&one, &never, &alone], denies),
            (vec![&one, &alone, &never], asks("one", 1)),
        ] {
            let text: String = std::iter::once("version = 1\n")
                .chain(rules.into_iter().map(String::as_str))
                .collect();
            let policy = Policy::parse(&text, PolicyVersion([1; 32])).unwrap();
            assert_eq!(policy.strictest(&question), wanted, "{text}");
        }
    }
}
