//! `sigward.v1.HsmService`.

use sigward_hsm::pkcs11::LoggedIn;
use sigward_proto::v1::hsm_service_server::HsmService;
use sigward_proto::v1::{
    FoundTokenKey, ListTokensRequest, ListTokensResponse, LogInOnceRequest, LogInOnceResponse, LogInOutcome,
    Token, TokenKey,
};
use tonic::{Request, Response, Status};

use super::errors::status;
use super::gate::admitted;
use super::serve::Services;
use super::target::Target;
use crate::admin::SeenToken;

#[tonic::async_trait]
impl HsmService for Services {
    async fn list(
        &self,
        request: Request<ListTokensRequest>,
    ) -> Result<Response<ListTokensResponse>, Status> {
        let (call, request) = admitted(request)?;
        let sight = self.may_look(call)?;
        let tokens = self.tokens_in(&sight, request.search).await?;
        Ok(Response::new(ListTokensResponse {
            tokens: tokens.iter().map(to_wire).collect(),
        }))
    }

    async fn log_in_once(
        &self,
        request: Request<LogInOnceRequest>,
    ) -> Result<Response<LogInOnceResponse>, Status> {
        let (call, request) = admitted(request)?;
        let provider = request.provider;
        let may = self.may(call, Target::Provider(&provider)).await?;
        let (token, outcome) = self
            .gate
            .open(&may)
            .log_in_once(may.who(), &provider)
            .await
            .map_err(status)?;
        Ok(Response::new(LogInOnceResponse {
            serial: token.serial,
            label: token.label,
            outcome: match outcome {
                LoggedIn::Now => LogInOutcome::Accepted,
                LoggedIn::BeforeWithThisPin => LogInOutcome::InUse,
                LoggedIn::Before => LogInOutcome::NotTested,
            }
            .into(),
        }))
    }
}

fn to_wire(seen: &SeenToken) -> Token {
    let (trouble, identity) = (seen.trouble.as_ref(), seen.identity.as_ref());
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Token {
        id: seen.id.clone(),
        module: seen.config.module.display().to_string(),
        selector: seen.config.token.to_string(),
        up: seen.up,
        code: trouble.map(|trouble| trouble.code.to_owned()).unwrap_or_default(),
        trouble: trouble.map(|trouble| trouble.what.clone()).unwrap_or_default(),
        advice: trouble.map(|trouble| trouble.advice.clone()).unwrap_or_default(),
        serial: identity.map(|token| token.serial.clone()).unwrap_or_default(),
        label: identity.map(|token| token.label.clone()).unwrap_or_default(),
        manufacturer: identity
            .map(|token| token.manufacturer.clone())
            .unwrap_or_default(),
        model: identity.map(|token| token.model.clone()).unwrap_or_default(),
        sessions: seen.load.map_or(0, |load| count(load.sessions)),
        waiting: seen.load.map_or(0, |load| count(load.waiting)),
        hanging: seen.load.map_or(0, |load| count(load.hanging)),
        keys: seen
            .keys
            .iter()
            .map(|key| TokenKey {
                name: key.name.to_string(),
                public_key: key.public_key.as_bytes().to_vec(),
                cka_id: hex::decode(&key.id).unwrap_or_default(),
            })
            .collect(),
        found: seen
            .found
            .iter()
            .map(|key| FoundTokenKey {
                cka_id: hex::decode(&key.id).unwrap_or_default(),
                label: key.label.clone(),
                algorithm: key.public_key.algorithm().to_string(),
                public_key: key.public_key.as_bytes().to_vec(),
                may_have_left: !key.protection.is_whole(),
                protection: key.protection.told(),
            })
            .collect(),
    }
}
