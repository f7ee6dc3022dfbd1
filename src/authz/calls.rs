//! May this caller call this procedure at all? The first look, before a byte of the request itself is read; what it lets through has
//! still to ask about its keys and chains ([`Admitted`]).
//!
//! *Invariants:* whoever is not the administrator of this machine may nothing that no rule could allow; what no rule names is refused;
//! what carries private keys never comes from another machine.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use sigward_policies::authz::{Foresight, Ruling, Tick};
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::UnixSeconds;
use sigward_policies::model::operation::Operation;

use super::admitted::Denial;
use super::{Admitted, Mode, Policies, built_in, not_permitted};
use crate::store::Context;

/// A call, as far as it is known before it is read.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Who.
    pub caller: &'a Caller,
    /// How that was established, and in which trace; what decides is not known yet.
    pub context: &'a Context,
    /// `/package.Service/Method`.
    pub path: &'a str,
    /// What it asks for; none for a procedure that is not of `sigward.v1`.
    pub operation: Option<Operation>,
    /// From which address; none on this machine.
    pub from: Option<IpAddr>,
    /// When.
    pub now: UnixSeconds,
    /// The same, for rates.
    pub tick: Tick,
}

/// Now, for rates: it only goes on, whatever becomes of the clock.
pub fn tick() -> Tick {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    Tick(u64::try_from(BEGAN.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

impl Policies {
    /// Lets a call come nearer, or says why not. Nothing is counted and nobody is asked for approval yet.
    ///
    /// # Errors
    /// `not_permitted`.
    pub fn admit(self: &Arc<Self>, call: Call<'_>) -> Result<Admitted, Denial> {
        let denied = |ruling: Ruling| {
            move |refusal: Refusal| Denial {
                refusal,
                about: Box::default(),
                ruling,
            }
        };
        stays_here(call).map_err(denied(Ruling::BuiltIn))?;
        let without_rules = built_in(call.caller, call.path);
        let admitted = Admitted::new(self, call, without_rules.is_ok());
        let (Some(in_force), Some(question)) = (admitted.in_force(), admitted.question(None, None)) else {
            return without_rules
                .map_err(denied(admitted.unruled()))
                .map(|()| admitted);
        };
        let (policy, mode) = (in_force.policy.version(), in_force.mode);
        let (refusal, ruling) = match in_force.policy.foresee(&question) {
            Foresight::Perhaps { .. } => return Ok(admitted),
            // Only a rule that says so takes anything from the administrator of this machine.
            Foresight::Never { rule: None } => {
                return without_rules
                    .map_err(denied(Ruling::NoRule { policy }))
                    .map(|()| admitted);
            }
            Foresight::Never { rule: Some(rule) } => (
                denied_by(call.caller, rule.as_str()),
                Ruling::Rule { policy, rule },
            ),
        };
        match mode {
            Mode::Enforced => Err(denied(ruling)(refusal)),
            Mode::DryRun => {
                admitted.would_refuse(&refusal);
                without_rules.map_err(denied(Ruling::BuiltIn)).map(|()| admitted)
            }
        }
    }
}

pub(super) fn denied_by(caller: &Caller, rule: &str) -> Refusal {
    Refusal::new(
        RefusalCode::NotPermitted,
        format!("{caller} may not call this; rule {rule} denies it"),
    )
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
        // No node calls anything: it is sigward that dials.
        (Caller::Node { .. }, _) => Err(not_permitted(call.caller)),
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
mod tests;
