//! `serve`: open, connect, answer, and stop cleanly.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sigward_hsm::identity::NodeIdentity;
use sigward_policies::authz::Policy;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use super::approvals;
use super::audit;
use super::bearer::{BearerDoor, began};
use super::door::{Door, Place};
use super::doors;
use super::holds::{Held, KillSwitch};
use super::notify;
use super::parts;
use super::seal::Late;
use super::space::SpaceCheck;
use super::supervisor::{Shared, Supervisor};
use super::tokens::{self, Tokens};
use super::traces::Traces;
use crate::admin::live::{Live, ReloadMode, Reloader};
use crate::audit::Denials;
use crate::authz::{Authorizer, Mode, Policies};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config, LogFormat, PolicyConfig};
use crate::listener::grpc::{Services, serve_unix};
use crate::listener::http;
use crate::listener::tls::Gate;
use crate::shutdown::{Cut, GRACE, Shutdown};
use crate::store::Store as _;
use crate::telemetry::log::{self, Levels, Style};
use crate::telemetry::metrics::{Build, Metrics, Proto};
use crate::telemetry::readiness::{Check, Readiness, Weight};

/// How often what was gathered is written down, and gauges are read.
const TICK: Duration = Duration::from_secs(1);

/// Runs the daemon of the folder `home` until SIGTERM; SIGHUP has it read its configuration again. `cut` ends the process when a
/// second signal or the deadline comes before the end.
pub fn serve(home: &Path, config: &Config, cut: impl FnOnce(Cut) + Send + 'static) -> anyhow::Result<()> {
    let style = match config.log.format {
        LogFormat::Text => Style::Text,
        LogFormat::Json => Style::Json,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Two at least: a lone vote is committed by the thread that asks, which then waits for the disk.
        .worker_threads(std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8)))
        .thread_name("sigward")
        .enable_all()
        .build()?;
    let kill_switch = {
        let _entered = runtime.enter();
        KillSwitch::new()?
    };
    let strangers = doors::runtime()?;
    let levels = log::begin(style, &config.log.level)?;
    let shutdown = Shutdown::new(GRACE);
    shutdown.on_signals(cut)?;
    let outcome = runtime.block_on(run(
        home,
        config,
        levels,
        (kill_switch, strangers.handle()),
        &shutdown,
    ));
    strangers.shutdown_timeout(Duration::from_secs(1));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn run(
    home: &Path,
    config: &Config,
    levels: Levels,
    (kill_switch, strangers): (KillSwitch, &Handle),
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    // Heard from here on: unheard, it would end the process.
    let hangups = signal(SignalKind::hangup())?;
    // Before anything is opened: who may what is known, or nothing begins.
    let policies = Arc::new(Policies::default());
    let policy = config::load_policy(&config.policy)?;
    let warnings = policy.iter().flat_map(Policy::warnings);
    warnings.for_each(|warning| tracing::warn!("policy: {warning}"));
    put_in_force(&policies, policy, &config.policy);
    let parts = parts::open(config)?;
    tokens::open(&parts.admin).await?;
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
        commit: parts::COMMIT,
    };
    let metrics = Metrics::new(build, &SystemClock);
    metrics.watch_state(parts::state_files(config));
    metrics.set_keys(parts.store.keys()?.iter().map(|key| key.version.state));
    parts.store.observe(metrics.store());
    let readiness = Readiness::default();
    metrics.watch_readiness(&readiness);
    let ledger = Ledger {
        store: parts.store.clone(),
        denials: Arc::new(Denials::default()),
        metrics: metrics.clone(),
        check: readiness.check(
            "store",
            Weight::Required,
            "see the log; restart once its cause is mended",
        ),
        space: SpaceCheck::new(&readiness, &config.store),
    };
    config
        .warnings()
        .iter()
        .for_each(|warning| tracing::warn!("{warning}"));
    let config_check = readiness.check(
        "config",
        Weight::Required,
        "sigward.toml is not what runs: correct it and `sigward reload`, or restart",
    );
    let late = Late::new(&parts, config, &readiness);
    let tokens = Tokens::new(&parts, &metrics, &readiness);
    let traces = Traces::begin(config, parts.store.id(), (&metrics, &readiness), strangers)?;
    let mut tasks = JoinSet::new();
    audit::keep(&parts, config, &metrics.audit(), &readiness, shutdown, &mut tasks);
    let held = Held::new(&parts, &metrics, &readiness);
    tasks.spawn(held.clone().watch(shutdown.clone()));
    let door = config
        .listen
        .as_ref()
        .map(|listen| Place::of(listen, config.bounds));
    let door = door
        .map(|place| Door::open(place, metrics.door(), &readiness))
        .transpose()?;
    let bearer = config.bearer.as_ref();
    let bearer = bearer
        .map(|bearer| {
            let began = began(parts.store.as_ref(), &SystemClock)?;
            let known = (began, parts.admin.api_keys.clone());
            BearerDoor::open((bearer, config.bounds), &metrics, &readiness, known)
        })
        .transpose()?;
    let shared = Shared {
        door,
        bearer,
        denials: ledger.denials.clone(),
        sign_metrics: Arc::new(metrics.sign(Proto::Privval)),
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        identity: Arc::new(identity),
        authorizer: Arc::new(Authorizer::new([])),
        policies,
        shutdown: shutdown.clone(),
        runtime: Handle::current(),
        levels,
        spans: traces.spans(),
        home: home.to_owned(),
        held,
        parts,
    };
    let admin = shared.parts.admin.clone();
    // As late as can be. A freeze that fails here ends the start: serving would be what somebody asked us not to do.
    kill_switch.act_on_the_past(&admin).await?;
    tasks.spawn(kill_switch.watch(admin, shutdown.clone()));
    let supervisor = Supervisor::start(shared, config, config_check).await;

    let known = (&metrics, &readiness, &traces);
    listen(config, &supervisor, known, strangers, shutdown, &mut tasks).await?;
    if let Some(late) = late {
        tasks.spawn(late.watch(supervisor.clone(), shutdown.clone()));
    }
    tasks.spawn(hear(hangups, supervisor.clone(), shutdown.clone()));
    tasks.spawn(tokens::follow(supervisor.clone(), shutdown.clone()));
    tasks.spawn(approvals::watch(
        supervisor.parts().admin.clone(),
        shutdown.clone(),
    ));
    ledger.tick();
    tokens.tick();
    let (chains, links) = (config.chains.len(), supervisor.links().await);
    tracing::info!(store = %ledger.store.id(), chains, links, "serving");
    notify::ready();

    while !shutdown.has_begun() {
        tokio::select! {
            () = shutdown.begun() => {}
            () = tokio::time::sleep(TICK) => {
                ledger.tick();
                tokens.tick();
            }
        }
    }
    notify::stopping();
    supervisor.end().await;
    while tasks.join_next().await.is_some() {}
    ledger.tick();
    ledger.denials.flush_all(ledger.store.as_ref());
    ledger.store.close();
    traces.end().await;
    tracing::info!("stopped");
    Ok(())
}

