//! How a call is judged: by the document that was in force when it came, for whatever it says it is about.
//!
//! *Invariant:* what is refused counts nothing; what is let through counts once for each rule, and key where the rule counts keys.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use sigward_policies::authz::{
    Foresight, KeyFacts, Needed, Policy, Question, Rate, RuleId, Ruling, Strictest, Tick, Verdict,
};
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::{ChainId, UnixSeconds};
use sigward_policies::model::operation::Operation;

use super::admitted::{About, Denial};
use super::calls::denied_by;
use super::{InForce, Mode, Policies, not_permitted};
use crate::audit::Asker;

#[derive(Clone, Debug)]
pub(super) struct Judge {
    pub(super) policies: Arc<Policies>,
    pub(super) in_force: Option<Arc<InForce>>,
    pub(super) asker: Asker,
    pub(super) operation: Option<Operation>,
    pub(super) from: Option<IpAddr>,
    pub(super) now: UnixSeconds,
    pub(super) tick: Tick,
    /// Whether it may call this where no rule is about it.
    pub(super) without_rules: bool,
    /// What the second question asked for, once it was asked; shared by everybody who holds the call.
    pub(super) asked_as: Arc<OnceLock<Option<Operation>>>,
}

/// A yes: what says so, and what it needs of others besides.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) ruling: Ruling,
    pub(super) needed: Option<Needed>,
}

impl From<Ruling> for Granted {
    fn from(ruling: Ruling) -> Self {
        Self { ruling, needed: None }
    }
}

