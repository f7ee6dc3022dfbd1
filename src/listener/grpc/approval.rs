//! `sigward.v1.ApprovalService`.

use sigward_policies::authz::{RequestDigest, Standing, Vote};
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::id::UnixSeconds;
use sigward_policies::model::operation::Operation;
use sigward_proto::v1::approval_service_server::ApprovalService;
use sigward_proto::v1::{
    Approval, ApprovalState, ApproveRequest, ApproveResponse, ListApprovalsRequest, ListApprovalsResponse,
    RejectRequest, RejectResponse, Said, ShowApprovalRequest, ShowApprovalResponse,
};
use tonic::{Request, Response, Status};

use super::errors::status;
use super::gate::admitted;
use super::key::refuse;
use super::petition::approval_id;
use super::serve::Services;
use super::target::Target;
use crate::admin::{Register, no_approval};
use crate::authz::{Admitted, Sight};
use crate::store::{End, StoredApproval};

#[tonic::async_trait]
impl ApprovalService for Services {
    async fn list(
        &self,
        request: Request<ListApprovalsRequest>,
    ) -> Result<Response<ListApprovalsResponse>, Status> {
        let (call, request) = admitted(request)?;
        let sight = self.may_look(call)?;
        let register = self.gate.look(&sight).register().await.map_err(status)?;
        let mut approvals = Vec::new();
        for stored in self.gate.look(&sight).approvals().await.map_err(status)? {
            if !shows(&sight, &stored, &register)? {
                continue;
            }
            let wire = self.to_wire(stored, &register);
            let waits = matches!(wire.state(), ApprovalState::Open | ApprovalState::Approved);
            if request.all || waits {
                approvals.push(wire);
            }
        }
        Ok(Response::new(ListApprovalsResponse { approvals }))
    }

    async fn show(
        &self,
        request: Request<ShowApprovalRequest>,
    ) -> Result<Response<ShowApprovalResponse>, Status> {
        let (call, request) = admitted(request)?;
        let id = approval_id(&request.id).map_err(refuse)?;
        let sight = self.may_look(call)?;
        let look = self.gate.look(&sight);
        let (stored, register) = (
            look.approval(id).await.map_err(status)?,
            look.register().await.map_err(status)?,
        );
        if !shows(&sight, &stored, &register)? {
            return Err(refuse(no_approval(id)));
        }
        Ok(Response::new(ShowApprovalResponse {
            approval: Some(self.to_wire(stored, &register)),
        }))
    }

    async fn approve(&self, request: Request<ApproveRequest>) -> Result<Response<ApproveResponse>, Status> {
        let (call, request) = admitted(request)?;
        let ApproveRequest { id, digest, reason } = request;
        let approval = self.say(call, Vote::Approve, (&id, &digest), &reason).await?;
        Ok(Response::new(ApproveResponse {
            approval: Some(approval),
        }))
    }

    async fn reject(&self, request: Request<RejectRequest>) -> Result<Response<RejectResponse>, Status> {
        let (call, request) = admitted(request)?;
        let RejectRequest { id, digest, reason } = request;
        let approval = self.say(call, Vote::Reject, (&id, &digest), &reason).await?;
        Ok(Response::new(RejectResponse {
            approval: Some(approval),
        }))
    }
}

/// Whether a request may be shown: its key and chain, each of several.
fn shows(sight: &Sight, stored: &StoredApproval, register: &Register) -> Result<bool, Status> {
    if sight.is_whole() {
        return Ok(true);
    }
    let about = Target::Approval(stored).about(register).map_err(refuse)?;
    Ok(about.iter().all(|about| sight.sees(about)))
}

impl Services {
    async fn say(
        &self,
        call: Admitted,
        vote: Vote,
        (id, digest): (&str, &[u8]),
        reason: &str,
    ) -> Result<Approval, Status> {
        if self.live.is_none() {
            return Err(refuse(Refusal::new(
                RefusalCode::NotServing,
                "approvals are given to a daemon, which knows who gives them: start sigward first",
            )));
        }
        let id = approval_id(id).map_err(refuse)?;
        let digest = digest.try_into().map(RequestDigest).map_err(|_| {
            refuse(Refusal::new(
                RefusalCode::InvalidParameters,
                "say what was looked at: the 32 bytes of the request's digest",
            ))
        })?;
        let stored = self.approval_before(&call, id).await?;
        let may = self.may(call, Target::Approval(&stored)).await?;
        let in_force = self.policies.version();
        let operation = match vote {
            Vote::Approve => Operation::ApprovalApprove,
            Vote::Reject => Operation::ApprovalReject,
        };
        let stored = self
            .gate
            .open(&may)
            .speak_on(may.who(), id, vote, digest, in_force, reason)
            .await
            .map_err(|refused| self.not_taken(may.who(), operation.as_str(), refused))?;
        let register = self.gate.open(&may).register().await.map_err(status)?;
        Ok(self.to_wire(stored, &register))
    }

    fn to_wire(&self, stored: StoredApproval, register: &Register) -> Approval {
        let key = stored.key.as_ref().map_or_else(String::new, |key| {
            let known = register.find_public(key);
            known.map_or_else(|| key.to_string(), |known| known.facts.name.to_string())
        });
        let state = state(&stored, self.gate.books().0.unix_seconds());
        let request = stored.request;
        let said = request.said().iter().map(|said| Said {
            who: said.who.to_string(),
            approved: said.vote == Vote::Approve,
            at: timestamp(said.at),
        });
        let mut wire = Approval {
            id: stored.id.to_string(),
            operation: request.operation.to_string(),
            what: stored.what,
            requester: request.requester.to_string(),
            needed: request.needed.into(),
            said: said.collect(),
            created_at: timestamp(stored.created_at),
            expires_at: timestamp(request.expires_at),
            ended_at: stored.ended.and_then(|(_, at)| timestamp(at)),
            key,
            chain_id: stored.chain.map(|chain| chain.to_string()).unwrap_or_default(),
            new_chain_id: stored.to.map(|chain| chain.to_string()).unwrap_or_default(),
            policy: format!("{:#}", request.policy),
            digest: request.digest.0.to_vec(),
            ..Approval::default()
        };
        wire.set_state(state);
        wire
    }
}

fn state(stored: &StoredApproval, now: UnixSeconds) -> ApprovalState {
    match (stored.ended, stored.request.standing(now)) {
        (Some((End::Used, _)), _) => ApprovalState::Used,
        (Some((End::Rejected, _)), _) | (None, Standing::Rejected) => ApprovalState::Rejected,
        (Some((End::Expired, _)), _) | (None, Standing::Expired) => ApprovalState::Expired,
        (None, Standing::Approved) => ApprovalState::Approved,
        (None, Standing::Waits { .. }) => ApprovalState::Open,
    }
}

const fn timestamp(at: UnixSeconds) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp {
        seconds: at.0,
        nanos: 0,
    })
}
