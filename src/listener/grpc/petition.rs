//! What a call rests on besides the right to it: in its metadata, so that every act takes it alike.
//!
//! *Invariant:* an act that a rule wants approvals for goes on only if it is one that looks for them; every other is refused here.

use std::str::FromStr as _;

use sigward_policies::authz::Needed;
use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::model::caller::Caller;
use tonic::{Request, Status};

use super::errors::status;
use super::key::refuse;
use super::serve::{Services, caller};
use crate::admin::{DEFAULT_WAIT, Petition};
use crate::audit::{self, Asked};
use crate::store::{ApprovalId, MAX_WAIT};

/// The request that others have approved.
pub const APPROVAL: &str = "sigward-approval";
/// How many seconds a request that has to be made is to wait.
pub const WAIT: &str = "sigward-approval-wait";

/// The acts that wait for others.
const AWAITED: [&str; 7] = [
    "/sigward.v1.BackupService/Make",
    "/sigward.v1.HoldService/ClearStopLine",
    "/sigward.v1.HoldService/Unfreeze",
    "/sigward.v1.StateService/Allow",
    "/sigward.v1.StateService/Export",
    "/sigward.v1.StateService/MoveOut",
    "/sigward.v1.StateService/Rebind",
];
/// What belongs to an act that others have approved already: that a backup was read back is said of a backup that was made.
const WITH_ANOTHER: [&str; 1] = ["/sigward.v1.BackupService/Confirm"];

/// What a call to `path` needs from others, where it is one that can wait for them.
pub(super) fn awaits(path: &str, needed: Option<Needed>) -> Result<Option<Needed>, Refusal> {
    match needed {
        Some(_) if WITH_ANOTHER.contains(&path) => Ok(None),
        Some(needed) if !AWAITED.contains(&path) => Err(Refusal::new(
            RefusalCode::ApprovalRequired,
            format!(
                "rule {} wants {} approvals, and there is no way yet to give them for this",
                needed.rule, needed.others
            ),
        )),
        needed => Ok(needed),
    }
}

impl Services {
    /// Who asks, and what the act rests on, as `admission` found out and the call says.
    pub(super) fn petition<T>(&self, request: &Request<T>) -> Result<Petition, Status> {
        let needed = request.extensions().get::<Needed>().cloned();
        if let (Some(needed), None) = (&needed, &self.live) {
            return Err(refuse(Refusal::new(
                RefusalCode::ApprovalRequired,
                format!(
                    "rule {} wants {} approvals, and they are given to a daemon: none runs\nstart it with `sigward serve` or by its service, and run this command again",
                    needed.rule, needed.others
                ),
            )));
        }
        let said = |name| {
            request
                .metadata()
                .get(name)
                .map(|value| value.to_str().unwrap_or_default())
        };
        let approval = match said(APPROVAL) {
            None => None,
            Some(text) => Some(approval_id(text).map_err(refuse)?),
        };
        let wait = match said(WAIT).map(i64::from_str) {
            None => DEFAULT_WAIT,
            Some(Ok(seconds)) if (1..=MAX_WAIT).contains(&seconds) => seconds,
            Some(_) => {
                return Err(refuse(invalid(
                    "a request for approval waits for 1 to 86400 seconds",
                )));
            }
        };
        Ok(Petition {
            who: caller(request),
            needed,
            approval,
            wait,
        })
    }

    /// The answer to an act that was refused. That somebody tried it with an approval that does not stand is put on record.
    pub(super) fn told<'a>(&'a self, petition: &'a Petition) -> impl Fn(Refused) -> Status + 'a {
        move |refused| match petition.approval {
            None => status(refused),
            Some(_) => self.not_taken(&petition.who, "approval.use", refused),
        }
    }

    /// The same for whatever is said or done about approvals; gathered, as other denials are.
    pub(super) fn not_taken(&self, who: &Caller, operation: &str, refused: Refused) -> Status {
        if let (Refused::Denied(_), Some(denials)) = (&refused, &self.denials) {
            let asked = Asked::act(who, operation, None, None);
            let entry = audit::of_refusal(asked, &refused, self.admin.clock.unix_micros());
            denials.note(self.admin.store.as_ref(), entry);
        }
        status(refused)
    }
}

/// The id of a request, as a caller wrote it.
pub(super) fn approval_id(text: &str) -> Result<ApprovalId, Refusal> {
    ApprovalId::parse(text)
        .ok_or_else(|| invalid("the id of a request for approval has 32 hexadecimal digits"))
}

fn invalid(why: &str) -> Refusal {
    Refusal::new(RefusalCode::InvalidParameters, why)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use sigward_policies::authz::{Policy, PolicyVersion, Question, Verdict};
    use sigward_policies::model::id::UnixSeconds;
    use sigward_policies::model::operation::Operation;

    use super::super::operations::operation_of;
    use super::*;

    fn needed() -> Needed {
        let text = "version = 1\n[[rule]]\nid = \"r\"\neffect = \"allow\"\nsubjects = [\"uid:*\"]\noperations = [\"unfreeze\"]\napprovals = 2";
        let policy = Policy::parse(text, PolicyVersion([7; 32])).unwrap();
        let subject = Caller::LocalUser { uid: 1 };
        let question = Question {
            subject: &subject,
            operation: Operation::Unfreeze,
            key: None,
            chain: None,
            from: None,
            now: UnixSeconds(0),
        };
        match policy.judge(&question) {
            Verdict::Allow { rule, approvals, .. } => Needed {
                others: approvals,
                policy: policy.version(),
                rule,
            },
            Verdict::Deny { .. } => unreachable!(),
        }
    }

    #[test]
    fn what_cannot_wait_is_refused_and_what_needs_nobody_goes_on() {
        for path in AWAITED {
            assert_eq!(awaits(path, Some(needed())), Ok(Some(needed())), "{path}");
            let (service, method) = path.trim_start_matches('/').split_once('/').unwrap();
            assert!(operation_of(service, method).is_some(), "{path} is a procedure");
        }
        assert_eq!(awaits(WITH_ANOTHER[0], Some(needed())), Ok(None));
        for path in [
            "",
            "/",
            "/sigward.v1.KeyService/Create",
            "/sigward.v1.ApprovalService/Approve",
        ] {
            let refused = awaits(path, Some(needed())).unwrap_err();
            assert_eq!(refused.code, RefusalCode::ApprovalRequired, "{path}");
            assert_eq!(awaits(path, None), Ok(None), "{path}");
        }
    }
}
