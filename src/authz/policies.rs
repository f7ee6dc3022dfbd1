//! The policy in force, and what was asked under it lately. A request takes a snapshot when it is received; a reload replaces the
//! document at once, and what was counted stays counted.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sigward_policies::authz::{Limits, Policy, PolicyVersion, Question, Rate, RuleId, Tick, TooOften};

/// What comes of a word of the policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// What it denies is refused.
    Enforced,
    /// What it denies is let through, and logged.
    DryRun,
}

/// A document, and how it is meant.
#[derive(Debug)]
pub struct InForce {
    /// The document.
    pub policy: Policy,
    /// How it is meant.
    pub mode: Mode,
}

/// Which policy is in force, if there is one.
#[derive(Debug, Default)]
pub struct Policies {
    current: RwLock<Option<Arc<InForce>>>,
    limits: Mutex<Limits>,
}

impl Policies {
    /// The policy in force now; none: the built-in rules are all there are.
    pub fn snapshot(&self) -> Option<Arc<InForce>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Which document is in force, for log lines and records.
    pub fn version(&self) -> Option<PolicyVersion> {
        self.snapshot().map(|in_force| in_force.policy.version())
    }

    /// Puts another document in force, for every request received from now on.
    pub fn replace(&self, policy: Option<Policy>, mode: Mode) {
        let next = policy.map(|policy| Arc::new(InForce { policy, mode }));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// Counts a question that `rule` allows at `rate`; or says when to ask again.
    pub fn take(
        &self,
        question: &Question<'_>,
        rule: &RuleId,
        rate: Rate,
        now: Tick,
    ) -> Result<(), TooOften> {
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        limits.take(question, rule, rate, now)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use sigward_policies::model::caller::Caller;
    use sigward_policies::model::id::UnixSeconds;
    use sigward_policies::model::operation::Operation;

    use super::*;

    fn policy(per_minute: u32) -> Policy {
        let text = format!(
            "version = 1\n[[rule]]\nid = \"r\"\neffect = \"allow\"\nsubjects = [\"uid:*\"]\noperations = [\"key.list\"]\nrate = {{ count = {per_minute}, per_seconds = 60 }}"
        );
        Policy::parse(&text, PolicyVersion([7; 32])).unwrap()
    }

    #[test]
    fn a_request_keeps_its_document_and_a_reload_refills_nothing() {
        let policies = Policies::default();
        assert!(policies.snapshot().is_none() && policies.version().is_none());
        policies.replace(Some(policy(1)), Mode::Enforced);
        let before = policies.snapshot().unwrap();
        let subject = Caller::LocalUser { uid: 1 };
        let question = Question {
            subject: &subject,
            operation: Operation::KeyList,
            key: None,
            chain: None,
            from: None,
            now: UnixSeconds(0),
        };
        let verdict = before.policy.judge(&question);
        let rate = match &verdict {
            sigward_policies::authz::Verdict::Allow { rate, .. } => rate.unwrap(),
            sigward_policies::authz::Verdict::Deny { .. } => unreachable!(),
        };
        let rule = verdict.rule().unwrap();
        assert!(policies.take(&question, rule, rate, Tick(0)).is_ok());
        policies.replace(Some(policy(1)), Mode::DryRun);
        assert!(policies.take(&question, rule, rate, Tick(1)).is_err());
        assert_eq!(before.mode, Mode::Enforced);
        assert_eq!(policies.snapshot().unwrap().mode, Mode::DryRun);
        policies.replace(None, Mode::Enforced);
        assert!(policies.version().is_none());
    }
}
