//! `serve`: open, connect, answer, and stop cleanly.

use std::sync::Arc;
use std::time::Duration;

use sigward_hsm::identity::NodeIdentity;
use sigward_hsm::secret::harden_process;
use sigward_policies::authz::NodeGrant;
use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::observers::{LinkMetrics, SignMetrics};
use super::parts::{self, Parts};
use crate::audit::Denials;
use crate::authn;
use crate::authz::Authorizer;
use crate::clock::{Clock, SystemClock};
use crate::config::{ChainConfig, Config};
use crate::keyring::ConsensusKey;
use crate::listener::grpc::{Services, serve_unix};
use crate::listener::http;
use crate::listener::privval::Link;
use crate::shutdown;
use crate::sign::ChainSigner;
use crate::store::Store as _;
use crate::telemetry::{self, Metrics, Readiness};

/// How long requests under way may take after SIGTERM.
const DRAIN: Duration = Duration::from_secs(5);
/// How often what was gathered is written down, and gauges are read.
const TICK: Duration = Duration::from_secs(1);

/// Runs the daemon until SIGTERM.
pub fn serve(config: Config) -> anyhow::Result<()> {
    telemetry::init_logging(&config.log)?;
    harden_process()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |cores| cores.get().min(8)))
        .thread_name("sigward")
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(run(config));
    runtime.shutdown_timeout(DRAIN);
    outcome
}

async fn run(config: Config) -> anyhow::Result<()> {
    let stop = shutdown::on_signals()?;
    let parts = parts::open(&config)?;
    parts.admin.open_keys().await?;
    let identity = Arc::new(NodeIdentity::load(&parts.arena, &config.identity).map_err(|error| {
        let remedy = error.remedy().map(|remedy| format!("\n{remedy}")).unwrap_or_default();
        anyhow::anyhow!("{}: {error}{remedy}", error.code())
    })?);
    let daemon = Daemon {
        denials: Arc::new(Denials::default()),
        metrics: Arc::new(Metrics::new()),
        readiness: Arc::new(Readiness::default()),
        identity,
        parts,
        stop: stop.clone(),
    };

    let mut tasks = JoinSet::new();
    let links = daemon.links(&config.chains).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), store = %daemon.parts.store.id(), chains = config.chains.len(), links = links.len(),
        "serving"
    );
    for link in links {
        tasks.spawn(link.run(stop.clone()));
    }
    let services = Services::new(daemon.parts.admin.clone());
    let socket = config.admin_socket.clone();
    let admin_stop = stop.clone();
    tasks.spawn(async move {
        if let Err(error) = serve_unix(services, &socket, admin_stop.clone()).await {
            tracing::error!(alarm = true, "the admin socket {} failed: {error}", socket.display());
            admin_stop.cancel();
        }
    });
    if let Some(listen) = config.http {
        let listener = http::bind(listen).await?;
        let (metrics, readiness, stop) = (daemon.metrics.clone(), daemon.readiness.clone(), stop.clone());
        tasks.spawn(async move { http::serve(listener, metrics, readiness, stop).await });
    }

    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(TICK) => daemon.tick(),
        }
    }
    tracing::info!("stopping");
    let _late = tokio::time::timeout(DRAIN, async { while tasks.join_next().await.is_some() {} }).await;
    daemon.tick();
    daemon.parts.store.close();
    tracing::info!("stopped");
    Ok(())
}

struct Daemon {
    parts: Parts,
    denials: Arc<Denials>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    identity: Arc<NodeIdentity>,
    stop: CancellationToken,
}

impl Daemon {
    /// A link for every node of every chain that can be served. A chain that cannot is an alarm, and costs the others nothing.
    async fn links(&self, chains: &[ChainConfig]) -> anyhow::Result<Vec<Link>> {
        let mut ready = Vec::new();
        for chain in chains {
            match self.key_of(chain).await {
                Ok(key) => ready.push((chain, key)),
                Err(refused) => {
                    tracing::error!(alarm = true, chain = %chain.id, code = refused.code(), "a chain is not served: {refused}");
                    self.readiness.fail(&format!("chain/{}", chain.id), &refused.to_string());
                }
            }
        }
        let grants = ready.iter().flat_map(|(chain, key)| {
            chain.nodes.iter().map(|node| NodeGrant {
                chain: chain.id.clone(),
                node: node.name.clone(),
                key: key.key.version.public_key,
            })
        });
        let authorizer = Arc::new(Authorizer::new(grants));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut links = Vec::new();
        for (chain, key) in &ready {
            let slot = self.parts.guard.slot(&key.key.version.public_key, &chain.id).ok_or_else(|| {
                anyhow::anyhow!("no_sign_state: {} has no guard row after it was bound", chain.id)
            })?;
            for node in &chain.nodes {
                let metrics = self.metrics.node(&chain.id, &node.name);
                let signer = ChainSigner {
                    caller: authn::dialled_node(&chain.id, &node.name),
                    chain: chain.id.clone(),
                    key: key.clone(),
                    slot: slot.clone(),
                    limits: chain.limits,
                    authorizer: authorizer.clone(),
                    store: self.parts.store.clone(),
                    denials: self.denials.clone(),
                    clock: clock.clone(),
                    observer: Arc::new(SignMetrics::new(metrics.clone())),
                };
                let check = format!("node/{}/{}", chain.id, node.name);
                links.push(Link {
                    node: node.name.clone(),
                    address: node.address.clone(),
                    signer,
                    identity: self.identity.clone(),
                    observer: Arc::new(LinkMetrics::new(metrics, self.readiness.clone(), check)),
                });
            }
        }
        Ok(links)
    }

    async fn key_of(&self, chain: &ChainConfig) -> Result<ConsensusKey, Refused> {
        self.parts.admin.bind(&parts::configured(chain)).await?;
        let key = self.parts.keyring.find(&chain.key)?;
        match self.parts.guard.slot(&key.key.version.public_key, &chain.id) {
            Some(_) => Ok(key),
            None => {
                let message = format!("{} has no guard row on {}", chain.key, chain.id);
                Err(Refusal::new(RefusalCode::NoSignState, message).into())
            }
        }
    }

    /// Writes down gathered denials and reads the gauges.
    fn tick(&self) {
        let health = self.parts.store.health();
        match &health.failed {
            Some(reason) => self.readiness.fail("store", reason),
            None => self.readiness.pass("store"),
        }
        self.metrics.store(health.failed.is_none(), health.commit, health.audit_records);
        if health.failed.is_none() {
            self.denials.flush(self.parts.store.as_ref(), SystemClock.unix_micros());
        }
        let _running = &self.stop;
    }
}
