//! A door for clients on other machines as the daemon looks after it: its files are looked at all the time, readiness and metrics
//! tell of them, and what is bad in them changes nothing but that.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::clock::{Clock as _, SystemClock};
use crate::config::{DoorBounds, ListenConfig};
use crate::listener::grpc::Services;
use crate::listener::tls::{self, Gate};
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::{DoorMetrics, Metrics};
use crate::telemetry::readiness::{Check, Readiness, Weight};
use crate::tls::{Keeper, Looked, Material, ServerFiles, TlsError};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How long before their end certificates and CRLs are worth a word: a CRL of 30 days is made anew each month.
const SOON_DAYS: i64 = 7;
const DAY: i64 = 24 * 60 * 60;

/// Where a door is, and what it is called.
pub(super) struct Place {
    pub(super) address: SocketAddr,
    pub(super) files: ServerFiles,
    pub(super) bounds: DoorBounds,
    pub(super) names: Names,
}

/// What a door, and what is checked of it, are called.
#[derive(Clone, Copy)]
pub(super) struct Names {
    table: &'static str,
    clients: &'static str,
    files: &'static str,
    expiry: &'static str,
}

/// The door for clients with certificates.
const CERTIFICATES: Names = Names {
    table: "[listen]",
    clients: "clients with certificates",
    files: "tls",
    expiry: "tls expiry",
};
/// The door for clients with tokens.
pub(super) const TOKENS: Names = Names {
    table: "[listen.bearer]",
    clients: "clients with tokens",
    files: "bearer tls",
    expiry: "bearer tls expiry",
};

/// The door, as it is looked after.
pub(super) struct Door {
    address: SocketAddr,
    pub(super) bounds: DoorBounds,
    names: Names,
    keeper: Arc<Keeper>,
    metrics: DoorMetrics,
    /// Fails while the files are not what is in force, or what is in force has ended.
    files: Check,
    /// Fails while something ends soon.
    expiry: Check,
    /// What was said last of the files, so that an alarm is raised once.
    said: Mutex<Option<String>>,
}

/// Where the files of the configuration are.
fn files(listen: &ListenConfig) -> ServerFiles {
    ServerFiles {
        certificate: listen.certificate.clone(),
        private_key: listen.private_key.clone(),
        client_ca: Some(listen.client_ca.clone()),
        crl: listen.crl.clone(),
    }
}

/// Whether the files are such that `serve` would start with them.
pub fn check(listen: &ListenConfig) -> Result<(), TlsError> {
    Keeper::check(&files(listen)).map(drop)
}

impl Place {
    /// The door of `[listen]`.
    pub(super) fn of(listen: &ListenConfig, bounds: DoorBounds) -> Self {
        Self {
            address: listen.address,
            files: files(listen),
            bounds,
            names: CERTIFICATES,
        }
    }
}

impl Door {
    /// Reads the files; bad ones end the start.
    pub(super) fn open(
        place: Place,
        metrics: DoorMetrics,
        readiness: &Readiness,
    ) -> anyhow::Result<Arc<Self>> {
        let names = place.names;
        let keeper =
            Keeper::open(place.files).with_context(|| format!("cannot open the door of {}", names.table))?;
        let door = Self {
            address: place.address,
            bounds: place.bounds,
            names,
            metrics,
            files: readiness.check(
                names.files,
                Weight::Required,
                "put good files where the configuration names them: they are taken over within seconds. `sigward pki` makes them",
            ),
            expiry: readiness.check(
                names.expiry,
                Weight::Told,
                "make new ones before that: `sigward pki renew FILE.crt`, `sigward pki crl`",
            ),
            said: Mutex::default(),
            keeper: Arc::new(keeper),
        };
        door.good(&door.keeper.material());
        door.warn_of_missing_crls(&door.keeper.material());
        Ok(Arc::new(door))
    }

