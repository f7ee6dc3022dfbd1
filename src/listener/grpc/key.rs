//! `sigward.v1.KeyService`.

use sigward_hsm::pkcs11::Leaving;
use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::double_sign::Beginning;
use sigward_policies::model::algorithm::Algorithm;
use sigward_policies::model::id::{ChainId, Height, KeyName};
use sigward_policies::model::key::{Origin, VersionState};
use sigward_proto::v1::key_service_server::KeyService;
use sigward_proto::v1::{
    AdoptKeyRequest, AdoptKeyResponse, CreateKeyRequest, CreateKeyResponse, GetKeyRequest, GetKeyResponse,
    ImportFromTokenRequest, ImportFromTokenResponse, ImportKeyRequest, ImportKeyResponse, Key, KeyOrigin,
    KeyState, ListKeysRequest, ListKeysResponse, import_from_token_request, import_key_request,
};
use tonic::{Request, Response, Status};

use super::errors::status;
use super::gate::admitted;
use super::serve::Services;
use super::target::{Target, no_key, to_be};
use crate::admin::{ImportBeginning, ListedKey, TokenObject};
use crate::authz::MayAct;
use crate::config::SOFTWARE;
use crate::store::Sharing;

#[tonic::async_trait]
impl KeyService for Services {
    async fn create(
        &self,
        request: Request<CreateKeyRequest>,
    ) -> Result<Response<CreateKeyResponse>, Status> {
        let (call, request) = admitted(request)?;
        let name = KeyName::new(&request.name).map_err(refuse)?;
        let algorithm = Algorithm::parse(&request.algorithm).map_err(refuse)?;
        let provider = provider(&request.provider);
        let facts = to_be(&name, provider, None);
        let may = self.may(call, Target::NewKey(facts, &[])).await?;
        let key = self
            .gate
            .open(&may)
            .create_key(may.who(), &name, algorithm, provider)
            .await
            .map_err(status)?;
        Ok(Response::new(CreateKeyResponse {
            key: Some(to_wire(&key)),
        }))
    }

    async fn import(
        &self,
        request: Request<ImportKeyRequest>,
    ) -> Result<Response<ImportKeyResponse>, Status> {
        let (call, request) = admitted(request)?;
        let name = KeyName::new(&request.name).map_err(refuse)?;
        let chain = ChainId::new(&request.chain_id).map_err(refuse)?;
        let sharing = sharing(request.shared);
        let beginning = beginning(request.beginning).map_err(refuse)?;
        let file = zeroize::Zeroizing::new(request.priv_validator_key_json);
        let facts = to_be(&name, SOFTWARE, self.key_in_file(&call, &file));
        let may = self.may(call, Target::NewKey(facts, &[&chain])).await?;
        let key = self
            .gate
            .open(&may)
            .import_key(may.who(), &name, &file, &chain, sharing, beginning)
            .await
            .map_err(status)?;
        Ok(Response::new(ImportKeyResponse {
            key: Some(to_wire(&key)),
        }))
    }

    async fn import_from_token(
        &self,
        request: Request<ImportFromTokenRequest>,
    ) -> Result<Response<ImportFromTokenResponse>, Status> {
        use import_from_token_request::{Beginning as Asked, Object};
        let (call, request) = admitted(request)?;
        let name = KeyName::new(&request.name).map_err(refuse)?;
        let chain = ChainId::new(&request.chain_id).map_err(refuse)?;
        let object = match request.object {
            Some(Object::CkaId(id)) if !id.is_empty() => TokenObject::Id(hex::encode(id)),
            Some(Object::Label(label)) if !label.is_empty() => TokenObject::Label(label),
            _ => {
                return Err(refuse(Refusal::new(
                    RefusalCode::InvalidParameters,
                    "name the key pair in the token, by its CKA_ID or by its label",
                )));
            }
        };
        let asked = request.beginning.map(|asked| match asked {
            Asked::StateJson(json) => import_key_request::Beginning::StateJson(json),
            Asked::Above(height) => import_key_request::Beginning::Above(height),
            Asked::NeverSigned(never) => import_key_request::Beginning::NeverSigned(never),
        });
        let beginning = beginning(asked).map_err(refuse)?;
        let sharing = sharing(request.shared);
        let leaving = if request.may_have_left {
            Leaving::Known
        } else {
            Leaving::Refused
        };
        let public_key = self
            .key_in_token(&call, (&name, &request.provider), &object)
            .await;
        let facts = to_be(&name, &request.provider, public_key);
        let may = self.may(call, Target::NewKey(facts, &[&chain])).await?;
        let key = self
            .gate
            .open(&may)
            .import_from_token(
                may.who(),
                &name,
                &request.provider,
                object,
                &chain,
                sharing,
                beginning,
                leaving,
            )
            .await
            .map_err(status)?;
        Ok(Response::new(ImportFromTokenResponse {
            key: Some(to_wire(&key)),
        }))
    }

