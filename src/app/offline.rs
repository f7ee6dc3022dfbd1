//! Acts without a daemon: this process takes the state's lock and serves the admin services to itself.

use std::sync::{Arc, Mutex};

use hyper_util::rt::TokioIo;
use sigward_policies::authz::Tick;
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::operation::Operation;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint, Uri};

use super::parts::{self, Parts};
use super::serve::put_in_force;
use crate::audit;
use crate::authn;
use crate::authz::{Call, Policies};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, Config};
use crate::listener::grpc::{Services, Watched, serve_stream};
use crate::store::sqlite::{Above, Adopted, SqliteStore};
use crate::store::{Context, Store as _};

/// Bytes in flight between client and services.
const PIPE: usize = 64 * 1024;

/// The admin services in this process.
pub struct Offline {
    parts: Parts,
    watched: Watched,
    policies: Arc<Policies>,
    stop: CancellationToken,
    serving: Mutex<Option<JoinHandle<std::io::Result<()>>>>,
}

impl std::fmt::Debug for Offline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offline").finish_non_exhaustive()
    }
}

impl Offline {
    /// Takes the lock and opens everything. Fails with `store_locked` while a daemon runs.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        // Before anything is opened, as in a daemon: who may what does not depend on whether one runs.
        let policies = policies(config)?;
        Ok(Self {
            parts: parts::open(config)?,
            policies,
            watched: parts::watched(config, None),
            stop: CancellationToken::new(),
            serving: Mutex::default(),
        })
    }

    /// A channel to the services.
    pub async fn channel(&self) -> anyhow::Result<Channel> {
        self.parts.admin.open_keys().await?;
        let (client, server) = tokio::io::duplex(PIPE);
        let services = Services::new(self.parts.admin.clone())
            .under(self.policies.clone())
            .watching(self.watched.clone());
        let serving = tokio::spawn(serve_stream(services, server, self.stop.clone()));
        *self
            .serving
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(serving);
        let mut client = Some(TokioIo::new(client));
        let connector = tower::service_fn(move |_: Uri| {
            let client = client.take();
            async move { client.ok_or_else(|| std::io::Error::other("the services in this process have ended")) }
        });
        Ok(Endpoint::from_static("http://admin.sigward")
            .connect_with_connector(connector)
            .await?)
    }

    /// Closes the services and the store.
    pub async fn close(self) {
        self.stop.cancel();
        let serving = self
            .serving
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some(serving) = serving {
            let _ended = tokio::time::timeout(std::time::Duration::from_secs(2), serving).await;
        }
        self.parts.store.close();
    }
}

/// The rules of `config`.
fn policies(config: &Config) -> anyhow::Result<Arc<Policies>> {
    let policies = Arc::new(Policies::default());
    put_in_force(&policies, config::load_policy(&config.policy)?, &config.policy);
    Ok(policies)
}

/// Whether this user may override the guard alone: others have no way to approve what is done to a store that does not open.
fn may_override(config: &Config) -> anyhow::Result<()> {
    let call = Call {
        caller: &authn::this_process(),
        context: &Context::default(),
        path: "",
        operation: Some(Operation::StateAllow),
        from: None,
        now: SystemClock.unix_seconds(),
        tick: Tick(0),
    };
    let admitted = policies(config)?.admit(call).map_err(|denial| denial.refusal)?;
    // A store that does not open names no keys: it may be about any.
    let may = admitted.may_whatever().map_err(|denial| denial.refusal)?;
    match may.into_parts().1 {
        None => Ok(()),
        Some(needed) => Err(Refusal::new(
            RefusalCode::ApprovalRequired,
            format!(
                "{} for state.allow, and `state adopt` is more than that; nobody can give them while the store does not open
agree on it with the others, take `file` out of [policy] for this one command, and put it back before the start",
                needed.asks()
            ),
        )
        .into()),
    }
}

/// Opens a state folder whose store or witness was lost: closes every height up to `above`. No daemon can be running.
pub fn adopt_state(config: &Config, above: &Above) -> anyhow::Result<Adopted> {
    may_override(config)?;
    let options = parts::store_options(config);
    let adopted = SqliteStore::adopt(&options, above, &authn::this_process().to_string())?;
    if let Adopted::Closed { store, .. } = &adopted {
        // What is older now than its checkpoints and segments was just accepted as such, by somebody who said so.
        let open = SqliteStore::open(&options)?;
        let records = open.health().audit_records;
        open.close();
        audit::set_aside(&config.audit.folder, store, records, SystemClock.unix_micros())?;
    }
    Ok(adopted)
}