    /// Binds, and has clients served until the end, among strangers.
    pub(super) async fn serve(
        self: &Arc<Self>,
        gate: Gate,
        services: Services,
        known: (Arc<Metrics>, Readiness),
        shutdown: &Shutdown,
        (strangers, tasks): (&Handle, &mut JoinSet<()>),
    ) -> anyhow::Result<()> {
        let listener = tls::Listener::bind(self.address, self.bounds).await?;
        tracing::info!(address = %listener.address(), "{}", self.names.clients);
        let serving = tls::serve(listener, services, gate, known, shutdown.clone());
        tasks.spawn_on(serving, strangers);
        tasks.spawn(self.clone().watch(shutdown.clone()));
        Ok(())
    }

    /// What it proves, and demands.
    pub(super) fn keeper(&self) -> Arc<Keeper> {
        self.keeper.clone()
    }

    /// Looks at the files until the daemon ends.
    async fn watch(self: Arc<Self>, shutdown: Shutdown) {
        while !shutdown.has_begun() {
            tokio::select! {
                () = shutdown.begun() => {}
                () = tokio::time::sleep(LOOK) => drop(self.look(Asked::ByTheClock).await),
            }
        }
    }

    /// An operator asked for a reload; says what is wrong.
    pub(super) async fn reload(self: &Arc<Self>) -> Option<String> {
        self.look(Asked::ByAnOperator).await
    }

    async fn look(self: &Arc<Self>, asked: Asked) -> Option<String> {
        let door = self.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let looked = door.keeper.look();
            door.tell(looked, asked)
        });
        looking.await.unwrap_or_default()
    }

    fn tell(&self, looked: Looked, asked: Asked) -> Option<String> {
        match (looked, asked) {
            (Looked::Same, _) => {
                self.good(&self.keeper.material());
                None
            }
            (Looked::Taken(material), _) => {
                tracing::info!(edition = material.edition(), "certificates were taken over");
                self.warn_of_missing_crls(&material);
                self.good(&material);
                None
            }
            // Two files change one after the other: what does not fit now may in a moment.
            (Looked::Unsettled(_), Asked::ByTheClock) => None,
            (Looked::Unsettled(error) | Looked::Bad(error), _) => Some(self.bad(&error)),
        }
    }

    /// Nothing is wrong with the files, and still somebody will wonder.
    fn warn_of_missing_crls(&self, material: &Material) {
        for authority in material.without_crl() {
            tracing::warn!(
                authority,
                "certificates of {}: no CRL of this authority is in `crl`: none of its clients is let in",
                self.names.table
            );
        }
    }

    fn good(&self, material: &Material) {
        let now = SystemClock.unix_seconds().0;
        let (mut ended, mut soon) = (Vec::new(), Vec::new());
        for expiry in material.expiries() {
            self.metrics.expires(expiry.what, expiry.at);
            let left = expiry.at.saturating_sub(now);
            if left < 0 {
                ended.push(format!("{} has ended", expiry.what));
            } else if left < SOON_DAYS * DAY {
                soon.push(format!("{} ends in {} days", expiry.what, left / DAY));
            }
        }
        match soon.is_empty() {
            true => self.expiry.good(),
            false => self.expiry.fail(soon.join("; ")),
        }
        let ended = (!ended.is_empty()).then(|| ended.join("; "));
        self.metrics.files_good(ended.is_none());
        self.say(ended);
    }

    fn bad(&self, error: &TlsError) -> String {
        let told = format!("{error}\nwhat was in force before stays in force");
        self.metrics.files_good(false);
        self.say(Some(told.clone()));
        told
    }

    fn say(&self, trouble: Option<String>) {
        match &trouble {
            None => self.files.good(),
            Some(told) => self.files.fail(told.replace('\n', "; ")),
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if *said == trouble {
            return;
        }
        if let Some(told) = &trouble {
            tracing::error!(alarm = true, "certificates of {}: {told}", self.names.table);
        }
        *said = trouble;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    ByTheClock,
    ByAnOperator,
}