    async fn list(&self, request: Request<ListKeysRequest>) -> Result<Response<ListKeysResponse>, Status> {
        let (call, _) = admitted(request)?;
        let sight = self.may_look(call)?;
        let keys = self.keys_in(&sight).await?;
        Ok(Response::new(ListKeysResponse {
            keys: keys.iter().map(to_wire).collect(),
        }))
    }

    async fn get(&self, request: Request<GetKeyRequest>) -> Result<Response<GetKeyResponse>, Status> {
        let (call, request) = admitted(request)?;
        let name = KeyName::new(&request.name).map_err(refuse)?;
        let key = self.key_in(call, &name).await?;
        Ok(Response::new(GetKeyResponse {
            key: Some(to_wire(&key)),
        }))
    }

    async fn adopt(&self, request: Request<AdoptKeyRequest>) -> Result<Response<AdoptKeyResponse>, Status> {
        let (call, request) = admitted(request)?;
        let name = KeyName::new(&request.name).map_err(refuse)?;
        let above = Height::new(request.above).map_err(refuse)?;
        let facts = to_be(&name, SOFTWARE, self.key_of_other_store(&call, &name).await);
        let may = self.may(call, Target::KeyOrNew(facts)).await?;
        let adopted = self.gate.open(&may).adopt_key(may.who(), &name, above).await;
        let key = adopted.map_err(|refused| not_there(&may, &name, refused))?;
        Ok(Response::new(AdoptKeyResponse {
            key: Some(to_wire(&key)),
        }))
    }
}

/// A sealed key that is not there is answered as one that the caller may not use.
fn not_there(may: &MayAct, name: &KeyName, refused: Refused) -> Status {
    match refused {
        Refused::Denied(refusal)
            if !may.sight().is_whole() && refusal.message.starts_with("key_name_not_found") =>
        {
            refuse(no_key(name))
        }
        other => status(other),
    }
}

pub(super) fn refuse(refusal: Refusal) -> Status {
    status(Refused::Denied(refusal))
}

/// The software store is where keys are unless a request names another place.
const fn provider(asked: &str) -> &str {
    if asked.is_empty() { SOFTWARE } else { asked }
}

pub(super) const fn sharing(shared: bool) -> Sharing {
    if shared {
        Sharing::Shared
    } else {
        Sharing::OneChain
    }
}

fn beginning(asked: Option<import_key_request::Beginning>) -> Result<ImportBeginning, Refusal> {
    use import_key_request::Beginning as Asked;
    match asked {
        Some(Asked::StateJson(json)) => Ok(ImportBeginning::StateFile(json)),
        Some(Asked::Above(height)) => Ok(ImportBeginning::Known(Beginning::Above(Height::new(height)?))),
        Some(Asked::NeverSigned(true)) => Ok(ImportBeginning::Known(Beginning::NeverSigned)),
        Some(Asked::NeverSigned(false)) | None => Err(Refusal::new(
            RefusalCode::BeginningRequired,
            "say what this key has signed: a state file, the height above which it may sign, or that it never signed",
        )),
    }
}

pub(super) fn to_wire(listed: &ListedKey) -> Key {
    let (version, token) = (&listed.key.version, listed.token.as_ref());
    Key {
        name: listed.key.name.to_string(),
        algorithm: version.public_key.algorithm().to_string(),
        public_key: version.public_key.as_bytes().to_vec(),
        address: version.address.0.to_vec(),
        provider: version.provider.clone(),
        origin: match version.origin {
            Origin::Generated => KeyOrigin::Generated,
            Origin::Imported => KeyOrigin::Imported,
            Origin::Restored => KeyOrigin::Restored,
        }
        .into(),
        state: match version.state {
            VersionState::Pending => KeyState::Pending,
            VersionState::Staged => KeyState::Staged,
            VersionState::Active => KeyState::Active,
            VersionState::Deprecated => KeyState::Deprecated,
            VersionState::Disabled => KeyState::Disabled,
            VersionState::DestroyScheduled => KeyState::DestroyScheduled,
            VersionState::Destroyed => KeyState::Destroyed,
            VersionState::Compromised => KeyState::Compromised,
        }
        .into(),
        created_at: Some(prost_types::Timestamp {
            seconds: version.created_at.0,
            nanos: 0,
        }),
        chains: listed.chains.iter().map(ToString::to_string).collect(),
        stopped_chains: listed.stopped.iter().map(ToString::to_string).collect(),
        exported: version.exported,
        backed_up_at: version.backup.map(|backup| prost_types::Timestamp {
            seconds: backup.at.0,
            nanos: 0,
        }),
        backup_bundle_id: version
            .backup
            .map(|backup| backup.bundle.0.to_vec())
            .unwrap_or_default(),
        token_serial: token.map(|token| token.serial.clone()).unwrap_or_default(),
        cka_id: token
            .and_then(|token| hex::decode(&token.id).ok())
            .unwrap_or_default(),
        protection: token
            .map(|token| match token.protection {
                Some(protection) => protection.told(),
                None => "not known: an earlier version took it in and did not record it".to_owned(),
            })
            .unwrap_or_default(),
        fault: listed.fault.clone().unwrap_or_default(),
    }
}
