//! `serve`: open, connect, answer, and stop cleanly.

use std::sync::Arc;
use std::time::Duration;

use sigward_hsm::identity::NodeIdentity;
use sigward_hsm::secret::harden_process;
use sigward_policies::authz::NodeGrant;
use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use tokio::task::JoinSet;

use super::notify;
use super::parts::{self, Parts};
use super::space::SpaceCheck;
use crate::audit::Denials;
use crate::authn;
use crate::authz::Authorizer;
use crate::clock::{Clock, SystemClock};
use crate::config::{ChainConfig, Config, LogFormat, NodeConfig};
use crate::keyring::ConsensusKey;
use crate::listener::grpc::{Services, serve_unix};
use crate::listener::http;
use crate::listener::privval::Link;
use crate::shutdown::{Cut, GRACE, Shutdown};
use crate::sign::ChainSigner;
use crate::store::Store as _;
use crate::telemetry::log::{self, Style};
use crate::telemetry::metrics::{Build, Metrics, Proto, SignMetrics};
use crate::telemetry::readiness::{Check, Readiness, Weight};

/// How often what was gathered is written down, and gauges are read.
const TICK: Duration = Duration::from_secs(1);

/// Runs the daemon until SIGTERM; `cut` ends the process when a second signal or the deadline comes before the end.
pub fn serve(config: &Config, cut: impl FnOnce(Cut) + Send + 'static) -> anyhow::Result<()> {
    let style = match config.log.format {
        LogFormat::Text => Style::Text,
        LogFormat::Json => Style::Json,
    };
    log::begin(style, &config.log.level)?;
    harden_process()?;
    let shutdown = Shutdown::new(GRACE);
    shutdown.on_signals(cut)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Two at least: a lone vote is committed by the thread that asks, which then waits for the disk.
        .worker_threads(std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8)))
        .thread_name("sigward")
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(run(config, &shutdown));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn run(config: &Config, shutdown: &Shutdown) -> anyhow::Result<()> {
    let parts = parts::open(config)?;
    parts.admin.open_keys().await?;
    let identity = NodeIdentity::load(&parts.arena, &config.identity).map_err(|error| {
        let remedy = error
            .remedy()
            .map(|remedy| format!("\n{remedy}"))
            .unwrap_or_default();
        anyhow::anyhow!("{}: {error}{remedy}", error.code())
    })?;
    let build = Build {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("SIGWARD_COMMIT").unwrap_or("unknown"),
    };
    let metrics = Metrics::new(build, &SystemClock);
    let readiness = Readiness::default();
    let daemon = Daemon {
        store_check: readiness.check(
            "store",
            Weight::Required,
            "see the log; restart once its cause is mended",
        ),
        space: SpaceCheck::new(&readiness, &config.store),
        denials: Arc::new(Denials::default()),
        identity: Arc::new(identity),
        metrics,
        readiness,
        parts,
    };
    config
        .warnings()
        .iter()
        .for_each(|warning| tracing::warn!("{warning}"));
    daemon
        .metrics
        .set_unauthenticated_links(config.unauthenticated_links());

    let mut tasks = JoinSet::new();
    // The checks speak for their chains for as long as they are held.
    let (links, _chain_checks) = daemon.links(&config.chains).await?;
    let (chains, count) = (config.chains.len(), links.len());
    for link in links {
        tasks.spawn(link.run(shutdown.child_token()));
    }
    daemon.listen(config, shutdown, &mut tasks).await?;
    daemon.tick();
    tracing::info!(store = %daemon.parts.store.id(), chains, links = count, "serving");
    notify::ready();

    while !shutdown.has_begun() {
        tokio::select! {
            () = shutdown.begun() => {}
            () = tokio::time::sleep(TICK) => daemon.tick(),
        }
    }
    notify::stopping();
    while tasks.join_next().await.is_some() {}
    daemon.tick();
    daemon.denials.flush_all(daemon.parts.store.as_ref());
    daemon.parts.store.close();
    tracing::info!("stopped");
    Ok(())
}

struct Daemon {
    parts: Parts,
    denials: Arc<Denials>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    store_check: Check,
    space: SpaceCheck,
    identity: Arc<NodeIdentity>,
}

/// A chain that can be served.
struct Served<'a> {
    chain: &'a ChainConfig,
    key: ConsensusKey,
}

