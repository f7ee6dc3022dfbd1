//! `sigward.v1.BackupService`.

use std::collections::HashSet;

use sigward_hsm::backup::Lock;
use sigward_hsm::envelope::ArgonParams;
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::algorithm::{Algorithm, PublicKey};
use sigward_policies::model::id::{BundleId, ChainId, Height, KeyName, UnixSeconds};
use sigward_proto::v1::backup_service_server::BackupService;
use sigward_proto::v1::{
    ConfirmBackupRequest, ConfirmBackupResponse, MakeBackupRequest, MakeBackupResponse, PassphraseLock,
    RestoreKeysRequest, RestoreKeysResponse, make_backup_request,
};
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use super::errors::status;
use super::gate::admitted;
use super::key::{refuse, to_wire};
use super::petition::petitioning;
use super::serve::Services;
use super::target::Target;
use crate::admin::{Heights, VerifiedBackup, returning};

#[tonic::async_trait]
impl BackupService for Services {
    async fn make(
        &self,
        request: Request<MakeBackupRequest>,
    ) -> Result<Response<MakeBackupResponse>, Status> {
        let (call, claims, request) = petitioning(request)?;
        let data_key = Zeroizing::new(request.data_key);
        let names = names(&request.names)?;
        let lock = lock(request.lock).map_err(refuse)?;
        let config = Some(request.config).filter(|text| !text.is_empty());
        let target = match names.as_slice() {
            [] => Target::Everything,
            names => Target::Keys(names),
        };
        let (may, petition) = self.may_once(call, claims, target).await?;
        let made = self
            .gate
            .open(&may)
            .make_backup(&petition, &names, &data_key, (lock, request.recipients), config)
            .await
            .map_err(self.told(&petition))?;
        Ok(Response::new(MakeBackupResponse {
            bundle: made.bundle,
            bundle_id: made.id.0.to_vec(),
            sha256: made.sha256.to_vec(),
            left_out: made.left_out.iter().map(ToString::to_string).collect(),
        }))
    }

    async fn confirm(
        &self,
        request: Request<ConfirmBackupRequest>,
    ) -> Result<Response<ConfirmBackupResponse>, Status> {
        let (call, request) = admitted(request)?;
        let mut keys = request
            .public_keys
            .iter()
            .map(|text| public_key(text))
            .collect::<Result<Vec<_>, _>>()
            .map_err(refuse)?;
        // Whoever names a key twice says no more than who names it once.
        let mut named = HashSet::new();
        keys.retain(|key| named.insert(*key));
        let verified = VerifiedBackup {
            id: BundleId(sized("bundle_id", &request.bundle_id).map_err(refuse)?),
            sha256: sized("sha256", &request.sha256).map_err(refuse)?,
            made_at: UnixSeconds(request.made_at),
            keys,
        };
        // That it was read back is said of a backup that was made.
        let may = self.may_after(call, Target::PublicKeys(&verified.keys)).await?;
        let keys = self
            .gate
            .open(&may)
            .confirm_backup(may.who(), &verified)
            .await
            .map_err(status)?;
        Ok(Response::new(ConfirmBackupResponse {
            keys: keys.iter().map(to_wire).collect(),
        }))
    }

    async fn restore(
        &self,
        request: Request<RestoreKeysRequest>,
    ) -> Result<Response<RestoreKeysResponse>, Status> {
        let (call, request) = admitted(request)?;
        let data_key = Zeroizing::new(request.data_key);
        let names = names(&request.names)?;
        let mut heights = Heights {
            everywhere: request.above.map(Height::new).transpose().map_err(refuse)?,
            ..Heights::default()
        };
        for on in &request.above_on {
            let chain = ChainId::new(&on.chain_id).map_err(refuse)?;
            heights.on.insert(chain, Height::new(on.height).map_err(refuse)?);
        }
        let returning = returning(&request.bundle, &names);
        let may = self.may(call, Target::Restored(&returning)).await?;
        let keys = self
            .gate
            .open(&may)
            .restore_keys(may.who(), &request.bundle, &data_key, &names, &heights)
            .await
            .map_err(status)?;
        Ok(Response::new(RestoreKeysResponse {
            keys: keys.iter().map(to_wire).collect(),
        }))
    }
}

fn names(texts: &[String]) -> Result<Vec<KeyName>, Status> {
    texts
        .iter()
        .map(|text| KeyName::new(text))
        .collect::<Result<_, _>>()
        .map_err(refuse)
}

fn lock(asked: Option<make_backup_request::Lock>) -> Result<Lock, Refusal> {
    use make_backup_request::Lock as Asked;
    match asked {
        Some(Asked::Passphrase(lock)) => passphrase(&lock),
        Some(Asked::Age(wrapped)) => Ok(Lock::Age { wrapped }),
        None => Err(invalid("a backup is for a passphrase or for an age recipient")),
    }
}

fn passphrase(lock: &PassphraseLock) -> Result<Lock, Refusal> {
    let params = ArgonParams::new(lock.memory_kib, lock.passes, lock.lanes)
        .ok_or_else(|| invalid("Argon2id takes 8 MiB to 512 MiB, 1 to 16 passes, 1 to 16 lanes"))?;
    Ok(Lock::Argon2id {
        params,
        salt: sized("salt", &lock.salt)?,
    })
}

fn public_key(text: &str) -> Result<PublicKey, Refusal> {
    let bad = || invalid("a public key is its algorithm, a colon and hexadecimal");
    let (algorithm, raw) = text.split_once(':').ok_or_else(bad)?;
    PublicKey::new(
        Algorithm::parse(algorithm)?,
        &hex::decode(raw).map_err(|_| bad())?,
    )
}

fn sized<const N: usize>(what: &str, bytes: &[u8]) -> Result<[u8; N], Refusal> {
    bytes
        .try_into()
        .map_err(|_| invalid(&format!("{what} has {N} bytes, not {}", bytes.len())))
}

fn invalid(what: &str) -> Refusal {
    Refusal::new(RefusalCode::InvalidParameters, what)
}