/// The document of `config`, if it names one, decides from now on.
pub(super) fn put_in_force(policies: &Policies, policy: Option<Policy>, config: &PolicyConfig) {
    if let Some(policy) = &policy {
        let rules = policy.rules().len();
        tracing::info!(policy = %policy.version(), rules, dry_run = config.dry_run, "policy");
    }
    let mode = if config.dry_run {
        Mode::DryRun
    } else {
        Mode::Enforced
    };
    policies.replace(policy, mode);
}

/// Reloads at each SIGHUP. Signals that come during a reload are one: the next reload reads what they were sent for.
async fn hear(mut hangups: Signal, supervisor: Arc<Supervisor>, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.begun() => return,
            heard = hangups.recv() => if heard.is_none() { return },
        }
        // What came of it is in the log, in `/readyz` and in the metrics.
        let _told = supervisor
            .clone()
            .reload(Reloader::signal(), ReloadMode::Apply)
            .await;
    }
}

/// The admin socket, health and metrics, and the doors for clients on other machines.
async fn listen(
    config: &Config,
    supervisor: &Arc<Supervisor>,
    (metrics, readiness, traces): (&Arc<Metrics>, &Readiness, &Traces),
    strangers: &Handle,
    shutdown: &Shutdown,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let seen = parts::watched(config, Some((metrics.clone(), readiness.clone())));
    let services = Services::new(supervisor.parts().admin.clone())
        .with_live(supervisor.clone())
        .noting(supervisor.denials())
        .under(supervisor.policies())
        .telling(traces.spans())
        .watching(seen);
    let known = || (metrics.clone(), readiness.clone());
    if let Some(door) = supervisor.door() {
        let gate = Gate::of_certificates(door.keeper());
        let place = (strangers, &mut *tasks);
        door.serve(gate, services.clone(), known(), shutdown, place)
            .await?;
    }
    if let Some(door) = supervisor.bearer() {
        let place = (strangers, &mut *tasks);
        door.serve(config.plain, services.clone(), known(), shutdown, place)
            .await?;
    }
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
            metrics.clone(),
            readiness.clone(),
            shutdown.clone(),
        ));
    }
    Ok(())
}

/// The store as the daemon looks after it.
struct Ledger {
    store: Arc<crate::store::SqliteStore>,
    denials: Arc<Denials>,
    metrics: Arc<Metrics>,
    check: Check,
    space: SpaceCheck,
}

impl Ledger {
    /// Writes down gathered denials and reads the gauges.
    fn tick(&self) {
        self.space.tick();
        let health = self.store.health();
        let metrics = self.metrics.store();
        metrics.at(health.commit, health.audit_records);
        match &health.failed {
            Some(reason) => {
                metrics.failed();
                self.check.fail(reason.clone());
            }
            None => {
                metrics.healthy();
                self.check.good();
                self.denials.flush(self.store.as_ref(), SystemClock.unix_micros());
            }
        }
    }
}