impl Daemon {
    /// A link for every node of every chain that can be served. A chain that cannot is an alarm, and costs the others nothing.
    async fn links(&self, chains: &[ChainConfig]) -> anyhow::Result<(Vec<Link>, Vec<Check>)> {
        let (mut served, mut checks) = (Vec::new(), Vec::new());
        for chain in chains {
            let check = self.readiness.check(
                format!("chain/{}", chain.id),
                Weight::Told,
                "see the log; `sigward keys list` and `sigward state show` say what there is",
            );
            match self.key_of(chain).await {
                Ok(key) => {
                    check.good();
                    served.push(Served { chain, key });
                }
                Err(refused) => {
                    tracing::error!(
                        alarm = true, chain = %chain.id, code = refused.code(), "a chain is not served: {refused}"
                    );
                    check.fail(refused.to_string());
                }
            }
            checks.push(check);
        }
        let authorizer = Arc::new(Authorizer::new(served.iter().flat_map(grants)));
        let sign_metrics = Arc::new(self.metrics.sign(Proto::Privval));
        let mut links = Vec::new();
        for chain in &served {
            for node in &chain.chain.nodes {
                links.push(self.link(chain, node, &authorizer, &sign_metrics)?);
            }
        }
        Ok((links, checks))
    }

    fn link(
        &self,
        served: &Served<'_>,
        node: &NodeConfig,
        authorizer: &Arc<Authorizer>,
        metrics: &Arc<SignMetrics>,
    ) -> Result<Link, Refused> {
        let Served { chain, key } = served;
        let public_key = &key.key.version.public_key;
        let slot = self
            .parts
            .guard
            .slot(public_key, &chain.id)
            .ok_or_else(|| no_row(chain))?;
        let chain_metrics = self.metrics.chain(&chain.id);
        if let Ok(height) = sigward_policies::model::id::Height::new(slot.row().watermark.height()) {
            chain_metrics.begins_at(height);
        }
        let signer = ChainSigner {
            caller: authn::dialled_node(&chain.id, &node.name),
            chain: chain.id.clone(),
            key: key.clone(),
            slot,
            limits: chain.limits,
            authorizer: authorizer.clone(),
            store: self.parts.store.clone(),
            denials: self.denials.clone(),
            clock: Arc::new(SystemClock),
            metrics: metrics.clone(),
            chain_metrics: Arc::new(chain_metrics),
        };
        Ok(Link {
            node: node.name.clone(),
            address: node.address.clone(),
            signer,
            identity: self.identity.clone(),
            metrics: self.metrics.node(&chain.id, &node.name),
            check: self.readiness.check(
                format!("node/{}/{}", chain.id, node.name),
                Weight::Told,
                "see that the node runs and that its priv_validator_laddr is the address in the configuration",
            ),
        })
    }

    async fn key_of(&self, chain: &ChainConfig) -> Result<ConsensusKey, Refused> {
        self.parts.admin.bind(&parts::configured(chain)).await?;
        // The store knows it, or it could not have been bound: making it anew is no advice.
        let key = self.parts.keyring.find(&chain.key).map_err(|_| {
            let message = format!(
                "{} is known, but its sealed file does not open; the log says why",
                chain.key
            );
            Refusal::new(RefusalCode::KeyNotFound, message)
        })?;
        match self.parts.guard.slot(&key.key.version.public_key, &chain.id) {
            Some(_) => Ok(key),
            None => Err(no_row(chain)),
        }
    }

    /// The admin socket, and health and metrics.
    async fn listen(
        &self,
        config: &Config,
        shutdown: &Shutdown,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<()> {
        let services = Services::new(self.parts.admin.clone());
        let (socket, stop, whole) = (
            config.admin_socket.clone(),
            shutdown.child_token(),
            shutdown.clone(),
        );
        tasks.spawn(async move {
            if let Err(error) = serve_unix(services, &socket, stop).await {
                tracing::error!(
                    alarm = true,
                    "the admin socket {} failed: {error}",
                    socket.display()
                );
                whole.begin();
            }
        });
        if let Some(address) = config.http {
            let listener = http::Listener::bind(address).await?;
            tracing::info!(address = %listener.address(), "health and metrics");
            tasks.spawn(http::serve(
                listener,
                self.metrics.clone(),
                self.readiness.clone(),
                shutdown.clone(),
            ));
        }
        Ok(())
    }

    /// Writes down gathered denials and reads the gauges.
    fn tick(&self) {
        self.space.tick();
        let health = self.parts.store.health();
        let metrics = self.metrics.store();
        metrics.at(health.commit, health.audit_records);
        match &health.failed {
            Some(reason) => {
                metrics.failed();
                self.store_check.fail(reason.clone());
            }
            None => {
                metrics.healthy();
                self.store_check.good();
                self.denials
                    .flush(self.parts.store.as_ref(), SystemClock.unix_micros());
            }
        }
    }
}

fn grants<'a>(served: &'a Served<'_>) -> impl Iterator<Item = NodeGrant> + 'a {
    served.chain.nodes.iter().map(|node| NodeGrant {
        chain: served.chain.id.clone(),
        node: node.name.clone(),
        key: served.key.key.version.public_key,
    })
}

fn no_row(chain: &ChainConfig) -> Refused {
    let message = format!("{} has no guard row on {}", chain.key, chain.id);
    Refusal::new(RefusalCode::NoSignState, message).into()
}
