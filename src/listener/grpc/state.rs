//! `sigward.v1.StateService`.

use sha2::{Digest as _, Sha256};
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::double_sign::{Beginning, Watermark};
use sigward_policies::model::id::{ChainId, Height, KeyName};
use sigward_policies::model::payload::ConsensusMessage;
use sigward_policies::model::sign_bytes;
use sigward_proto::v1::state_service_server::StateService;
use sigward_proto::v1::{
    AllowStateRequest, AllowStateResponse, ExportStateRequest, ExportStateResponse, ImportStateRequest,
    ImportStateResponse, InitStateRequest, InitStateResponse, MoveOutRequest, MoveOutResponse,
    RebindStateRequest, RebindStateResponse, ShowStateRequest, ShowStateResponse, SignState, SignStateKind,
    WithdrawAllowRequest, WithdrawAllowResponse, init_state_request,
};
use tonic::{Request, Response, Status};

use super::errors::status;
use super::gate::admitted;
use super::key::{refuse, sharing};
use super::petition::petitioning;
use super::serve::Services;
use super::target::Target;
use crate::admin::{NamedRow, OtherChains};
use crate::store::Sharing;

#[tonic::async_trait]
impl StateService for Services {
    async fn show(&self, request: Request<ShowStateRequest>) -> Result<Response<ShowStateResponse>, Status> {
        let (call, request) = admitted(request)?;
        let key = optional(&request.key, KeyName::new)?;
        let chain = optional(&request.chain_id, ChainId::new)?;
        let sight = self.may_look(call)?;
        let rows = self.states_in(&sight, key.as_ref(), chain.as_ref()).await?;
        Ok(Response::new(ShowStateResponse {
            states: rows.iter().map(to_wire).collect(),
        }))
    }

    async fn init(&self, request: Request<InitStateRequest>) -> Result<Response<InitStateResponse>, Status> {
        let (call, request) = admitted(request)?;
        let (key, chain) = row(&request.key, &request.chain_id)?;
        let beginning = beginning(request.beginning.as_ref()).map_err(refuse)?;
        let sharing = sharing(request.shared);
        let may = self.may(call, Target::KeyOn(&key, &[&chain])).await?;
        let row = self
            .gate
            .open(&may)
            .init_state(may.who(), &key, &chain, sharing, beginning)
            .await
            .map_err(status)?;
        Ok(Response::new(InitStateResponse {
            state: Some(to_wire(&row)),
        }))
    }

    async fn import(
        &self,
        request: Request<ImportStateRequest>,
    ) -> Result<Response<ImportStateResponse>, Status> {
        let (call, request) = admitted(request)?;
        let (key, chain) = row(&request.key, &request.chain_id)?;
        let may = self.may(call, Target::KeyOn(&key, &[&chain])).await?;
        let row = self
            .gate
            .open(&may)
            .import_state(may.who(), &key, &chain, &request.state_json)
            .await
            .map_err(status)?;
        Ok(Response::new(ImportStateResponse {
            state: Some(to_wire(&row)),
        }))
    }

    async fn export(
        &self,
        request: Request<ExportStateRequest>,
    ) -> Result<Response<ExportStateResponse>, Status> {
        let (call, claims, request) = petitioning(request)?;
        let (key, chain) = row(&request.key, &request.chain_id)?;
        let (may, petition) = self
            .may_once(call, claims, Target::KeyOn(&key, &[&chain]))
            .await?;
        let (row, state_json) = self
            .gate
            .open(&may)
            .export_state(&petition, &key, &chain)
            .await
            .map_err(self.told(&petition))?;
        Ok(Response::new(ExportStateResponse {
            state_json,
            state: Some(to_wire(&row)),
        }))
    }

    async fn move_out(&self, request: Request<MoveOutRequest>) -> Result<Response<MoveOutResponse>, Status> {
        let (call, claims, request) = petitioning(request)?;
        let (key, chain) = row(&request.key, &request.chain_id)?;
        let others = if request.all_chains {
            OtherChains::Stop
        } else {
            OtherChains::Refuse
        };
        // Whoever has the key can sign with it on every chain, stopped here or not.
        let target = Target::Keys(std::slice::from_ref(&key));
        let (may, petition) = self.may_once(call, claims, target).await?;
        let left = self
            .gate
            .open(&may)
            .move_out(&petition, &key, &chain, others)
            .await
            .map_err(self.told(&petition))?;
        Ok(Response::new(MoveOutResponse {
            priv_validator_key_json: left.key.dangerous_bytes().to_vec(),
            state_json: left.state,
            states: left.rows.iter().map(to_wire).collect(),
        }))
    }

