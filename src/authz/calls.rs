//! May this caller call this procedure? Asked once for each call, before a byte of the request itself is read.
//!
//! *Invariants:* whoever is not the administrator of this machine may nothing that no rule allows; what no rule names is refused; a rule
//! about some keys or chains allows no call, because the call has not said yet which one it is about; what carries private keys never
//! comes from another machine.

use std::net::IpAddr;

use sigward_policies::authz::{Policy, Question, Tick, Verdict};
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::UnixSeconds;
use sigward_policies::model::operation::Operation;

use super::{Mode, Policies, built_in, not_permitted};

/// A call, as far as it is known before it is read.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Who.
    pub caller: &'a Caller,
    /// `/package.Service/Method`.
    pub path: &'a str,
    /// What it asks for; none for a procedure that no row names.
    pub operation: Option<Operation>,
    /// From which address; none on this machine.
    pub from: Option<IpAddr>,
    /// When.
    pub now: UnixSeconds,
    /// The same, for rates.
    pub tick: Tick,
}

impl Policies {
    /// Lets a call through, or says why not.
    ///
    /// # Errors
    /// `not_permitted`, `approval_required`, `rate_limited`.
    pub fn may(&self, call: Call<'_>) -> Result<(), Refusal> {
        stays_here(call)?;
        let (Some(in_force), Some(operation)) = (self.snapshot(), call.operation) else {
            return built_in(call.caller, call.path);
        };
        let question = Question {
            subject: call.caller,
            operation,
            key: None,
            chain: None,
            from: call.from,
            now: call.now,
        };
        let outcome = self.by_policy(&in_force.policy, &question, call);
        match (outcome, in_force.mode) {
            (Err(refusal), Mode::DryRun) => {
                tracing::warn!(
                    subject = %call.caller, operation = operation.as_str(), policy = %in_force.policy.version(),
                    "policy, dry run: it would be refused: {refusal}"
                );
                built_in(call.caller, call.path)
            }
            (outcome, _) => outcome,
        }
    }

    fn by_policy(&self, policy: &Policy, question: &Question<'_>, call: Call<'_>) -> Result<(), Refusal> {
        let verdict = policy.judge_call(question);
        let (rule, approvals, rate) = match &verdict {
            Verdict::Deny { rule: Some(rule) } => {
                return Err(Refusal::new(
                    RefusalCode::NotPermitted,
                    format!("{} may not call this; rule {rule} denies it", call.caller),
                ));
            }
            // Only a rule that says so takes anything from the administrator of this machine.
            Verdict::Deny { rule: None } => return built_in(call.caller, call.path),
            Verdict::Allow {
                rule,
                approvals,
                rate,
            } => (rule, *approvals, *rate),
        };
        if approvals > 0 {
            return Err(Refusal::new(
                RefusalCode::ApprovalRequired,
                format!("rule {rule} wants {approvals} approvals, and there is no way yet to give them"),
            ));
        }
        match rate {
            Some(rate) => self
                .take(question, rule, rate, call.tick)
                .map_err(|often| often.refusal()),
            None if matches!(call.caller, Caller::Node { .. }) => Err(not_permitted(call.caller)),
            None => Ok(()),
        }
    }
}

/// What carries a private key, or what opens one: it goes through the socket of this machine, whatever a rule says.
const STAYS_HERE: [Operation; 4] = [
    Operation::KeyImport,
    Operation::KeyExport,
    Operation::KeyBackup,
    Operation::KeyRestore,
];

