//! Another policy, put in force by a reload: an operation of its own, `policy.write`, judged by the policy that it is to replace.
//!
//! *Invariant:* whoever may have the configuration taken over changes no rule by that; a signal is worth no more than the word of the user
//! who runs sigward.

use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::caller::Caller;
use sigward_policies::model::operation::Operation;
use sigward_proto::Procedure;

use super::Shared;
use crate::admin::Petition;
use crate::admin::live::{PolicyChange, Reloader};
use crate::audit::Asker;
use crate::authn;
use crate::authz::{Call, tick};
use crate::clock::{Clock as _, SystemClock};

/// What a reload rests on that changes the policy so, or not at all.
///
/// # Errors
/// `not_permitted`, `rate_limited`.
pub(super) fn may_rewrite(
    shared: &Shared,
    by: &Reloader,
    rewritten: Option<PolicyChange>,
) -> Result<Petition, Refusal> {
    let who = match &by.who.caller {
        Caller::Service => Asker::of_this_process(authn::this_process()),
        _ => by.who.clone(),
    };
    let (who, needed) = match rewritten {
        None => (who, None),
        Some(_) => {
            let admitted = shared.policies.admit(Call {
                caller: &who.caller,
                context: &who.context,
                path: Procedure::ReloadReload.path(),
                operation: Some(Operation::PolicyWrite),
                from: by.from,
                now: SystemClock.unix_seconds(),
                tick: tick(),
            });
            let may = admitted.and_then(|admitted| admitted.may_once(&[]));
            let (may, needed) = may
                .map_err(|denial| of_policy(&who.caller, denial.refusal))?
                .into_parts();
            (may.who().clone(), needed)
        }
    };
    Ok(Petition {
        who,
        needed,
        approval: by.approval,
        wait: by.wait,
    })
}

/// That it is the policy, of all that a reload takes over, which the caller may not.
fn of_policy(who: &Caller, refusal: Refusal) -> Refusal {
    match refusal.code {
        RefusalCode::NotPermitted => Refusal::new(
            RefusalCode::NotPermitted,
            format!(
                "the policy's file has changed, and {who} may not put another policy in force ({}): somebody who may {} reloads, or the file goes back",
                refusal.message,
                Operation::PolicyWrite
            ),
        ),
        _ => refusal,
    }
}