impl Judge {
    pub(super) fn question<'a>(
        &'a self,
        key: Option<&'a KeyFacts>,
        chain: Option<&'a ChainId>,
    ) -> Option<Question<'a>> {
        Some(Question {
            subject: &self.asker.caller,
            operation: self.operation?,
            key,
            chain,
            from: self.from,
            now: self.now,
        })
    }

    /// The second question is asked; it is about the same operation however often.
    pub(super) fn is_asked(&self) {
        self.asked_as.get_or_init(|| self.operation);
    }

    pub(super) fn verdict(&self, policy: &Policy, about: &About) -> Option<Verdict> {
        let question = self.question(about.key.as_ref(), about.chain.as_ref())?;
        Some(policy.judge(&question))
    }

    /// The administrator of this machine: only a rule that says so takes anything from it.
    pub(super) const fn is_owner(&self) -> bool {
        matches!(self.asker.caller, Caller::LocalUser { .. } | Caller::Service)
    }

    /// Whether it may do this with all of it, and what that needs of others besides: the most that a rule wants for any of it.
    pub(super) fn all(&self, abouts: &[About]) -> Result<Granted, Denial> {
        let Some(in_force) = &self.in_force else {
            return self.by_nobody(&About::default()).map(Granted::from);
        };
        let mut most: Option<Needed> = None;
        // Of several that decide, the record names the one that wants most, else the first.
        let mut first: Option<Ruling> = None;
        let mut counted: Vec<(&About, RuleId, Rate)> = Vec::new();
        for about in abouts {
            let (rule, approvals, rate) = match self.verdict(&in_force.policy, about) {
                None | Some(Verdict::Deny { rule: None }) => {
                    let ruling = self.by_nobody(about)?;
                    first.get_or_insert(ruling);
                    continue;
                }
                Some(Verdict::Deny { rule: Some(rule) }) => {
                    let refusal = denied_by(&self.asker.caller, rule.as_str());
                    return Err(denial(refusal, about, by(in_force, &rule)));
                }
                Some(Verdict::Allow {
                    rule,
                    approvals,
                    rate,
                }) => (rule, approvals, rate),
            };
            first.get_or_insert_with(|| by(in_force, &rule));
            if approvals > most.as_ref().map_or(0, |needed| needed.others) {
                most = Some(needed(in_force, &rule, approvals));
            }
            let Some(rate) = rate else { continue };
            let public_key = |about: &About| about.key.as_ref().and_then(|key| key.public_key);
            let same = |(other, known, _): &(&About, RuleId, Rate)| {
                *known == rule && (!rate.is_each_key() || public_key(other) == public_key(about))
            };
            if !counted.iter().any(same) {
                counted.push((about, rule, rate));
            }
        }
        // Only now: what is refused anyhow costs nothing.
        counted
            .iter()
            .try_for_each(|(about, rule, rate)| self.take(about, rule, *rate))?;
        let wants_most = most.as_ref().map(Needed::ruling);
        Ok(Granted {
            ruling: wants_most.or(first).unwrap_or_else(|| self.unruled()),
            needed: most,
        })
    }

    /// Whether it may do this whatever it turns out to be about, and what that needs of others.
    pub(super) fn whatever(&self) -> Result<Granted, Denial> {
        let none = About::default();
        let granted = self.all(std::slice::from_ref(&none))?;
        let (Some(in_force), Some(question)) = (&self.in_force, self.question(None, None)) else {
            return Ok(granted);
        };
        let asked = granted.needed.as_ref().map_or(0, |needed| needed.others);
        match in_force.policy.strictest(&question) {
            Strictest::Denies { rule } => {
                let refusal = denied_by(&self.asker.caller, rule.as_str());
                Err(denial(refusal, &none, by(in_force, &rule)))
            }
            Strictest::Asks { rule, approvals } if approvals > asked => Ok(Granted {
                ruling: by(in_force, &rule),
                needed: Some(needed(in_force, &rule, approvals)),
            }),
            Strictest::Asks { .. } | Strictest::AsksNobody => Ok(granted),
        }
    }

    /// Whether it may go on, by the rules of now and about nothing. It has been counted.
    pub(super) fn again(&self, now: UnixSeconds) -> Result<(), Denial> {
        let judge = Self {
            in_force: self.policies.snapshot(),
            operation: *self.asked_as.get().unwrap_or(&self.operation),
            now,
            ..self.clone()
        };
        let none = About::default();
        let outcome = match &judge.in_force {
            None => judge.by_nobody(&none),
            Some(in_force) => match judge.verdict(&in_force.policy, &none) {
                None | Some(Verdict::Deny { rule: None }) => judge.by_nobody(&none),
                Some(Verdict::Deny { rule: Some(rule) }) => {
                    let refusal = denied_by(&judge.asker.caller, rule.as_str());
                    Err(denial(refusal, &none, by(in_force, &rule)))
                }
                Some(Verdict::Allow {
                    rule, approvals: 0, ..
                }) => Ok(by(in_force, &rule)),
                Some(Verdict::Allow { rule, approvals, .. }) => {
                    let refusal = needed(in_force, &rule, approvals).cannot_wait();
                    Err(denial(refusal, &none, by(in_force, &rule)))
                }
            },
        };
        judge.dry_run(outcome.map(Granted::from)).map(drop)
    }

    /// Whether it may look at any of it; nobody waits for others to look.
    pub(super) fn any(&self, abouts: &[About]) -> Result<Granted, Denial> {
        let mut no = None;
        for about in abouts {
            match self.all(std::slice::from_ref(about)) {
                Ok(Granted {
                    needed: Some(needed), ..
                }) => return Err(denial(needed.cannot_wait(), about, needed.ruling())),
                Ok(granted) => return Ok(granted),
                Err(denial) if denial.refusal.code == RefusalCode::NotPermitted => no = no.or(Some(denial)),
                Err(denial) => return Err(denial),
            }
        }
        Err(no.unwrap_or_else(|| {
            denial(
                not_permitted(&self.asker.caller),
                &About::default(),
                self.unruled(),
            )
        }))
    }

    pub(super) fn something(&self) -> Result<Granted, Denial> {
        let none = About::default();
        let (Some(in_force), Some(question)) = (&self.in_force, self.question(None, None)) else {
            return self.by_nobody(&none).map(Granted::from);
        };
        // What lets it see all, else the first that lets it see anything.
        let (rule, approvals, rate) = match in_force.policy.judge(&question) {
            Verdict::Allow {
                rule,
                approvals,
                rate,
            } => (rule, approvals, rate),
            Verdict::Deny { .. } => match in_force.policy.foresee(&question) {
                Foresight::Perhaps {
                    rule,
                    approvals,
                    rate,
                } => (rule, approvals, rate),
                Foresight::Never { rule: None } => return self.by_nobody(&none).map(Granted::from),
                Foresight::Never { rule: Some(rule) } => {
                    let refusal = denied_by(&self.asker.caller, rule.as_str());
                    return Err(denial(refusal, &none, by(in_force, &rule)));
                }
            },
        };
        if approvals > 0 {
            let refusal = needed(in_force, &rule, approvals).cannot_wait();
            return Err(denial(refusal, &none, by(in_force, &rule)));
        }
        rate.map_or(Ok(()), |rate| self.take(&none, &rule, rate))?;
        Ok(by(in_force, &rule).into())
    }

    fn take(&self, about: &About, rule: &RuleId, rate: Rate) -> Result<(), Denial> {
        let Some(question) = self.question(about.key.as_ref(), about.chain.as_ref()) else {
            return self.by_nobody(about).map(drop);
        };
        let says = || {
            let policy = self.in_force.as_ref().map(|in_force| in_force.policy.version());
            let ruled = |policy| Ruling::Rule {
                policy,
                rule: rule.clone(),
            };
            policy.map_or(Ruling::BuiltIn, ruled)
        };
        self.policies
            .take(&question, rule, rate, self.tick)
            .map_err(|often| denial(often.refusal(), about, says()))
    }

    pub(super) fn is_current(&self) -> bool {
        let edition = |in_force: &Arc<InForce>| (in_force.policy.version(), in_force.mode);
        self.in_force.as_ref().map(edition) == self.policies.snapshot().as_ref().map(edition)
    }

    /// What no rule is about.
    fn by_nobody(&self, about: &About) -> Result<Ruling, Denial> {
        if self.without_rules {
            return Ok(self.unruled());
        }
        Err(denial(not_permitted(&self.asker.caller), about, self.unruled()))
    }

    /// What decides where no rule does.
    pub(super) fn unruled(&self) -> Ruling {
        self.in_force
            .as_ref()
            .map_or(Ruling::BuiltIn, |in_force| Ruling::NoRule {
                policy: in_force.policy.version(),
            })
    }

    /// A document that is tried out refuses nothing that would be let through without it, and has nothing wait.
    pub(super) fn dry_run(&self, outcome: Result<Granted, Denial>) -> Result<Granted, Denial> {
        let tried = |in_force: &Arc<InForce>| in_force.mode == Mode::DryRun;
        match outcome {
            Err(denial) if self.in_force.as_ref().is_some_and(tried) => {
                self.would_refuse(&denial.refusal);
                // The document was asked, and has no say.
                self.by_nobody(&denial.about).map(|_| Ruling::BuiltIn.into())
            }
            outcome => outcome,
        }
    }

    /// What an act waits for. While a document is only tried out, whoever may do it without any waits for nobody; whoever owes the
    /// right to it to the document owes it whole.
    pub(super) fn waits_for(&self, needed: Option<Needed>) -> Option<Needed> {
        let needed = needed?;
        let tried = |in_force: &Arc<InForce>| in_force.mode == Mode::DryRun;
        if !(self.without_rules && self.in_force.as_ref().is_some_and(tried)) {
            return Some(needed);
        }
        tracing::warn!(
            subject = %self.asker.caller, operation = self.operation.map_or("", Operation::as_str), policy = %needed.policy,
            "policy, dry run: it would wait for {} approvals", needed.others
        );
        None
    }

    pub(super) fn would_refuse(&self, refusal: &Refusal) {
        tracing::warn!(
            subject = %self.asker.caller,
            operation = self.operation.map_or("", Operation::as_str),
            policy = %self.in_force.as_ref().map(|in_force| in_force.policy.version().to_string()).unwrap_or_default(),
            "policy, dry run: it would be refused: {refusal}"
        );
    }
}

fn denial(refusal: Refusal, about: &About, ruling: Ruling) -> Denial {
    Denial {
        refusal,
        about: Box::new(about.clone()),
        ruling,
    }
}

fn by(in_force: &InForce, rule: &RuleId) -> Ruling {
    Ruling::Rule {
        policy: in_force.policy.version(),
        rule: rule.clone(),
    }
}

fn needed(in_force: &InForce, rule: &RuleId, approvals: u8) -> Needed {
    Needed {
        others: approvals,
        policy: in_force.policy.version(),
        rule: rule.clone(),
    }
}
