//! `sigward.v1.ApiKeyService`.

use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::id::{ApiKeyName, UnixSeconds};
use sigward_proto::v1::api_key_service_server::ApiKeyService;
use sigward_proto::v1::{
    ApiKey, ApiKeyState, CreateApiKeyRequest, CreateApiKeyResponse, ListApiKeysRequest, ListApiKeysResponse,
    RevokeApiKeyRequest, RevokeApiKeyResponse,
};
use tonic::{Request, Response, Status};

use super::admission::is_private;
use super::errors::status;
use super::gate::admitted;
use super::key::refuse;
use super::serve::Services;
use super::target::Target;
use super::who::timestamp;
use crate::admin::DEFAULT_API_KEY_DAYS;
use crate::store::StoredApiKey;

#[tonic::async_trait]
impl ApiKeyService for Services {
    async fn create(
        &self,
        request: Request<CreateApiKeyRequest>,
    ) -> Result<Response<CreateApiKeyResponse>, Status> {
        let private = is_private(request.extensions());
        let (call, request) = admitted(request)?;
        let name = ApiKeyName::new(&request.name).map_err(refuse)?;
        let days = match request.days {
            0 => DEFAULT_API_KEY_DAYS,
            days => days,
        };
        let may = self.may(call, Target::Nothing).await?;
        if !private {
            return Err(refuse(Refusal::new(
                RefusalCode::NotPermitted,
                "an API key is not shown in the clear: ask by TLS, or by the socket of the signer's machine",
            )));
        }
        let made = self
            .gate
            .open(&may)
            .create_api_key(may.who(), &name, days)
            .await
            .map_err(status)?;
        Ok(Response::new(CreateApiKeyResponse {
            api_key: Some(self.api_key_to_wire(made.kept)),
            secret: made.secret.as_str().to_owned(),
        }))
    }

    async fn list(
        &self,
        request: Request<ListApiKeysRequest>,
    ) -> Result<Response<ListApiKeysResponse>, Status> {
        let (call, request) = admitted(request)?;
        // They are about no key of a chain: who may see one may see each.
        let may = self.may(call, Target::Nothing).await?;
        let kept = self.gate.open(&may).kept_api_keys().await.map_err(status)?;
        let all = kept.into_iter().map(|kept| self.api_key_to_wire(kept));
        let shown = all.filter(|wire| request.all || wire.state() == ApiKeyState::Active);
        Ok(Response::new(ListApiKeysResponse {
            api_keys: shown.collect(),
        }))
    }

    async fn revoke(
        &self,
        request: Request<RevokeApiKeyRequest>,
    ) -> Result<Response<RevokeApiKeyResponse>, Status> {
        let (call, request) = admitted(request)?;
        let name = ApiKeyName::new(&request.name).map_err(refuse)?;
        let may = self.may(call, Target::Nothing).await?;
        let kept = self
            .gate
            .open(&may)
            .revoke_api_key(may.who(), &name, &request.reason)
            .await
            .map_err(status)?;
        Ok(Response::new(RevokeApiKeyResponse {
            api_key: Some(self.api_key_to_wire(kept)),
        }))
    }
}

impl Services {
    fn api_key_to_wire(&self, kept: StoredApiKey) -> ApiKey {
        let state = state(&kept, self.gate.books().0.unix_seconds());
        let (revoked_at, revoked_by) = kept.revoked.unzip();
        let mut wire = ApiKey {
            name: kept.name.to_string(),
            created_by: kept.created_by,
            created_at: Some(timestamp(kept.created_at)),
            expires_at: Some(timestamp(kept.expires_at)),
            revoked_by: revoked_by.unwrap_or_default(),
            revoked_at: revoked_at.map(timestamp),
            ..ApiKey::default()
        };
        wire.set_state(state);
        wire
    }
}

fn state(kept: &StoredApiKey, now: UnixSeconds) -> ApiKeyState {
    match kept.revoked {
        Some(_) => ApiKeyState::Revoked,
        None if kept.stands(now) => ApiKeyState::Active,
        None => ApiKeyState::Expired,
    }
}