fn stays_here(call: Call<'_>) -> Result<(), Refusal> {
    match (call.caller, call.operation) {
        (Caller::Certificate { .. } | Caller::Token { .. }, Some(operation))
            if STAYS_HERE.contains(&operation) =>
        {
            let message = format!(
                "{operation} carries private keys, and is done on the machine of the signer alone: sign in there"
            );
            Err(Refusal::new(RefusalCode::NotPermitted, message))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use sigward_policies::authz::PolicyVersion;
    use sigward_policies::model::caller::SubjectName;

    use super::*;

    const DOCUMENT: &str = r#"
        version = 1
        [[rule]]
        id = "not-the-treasury"
        effect = "deny"
        subjects = ["dns:**"]
        operations = ["state.allow"]
        keys = ["treasury"]
        [[rule]]
        id = "lock-out"
        effect = "deny"
        subjects = ["uid:7"]
        operations = ["freeze"]
        [[rule]]
        id = "oncall"
        effect = "allow"
        subjects = ["dns:*.oncall.example.org"]
        operations = ["key.backup", "state.allow", "freeze", "state.show"]
        from = ["10.8.0.0/24"]
        [[rule]]
        id = "some-keys"
        effect = "allow"
        subjects = ["dns:**"]
        operations = ["key.show"]
        keys = ["validator-*"]
        [[rule]]
        id = "together"
        effect = "allow"
        subjects = ["dns:**"]
        operations = ["unfreeze"]
        approvals = 2
        [[rule]]
        id = "seldom"
        effect = "allow"
        subjects = ["dns:**"]
        operations = ["key.list"]
        rate = { count = 1, per_seconds = 60 }
    "#;

    fn asked(policies: &Policies, caller: &Caller, operation: Operation, from: &str) -> &'static str {
        let call = Call {
            caller,
            path: "/sigward.v1.X/Y",
            operation: Some(operation),
            from: from.parse().ok(),
            now: UnixSeconds(1_000_000),
            tick: Tick(0),
        };
        policies
            .may(call)
            .err()
            .map_or("", |refusal| refusal.code.as_str())
    }

    #[test]
    fn rules_decide_calls_and_err_on_the_side_of_no() {
        let policies = Policies::default();
        let eve = Caller::Certificate {
            name: SubjectName::dns("eve.oncall.example.org").unwrap(),
        };
        let (seven, eight) = (Caller::LocalUser { uid: 7 }, Caller::LocalUser { uid: 8 });
        use Operation as O;
        assert_eq!(asked(&policies, &eve, O::Freeze, "10.8.0.7"), "not_permitted");
        assert_eq!(asked(&policies, &seven, O::Freeze, ""), "");
        let policy = || Policy::parse(DOCUMENT, PolicyVersion([1; 32])).unwrap();
        policies.replace(Some(policy()), Mode::Enforced);
        for (caller, operation, from, code) in [
            (&eve, O::Freeze, "10.8.0.7", ""),
            (&eve, O::Freeze, "10.9.0.7", "not_permitted"),
            (&eve, O::Freeze, "", "not_permitted"),
            // It may be about the treasury.
            (&eve, O::StateAllow, "10.8.0.7", "not_permitted"),
            (&eve, O::StateShow, "10.8.0.7", ""),
            // A rule allows it; a private key would come along.
            (&eve, O::KeyBackup, "10.8.0.7", "not_permitted"),
            // It may be about any other key.
            (&eve, O::KeyShow, "10.8.0.7", "not_permitted"),
            (&eve, O::Unfreeze, "10.8.0.7", "approval_required"),
            (&eve, O::KeyList, "10.8.0.7", ""),
            (&eve, O::KeyList, "10.8.0.7", "rate_limited"),
            (&eve, O::KeyExport, "10.8.0.7", "not_permitted"),
            (&seven, O::Freeze, "", "not_permitted"),
            (&seven, O::KeyExport, "", ""),
            (&eight, O::Freeze, "", ""),
        ] {
            assert_eq!(
                asked(&policies, caller, operation, from),
                code,
                "{operation} {from}"
            );
        }
        policies.replace(Some(policy()), Mode::DryRun);
        assert_eq!(
            asked(&policies, &seven, O::Freeze, ""),
            "",
            "what it would deny is let through"
        );
        assert_eq!(
            asked(&policies, &eve, O::KeyShow, ""),
            "not_permitted",
            "and nothing more than without it"
        );
    }
}
