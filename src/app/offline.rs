//! Acts without a daemon: this process takes the state's lock and serves the admin services to itself.

use std::sync::Mutex;

use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint, Uri};

use super::parts::{self, Parts};
use crate::audit;
use crate::authn;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::listener::grpc::{Services, Watched, serve_stream};
use crate::store::Store as _;
use crate::store::sqlite::{Above, Adopted, SqliteStore};

/// Bytes in flight between client and services.
const PIPE: usize = 64 * 1024;

/// The admin services in this process.
pub struct Offline {
    parts: Parts,
    watched: Watched,
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
        Ok(Self {
            parts: parts::open(config)?,
            watched: parts::watched(config, None),
            stop: CancellationToken::new(),
            serving: Mutex::default(),
        })
    }

    /// A channel to the services.
    pub async fn channel(&self) -> anyhow::Result<Channel> {
        self.parts.admin.open_keys().await?;
        let (client, server) = tokio::io::duplex(PIPE);
        let services = Services::new(self.parts.admin.clone()).watching(self.watched.clone());
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

/// Opens a state folder whose store or witness was lost: closes every height up to `above`. No daemon can be running.
pub fn adopt_state(config: &Config, above: &Above) -> anyhow::Result<Adopted> {
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
