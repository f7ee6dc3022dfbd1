//! What a call rests on besides the right to it: in its metadata, so that every act takes it alike.
//!
//! *Invariant:* what a rule wants approvals for goes on only as a [`Petition`], which the act itself looks at; [`Services::may`] refuses it.

use std::str::FromStr as _;

use sigward_policies::authz::Needed;
use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use tonic::{Request, Status};

use super::errors::status;
use super::gate::admitted;
use super::key::refuse;
use super::serve::Services;
use crate::admin::{DEFAULT_WAIT, Petition};
use crate::audit::Asker;
use crate::authz::Admitted;
use crate::store::{ApprovalId, MAX_WAIT};

/// The request that others have approved.
pub const APPROVAL: &str = "sigward-approval";
/// How many seconds a request that has to be made is to wait.
pub const WAIT: &str = "sigward-approval-wait";

/// What a call says of approvals.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claims {
    /// The request that others have approved.
    pub(super) approval: Option<ApprovalId>,
    /// How many seconds a request that has to be made is to wait.
    pub(super) wait: i64,
}

/// As [`admitted`], of an act that looks for approvals.
pub(super) fn petitioning<T>(request: Request<T>) -> Result<(Admitted, Claims, T), Status> {
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
    let (call, message) = admitted(request)?;
    Ok((call, Claims { approval, wait }, message))
}

impl Services {
    /// Who asks, and what the act rests on.
    pub(super) fn petition(
        &self,
        who: &Asker,
        needed: Option<Needed>,
        claims: Claims,
    ) -> Result<Petition, Status> {
        if let (Some(needed), None) = (&needed, &self.live) {
            return Err(refuse(Refusal::new(
                RefusalCode::ApprovalRequired,
                format!(
                    "{}, given to a daemon, and none runs\nstart it with `sigward serve` or by its service, and run this command again",
                    needed.asks()
                ),
            )));
        }
        Ok(Petition {
            who: who.clone(),
            needed,
            approval: claims.approval,
            wait: claims.wait,
        })
    }

    /// The answer to an act that was refused. That somebody tried it with an approval that does not stand is put on record.
    pub(super) fn told<'a>(&'a self, petition: &'a Petition) -> impl Fn(Refused) -> Status + 'a {
        move |refused| match petition.approval {
            None => status(refused),
            Some(_) => self.not_taken(&petition.who, "approval.use", refused),
        }
    }

    /// The same for whatever is said or done about approvals, and for who tries to hold signing back and cannot: somebody saw a reason
    /// to. Gathered, as other denials are.
    pub(super) fn not_taken(&self, who: &Asker, operation: &'static str, refused: Refused) -> Status {
        if let Refused::Denied(refusal) = &refused {
            self.note(who, operation, (None, None), refusal);
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
