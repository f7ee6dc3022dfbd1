//! `StatusService.WhoAmI`: what a caller has proved, told to that caller. It looks at nothing else.

use sigward_policies::model::authentication::Authentication;
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::UnixSeconds;
use sigward_proto::v1::{Proof, WhoAmIRequest, WhoAmIResponse};
use tonic::{Request, Response, Status};

use super::gate::admitted;
use super::serve::Services;
use crate::authn::Means;
use crate::authz::Mode;

impl Services {
    pub(super) fn who_am_i(
        &self,
        request: Request<WhoAmIRequest>,
    ) -> Result<Response<WhoAmIResponse>, Status> {
        let means = request.extensions().get::<Means>().cloned();
        let (call, _) = admitted(request)?;
        let sight = self.may_look(call)?;
        let who = &sight.who().caller;
        let policy = self.policies.snapshot();
        let mut answer = WhoAmIResponse {
            subject: who.to_string(),
            policy: policy
                .as_ref()
                .map(|in_force| format!("{:#}", in_force.policy.version()))
                .unwrap_or_default(),
            policy_dry_run: policy.is_some_and(|in_force| in_force.mode == Mode::DryRun),
            ..WhoAmIResponse::default()
        };
        let proof = match who {
            Caller::LocalUser { uid } => {
                answer.uid = Some(*uid);
                Proof::Local
            }
            Caller::Certificate { .. } => Proof::Certificate,
            Caller::Token { holder } => {
                answer.issuer = holder.issuer().to_string();
                Proof::Token
            }
            Caller::ApiKey { .. } => Proof::ApiKey,
            // Neither calls anything.
            Caller::Node { .. } | Caller::Service => Proof::Unspecified,
        };
        answer.set_proof(proof);
        if let Some(means) = means {
            answer.ends_at = Some(timestamp(means.ends));
            if let Authentication::Certificate { sha256 } = means.by {
                answer.certificate_sha256 = sha256.to_vec();
            }
        }
        Ok(Response::new(answer))
    }
}

pub(super) const fn timestamp(at: UnixSeconds) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.0,
        nanos: 0,
    }
}
