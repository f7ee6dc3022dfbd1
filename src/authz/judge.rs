//! How a call is judged: by the document that was in force when it came, for whatever it says it is about.
//!
//! *Invariant:* what is refused counts nothing; what is let through counts once for each rule, and key where the rule counts keys.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sigward_policies::authz::{
    Foresight, KeyFacts, Needed, Policy, Question, Rate, RuleId, Strictest, Tick, Verdict,
};
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::{ChainId, UnixSeconds};
use sigward_policies::model::operation::Operation;

use super::admitted::{About, Denial};
use super::calls::denied_by;
use super::{InForce, Mode, Policies, not_permitted};

#[derive(Clone, Debug)]
pub(super) struct Judge {
    pub(super) policies: Arc<Policies>,
    pub(super) in_force: Option<Arc<InForce>>,
    pub(super) caller: Caller,
    pub(super) operation: Option<Operation>,
    pub(super) from: Option<IpAddr>,
    pub(super) now: UnixSeconds,
    pub(super) tick: Tick,
    /// Whether it may call this where no rule is about it.
    pub(super) without_rules: bool,
    pub(super) asked: Arc<AtomicBool>,
}

impl Judge {
    pub(super) fn question<'a>(
        &'a self,
        key: Option<&'a KeyFacts>,
        chain: Option<&'a ChainId>,
    ) -> Option<Question<'a>> {
        Some(Question {
            subject: &self.caller,
            operation: self.operation?,
            key,
            chain,
            from: self.from,
            now: self.now,
        })
    }

    pub(super) fn verdict(&self, policy: &Policy, about: &About) -> Option<Verdict> {
        let question = self.question(about.key.as_ref(), about.chain.as_ref())?;
        Some(policy.judge(&question))
    }

    /// The administrator of this machine: only a rule that says so takes anything from it.
    pub(super) const fn is_owner(&self) -> bool {
        matches!(self.caller, Caller::LocalUser { .. } | Caller::Service)
    }

    /// Whether it may do this with all of it, and what that needs of others besides: the most that a rule wants for any of it.
    pub(super) fn all(&self, abouts: &[About]) -> Result<Option<Needed>, Denial> {
        let Some(in_force) = &self.in_force else {
            return self.by_nobody(&About::default()).map(|()| None);
        };
        let mut most: Option<Needed> = None;
        let mut counted: Vec<(&About, RuleId, Rate)> = Vec::new();
        for about in abouts {
            let (rule, approvals, rate) = match self.verdict(&in_force.policy, about) {
                None | Some(Verdict::Deny { rule: None }) => {
                    self.by_nobody(about)?;
                    continue;
                }
                Some(Verdict::Deny { rule: Some(rule) }) => {
                    return Err(denial(denied_by(&self.caller, rule.as_str()), about));
                }
                Some(Verdict::Allow {
                    rule,
                    approvals,
                    rate,
                }) => (rule, approvals, rate),
            };
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
        Ok(most)
    }

    /// Whether it may do this whatever it turns out to be about, and what that needs of others.
    pub(super) fn whatever(&self) -> Result<Option<Needed>, Denial> {
        let none = About::default();
        let most = self.all(std::slice::from_ref(&none))?;
        let (Some(in_force), Some(question)) = (&self.in_force, self.question(None, None)) else {
            return Ok(most);
        };
        match in_force.policy.strictest(&question) {
            Strictest::Denies { rule } => Err(denial(denied_by(&self.caller, rule.as_str()), &none)),
            Strictest::Asks { rule, approvals }
                if approvals > most.as_ref().map_or(0, |most| most.others) =>
            {
                Ok(Some(needed(in_force, &rule, approvals)))
            }
            Strictest::Asks { .. } | Strictest::AsksNobody => Ok(most),
        }
    }

    /// Whether it may go on, by the rules of now and about nothing. It has been counted.
    pub(super) fn again(&self, now: UnixSeconds) -> Result<(), Denial> {
        let judge = Self {
            in_force: self.policies.snapshot(),
            now,
            ..self.clone()
        };
        let none = About::default();
        let outcome = match &judge.in_force {
            None => judge.by_nobody(&none),
            Some(in_force) => match judge.verdict(&in_force.policy, &none) {
                None | Some(Verdict::Deny { rule: None }) => judge.by_nobody(&none),
                Some(Verdict::Deny { rule: Some(rule) }) => {
                    Err(denial(denied_by(&judge.caller, rule.as_str()), &none))
                }
                Some(Verdict::Allow { approvals: 0, .. }) => Ok(()),
                Some(Verdict::Allow { rule, approvals, .. }) => {
                    Err(denial(cannot_wait(&needed(in_force, &rule, approvals)), &none))
                }
            },
        };
        judge.dry_run(outcome)
    }

    /// Whether it may look at any of it; nobody waits for others to look.
    pub(super) fn any(&self, abouts: &[About]) -> Result<(), Denial> {
        let mut no = None;
        for about in abouts {
            match self.all(std::slice::from_ref(about)) {
                Ok(None) => return Ok(()),
                Ok(Some(needed)) => return Err(denial(cannot_wait(&needed), about)),
                Err(denial) if denial.refusal.code == RefusalCode::NotPermitted => no = no.or(Some(denial)),
                Err(denial) => return Err(denial),
            }
        }
        Err(no.unwrap_or_else(|| denial(not_permitted(&self.caller), &About::default())))
    }

    pub(super) fn something(&self) -> Result<(), Denial> {
        let none = About::default();
        let (Some(in_force), Some(question)) = (&self.in_force, self.question(None, None)) else {
            return self.by_nobody(&none);
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
                Foresight::Never { rule: None } => return self.by_nobody(&none),
                Foresight::Never { rule: Some(rule) } => {
                    return Err(denial(denied_by(&self.caller, rule.as_str()), &none));
                }
            },
        };
        if approvals > 0 {
            return Err(denial(cannot_wait(&needed(in_force, &rule, approvals)), &none));
        }
        rate.map_or(Ok(()), |rate| self.take(&none, &rule, rate))
    }

    fn take(&self, about: &About, rule: &RuleId, rate: Rate) -> Result<(), Denial> {
        let Some(question) = self.question(about.key.as_ref(), about.chain.as_ref()) else {
            return self.by_nobody(about);
        };
        self.policies
            .take(&question, rule, rate, self.tick)
            .map_err(|often| denial(often.refusal(), about))
    }

    pub(super) fn is_current(&self) -> bool {
        let edition = |in_force: &Arc<InForce>| (in_force.policy.version(), in_force.mode);
        self.in_force.as_ref().map(edition) == self.policies.snapshot().as_ref().map(edition)
    }

    /// What no rule is about.
    fn by_nobody(&self, about: &About) -> Result<(), Denial> {
        if self.without_rules {
            return Ok(());
        }
        Err(denial(not_permitted(&self.caller), about))
    }

    /// A document that is tried out refuses nothing that would be let through without it, and has nothing wait.
    pub(super) fn dry_run<T: Default>(&self, outcome: Result<T, Denial>) -> Result<T, Denial> {
        let tried = |in_force: &Arc<InForce>| in_force.mode == Mode::DryRun;
        match outcome {
            Err(denial) if self.in_force.as_ref().is_some_and(tried) => {
                self.would_refuse(&denial.refusal);
                self.by_nobody(&denial.about).map(|()| T::default())
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
            subject = %self.caller, operation = self.operation.map_or("", Operation::as_str), policy = %needed.policy,
            "policy, dry run: it would wait for {} approvals", needed.others
        );
        None
    }

    pub(super) fn would_refuse(&self, refusal: &Refusal) {
        tracing::warn!(
            subject = %self.caller,
            operation = self.operation.map_or("", Operation::as_str),
            policy = %self.in_force.as_ref().map(|in_force| in_force.policy.version().to_string()).unwrap_or_default(),
            "policy, dry run: it would be refused: {refusal}"
        );
    }
}

fn denial(refusal: Refusal, about: &About) -> Denial {
    Denial {
        refusal,
        about: about.clone(),
    }
}

fn needed(in_force: &InForce, rule: &RuleId, approvals: u8) -> Needed {
    Needed {
        others: approvals,
        policy: in_force.policy.version(),
        rule: rule.clone(),
    }
}

/// The refusal of what has no way to wait for others.
pub(super) fn cannot_wait(needed: &Needed) -> Refusal {
    Refusal::new(
        RefusalCode::ApprovalRequired,
        format!(
            "rule {} wants {} approvals, and there is no way yet to give them for this",
            needed.rule, needed.others
        ),
    )
}