    async fn allow(
        &self,
        request: Request<AllowStateRequest>,
    ) -> Result<Response<AllowStateResponse>, Status> {
        let (call, claims, request) = petitioning(request)?;
        let (key, chain) = row(&request.key, &request.chain_id)?;
        let until = Height::new(request.until).map_err(refuse)?;
        let (may, petition) = self
            .may_once(call, claims, Target::KeyOn(&key, &[&chain]))
            .await?;
        let row = self
            .gate
            .open(&may)
            .allow(&petition, &key, &chain, until)
            .await
            .map_err(self.told(&petition))?;
        Ok(Response::new(AllowStateResponse {
            state: Some(to_wire(&row)),
        }))
    }

    async fn withdraw_allow(
        &self,
        request: Request<WithdrawAllowRequest>,
    ) -> Result<Response<WithdrawAllowResponse>, Status> {
        let (call, request) = admitted(request)?;
        let (key, chain) = row(&request.key, &request.chain_id)?;
        let may = self.may(call, Target::KeyOn(&key, &[&chain])).await?;
        let row = self
            .gate
            .open(&may)
            .disallow(may.who(), &key, &chain)
            .await
            .map_err(status)?;
        Ok(Response::new(WithdrawAllowResponse {
            state: Some(to_wire(&row)),
        }))
    }

    async fn rebind(
        &self,
        request: Request<RebindStateRequest>,
    ) -> Result<Response<RebindStateResponse>, Status> {
        let (call, claims, request) = petitioning(request)?;
        let (key, from) = row(&request.key, &request.chain_id)?;
        let to = ChainId::new(&request.new_chain_id).map_err(refuse)?;
        let above = request.above.map(Height::new).transpose().map_err(refuse)?;
        let (may, petition) = self
            .may_once(call, claims, Target::KeyOn(&key, &[&from, &to]))
            .await?;
        let row = self
            .gate
            .open(&may)
            .rebind(&petition, &key, &from, &to, above)
            .await
            .map_err(self.told(&petition))?;
        Ok(Response::new(RebindStateResponse {
            state: Some(to_wire(&row)),
        }))
    }
}

fn row(key: &str, chain: &str) -> Result<(KeyName, ChainId), Status> {
    Ok((
        KeyName::new(key).map_err(refuse)?,
        ChainId::new(chain).map_err(refuse)?,
    ))
}

fn optional<T>(text: &str, parse: impl FnOnce(&str) -> Result<T, Refusal>) -> Result<Option<T>, Status> {
    if text.is_empty() {
        Ok(None)
    } else {
        parse(text).map(Some).map_err(refuse)
    }
}

fn beginning(asked: Option<&init_state_request::Beginning>) -> Result<Beginning, Refusal> {
    use init_state_request::Beginning as Asked;
    match asked {
        Some(Asked::Above(height)) => Ok(Beginning::Above(Height::new(*height)?)),
        Some(Asked::NeverSigned(true)) => Ok(Beginning::NeverSigned),
        Some(Asked::NeverSigned(false)) | None => Err(Refusal::new(
            RefusalCode::BeginningRequired,
            "say what this key has signed on the chain: the height above which it may sign, or that it never signed",
        )),
    }
}

fn to_wire(named: &NamedRow) -> SignState {
    let row = &named.row.row;
    let mut state = SignState {
        key: named.key.to_string(),
        public_key: named.row.public_key.as_bytes().to_vec(),
        chain_id: named.row.chain.to_string(),
        height: row.watermark.height(),
        allow_until: row.allow_until.map(Height::value),
        shared: named.row.sharing == Sharing::Shared,
        ..SignState::default()
    };
    let kind = match &row.watermark {
        Watermark::Fresh => SignStateKind::Fresh,
        Watermark::Closed { .. } => SignStateKind::Closed,
        Watermark::Signed(last) => {
            state.round = last.position.round.value();
            state.step = i32::from(last.position.step.value());
            state.last_signed_at = Some(prost_types::Timestamp {
                seconds: row.touched.0,
                nanos: 0,
            });
            state.sign_bytes_sha256 = Sha256::digest(&last.sign_bytes).to_vec();
            state.block_hash = block_hash(&last.sign_bytes);
            SignStateKind::Signed
        }
    };
    state.set_kind(if row.stopped {
        SignStateKind::Exported
    } else {
        kind
    });
    state
}

fn block_hash(bytes: &[u8]) -> Vec<u8> {
    match sign_bytes::parse(bytes) {
        Ok((ConsensusMessage::Vote(vote), _)) => {
            vote.block_id.map(|id| id.hash().to_vec()).unwrap_or_default()
        }
        Ok((ConsensusMessage::Proposal(proposal), _)) => proposal.block_id.hash().to_vec(),
        Err(_) => Vec::new(),
    }
}
