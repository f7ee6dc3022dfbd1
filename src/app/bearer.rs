//! The door for clients that show tokens, as the daemon looks after it: whose tokens count changes with every reload.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use sigward_policies::decision::{Refusal, Refused};
use sigward_policies::model::id::UnixSeconds;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::door::{Door, Place, TOKENS};
use crate::authn::api_key::ApiKeys;
use crate::authn::bearer::{Bearer, Began, Issuers};
use crate::clock::Clock;
use crate::config::{BearerConfig, Config, DoorBounds};
use crate::listener::grpc::Services;
use crate::listener::tls::{self, Gate};
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::Readiness;
use crate::tls::{Keeper, ServerFiles};

/// The door, and what is demanded there.
pub(super) struct BearerDoor {
    door: Arc<Door>,
    bearer: Arc<Bearer>,
}

fn files(config: &BearerConfig) -> ServerFiles {
    ServerFiles {
        certificate: config.certificate.clone(),
        private_key: config.private_key.clone(),
        client_ca: None,
        crl: None,
    }
}

/// When this process began, by all that is known of it: the clock may be behind, and then the end of the audit chain knows better.
pub(super) fn began(store: &dyn Store, clock: &dyn Clock) -> Result<Began, Refused> {
    let (now, last) = (clock.unix_seconds(), store.health().audit_records);
    let record = store.audit(last, 1)?.into_iter().next();
    let known = record.map(|record| UnixSeconds(record.entry.time_micros.div_euclid(1_000_000)));
    if let Some(known) = known.filter(|known| *known > now) {
        let seconds = known.0.saturating_sub(now.0);
        tracing::warn!(
            seconds,
            "the clock is behind the last record of the audit chain: tokens are refused until it is past that"
        );
    }
    Ok(Began::now(now, known))
}

/// Whether certificates and keys are such that `serve` would start with them.
pub fn check(config: &BearerConfig) -> anyhow::Result<()> {
    Keeper::check(&files(config))?;
    Issuers::read(&config.issuers)?;
    Ok(())
}

/// The issuers of `config`; none where it has no such door.
pub(super) fn issuers(config: &Config) -> Result<Issuers, Refusal> {
    Issuers::read(config.bearer.as_ref().map_or(&[], |bearer| &bearer.issuers))
}

impl BearerDoor {
    /// Reads the files; bad ones end the start. No token of before `began` is ever good.
    pub(super) fn open(
        (config, bounds): (&BearerConfig, DoorBounds),
        metrics: &Metrics,
        readiness: &Readiness,
        (began, api_keys): (Began, Arc<ApiKeys>),
    ) -> anyhow::Result<Arc<Self>> {
        let issuers = Issuers::read(&config.issuers).context("cannot open the door of [listen.bearer]")?;
        let place = Place {
            address: config.address,
            files: files(config),
            bounds,
            names: TOKENS,
        };
        Ok(Arc::new(Self {
            door: Door::open(place, metrics.bearer_door(), readiness)?,
            bearer: Arc::new(Bearer::new(&*config.audience, issuers, began).with_api_keys(api_keys)),
        }))
    }

    /// Binds, and has clients served until the end; at `plain` too, if that is somewhere.
    pub(super) async fn serve(
        &self,
        plain: Option<SocketAddr>,
        services: Services,
        known: (Arc<Metrics>, Readiness),
        shutdown: &Shutdown,
        place: (&Handle, &mut JoinSet<()>),
    ) -> anyhow::Result<()> {
        let gate = Gate::of_tokens(self.door.keeper(), self.bearer.clone());
        let (strangers, tasks) = place;
        if let Some(address) = plain {
            let listener = tls::Listener::bind_here(address, self.door.bounds).await?;
            tracing::info!(address = %listener.address(), "clients with tokens, on this machine");
            let (services, gate) = (services.clone(), gate.in_the_clear());
            let serving = tls::serve(listener, services, gate, known.clone(), shutdown.clone());
            tasks.spawn_on(serving, strangers);
        }
        self.door
            .serve(gate, services, known, shutdown, (strangers, tasks))
            .await
    }

    /// Whose tokens count.
    pub(super) fn bearer(&self) -> &Bearer {
        &self.bearer
    }

    /// An operator asked for a reload; says what is wrong with the certificates.
    pub(super) async fn reload(&self) -> Option<String> {
        self.door.reload().await
    }
}
