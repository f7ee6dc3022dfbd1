//! `sigward.v1.ApprovalService`.

use sigward_policies::authz::{RequestDigest, Standing, Vote};
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::UnixSeconds;
use sigward_policies::model::operation::Operation;
use sigward_proto::v1::approval_service_server::ApprovalService;
use sigward_proto::v1::{
    Approval, ApprovalState, ApproveRequest, ApproveResponse, ListApprovalsRequest, ListApprovalsResponse,
    RejectRequest, RejectResponse, Said, ShowApprovalRequest, ShowApprovalResponse,
};
use tonic::{Request, Response, Status};

use super::errors::status;
use super::key::refuse;
use super::petition::approval_id;
use super::serve::{Services, caller};
use crate::store::{End, StoredApproval};

#[tonic::async_trait]
impl ApprovalService for Services {
    async fn list(
        &self,
        request: Request<ListApprovalsRequest>,
    ) -> Result<Response<ListApprovalsResponse>, Status> {
        let all = request.into_inner().all;
        let mut approvals = Vec::new();
        for stored in self.admin.approvals().await.map_err(status)? {
            let wire = self.to_wire(stored).await?;
            let waits = matches!(wire.state(), ApprovalState::Open | ApprovalState::Approved);
            if all || waits {
                approvals.push(wire);
            }
        }
        Ok(Response::new(ListApprovalsResponse { approvals }))
    }

    async fn show(
        &self,
        request: Request<ShowApprovalRequest>,
    ) -> Result<Response<ShowApprovalResponse>, Status> {
        let id = approval_id(&request.into_inner().id).map_err(refuse)?;
        let stored = self.admin.kept_approval(id).await.map_err(status)?;
        Ok(Response::new(ShowApprovalResponse {
            approval: Some(self.to_wire(stored).await?),
        }))
    }

    async fn approve(&self, request: Request<ApproveRequest>) -> Result<Response<ApproveResponse>, Status> {
        let who = caller(&request);
        let ApproveRequest { id, digest, reason } = request.into_inner();
        let approval = self.say(&who, Vote::Approve, (&id, &digest), &reason).await?;
        Ok(Response::new(ApproveResponse {
            approval: Some(approval),
        }))
    }

    async fn reject(&self, request: Request<RejectRequest>) -> Result<Response<RejectResponse>, Status> {
        let who = caller(&request);
        let RejectRequest { id, digest, reason } = request.into_inner();
        let approval = self.say(&who, Vote::Reject, (&id, &digest), &reason).await?;
        Ok(Response::new(RejectResponse {
            approval: Some(approval),
        }))
    }
}

impl Services {
    async fn say(
        &self,
        who: &Caller,
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
        let in_force = self.policies.version();
        let operation = match vote {
            Vote::Approve => Operation::ApprovalApprove,
            Vote::Reject => Operation::ApprovalReject,
        };
        let stored = self
            .admin
            .speak_on(who, id, vote, digest, in_force, reason)
            .await
            .map_err(|refused| self.not_taken(who, operation.as_str(), refused))?;
        self.to_wire(stored).await
    }

    async fn to_wire(&self, stored: StoredApproval) -> Result<Approval, Status> {
        let key = match &stored.key {
            None => String::new(),
            Some(key) => {
                let name = self.admin.name_of(key).await.map_err(status)?;
                name.map_or_else(|| key.to_string(), |name| name.to_string())
            }
        };
        let state = state(&stored, self.admin.clock.unix_seconds());
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
            policy: format!("{:#}", request.policy),
            digest: request.digest.0.to_vec(),
            ..Approval::default()
        };
        wire.set_state(state);
        Ok(wire)
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
