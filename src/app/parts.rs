//! What a daemon and the command line without one have in common: store, provider, keyring, guard and acts, opened in the one
//! order that is safe. The state's lock comes first and is held for life.

use std::sync::Arc;

use anyhow::Context as _;
use sigward_hsm::envelope::LateKek;
use sigward_hsm::secret::{Arena, ArenaSize, Unlocked};
use sigward_hsm::software::SoftwareProvider;
use tokio::sync::Notify;

use super::{audit, holder, seal, tokens};
use crate::admin::{Admin, Chains, ConfiguredChain, HandedOut, LastRegister, Providers, Token};
use crate::authn::api_key::ApiKeys;
use crate::clock::SystemClock;
use crate::config::{ChainConfig, Config, StoreConfig};
use crate::guard::Guard;
use crate::keyring::Keyring;
use crate::listener::grpc::Watched;
use crate::store::Store;
use crate::store::space::{MIB, SpaceLimits};
use crate::store::sqlite::{Options, SqliteStore, WITNESS_SEGMENT};
use crate::telemetry::metrics::StateFiles;
use crate::telemetry::{Metrics, Readiness};

/// How many keys the locked arena has room for: 4096 take little more than 1 MiB.
pub(super) const MAX_KEYS: u32 = 4096;

/// The commit that this program was built from (`build.rs`).
pub(super) const COMMIT: &str = env!("SIGWARD_COMMIT");

/// The opened parts.
pub(super) struct Parts {
    pub(super) store: Arc<SqliteStore>,
    pub(super) guard: Arc<Guard>,
    pub(super) keyring: Arc<Keyring>,
    pub(super) admin: Arc<Admin>,
    pub(super) arena: Arena,
    /// What the sealed keys open with; away while its token is.
    pub(super) kek: Arc<LateKek>,
    /// Told when a token opens or is found otherwise than before.
    pub(super) tokens_changed: Arc<Notify>,
}

/// The arena for secrets, locked unless the configuration allows otherwise.
pub(super) fn arena(config: &Config) -> anyhow::Result<Arena> {
    let unlocked = if config.keys.allow_unlocked_memory {
        Unlocked::Allow
    } else {
        Unlocked::Refuse
    };
    Arena::new(ArenaSize::for_keys(MAX_KEYS), unlocked).map_err(|error| {
        let remedy = error
            .remedy()
            .map(|remedy| format!("\n{remedy}"))
            .unwrap_or_default();
        anyhow::anyhow!("{}: {error}{remedy}", error.code())
    })
}

/// Where and how the store is kept.
pub(super) fn store_options(config: &Config) -> Options {
    Options {
        dir: config.store.dir.clone(),
        witness: config.store.witness.clone(),
        allow_volatile: config.store.allow_volatile,
        witness_segment: WITNESS_SEGMENT,
        space: space_limits(&config.store),
        clock: Arc::new(SystemClock),
    }
}

/// What `sigward status` looks at besides the store: its files and, in a daemon, metrics and readiness.
pub(super) fn watched(config: &Config, daemon: Option<(Arc<Metrics>, Readiness)>) -> Watched {
    let files = state_files(config);
    Watched {
        daemon,
        database: files.database,
        witness: files.witness,
        commit: COMMIT,
    }
}

/// The files whose sizes are told.
pub(super) fn state_files(config: &Config) -> StateFiles {
    StateFiles {
        database: store_options(config).database(),
        witness: config.store.witness.clone(),
    }
}

/// The settings about free space, in bytes.
pub(super) const fn space_limits(config: &StoreConfig) -> SpaceLimits {
    SpaceLimits {
        low: config.low_space_mib.saturating_mul(MIB),
        reserve: config.reserve_mib.saturating_mul(MIB),
    }
}

/// Opens everything that an act needs.
pub(super) fn open(config: &Config) -> anyhow::Result<Parts> {
    let store =
        SqliteStore::open(&store_options(config)).map_err(|error| holder::named(error, &config.store.dir))?;
    // Whoever had the lock before may have moved the seal and died: by the former text, its keys would be thrown away.
    if let Err(changed) = config.still_as_read() {
        store.close();
        return Err(changed.into());
    }
    let arena = arena(config)?;
    let kek = Arc::new(seal::read_or_wait(config, &arena)?);
    if kek.why_away().is_none() {
        seal::settle(&config.keys.dir, kek.as_ref())?;
    }
    let provider = SoftwareProvider::open(&config.keys.dir, store.id(), &arena, kek.clone())
        .map_err(|error| {
            anyhow::anyhow!(
                "{}: {error}\n{}",
                error.code(),
                error.remedy().unwrap_or_default()
            )
        })
        .context("cannot open the key folder")?;
    let api_keys = Arc::new(ApiKeys::default());
    api_keys.refresh(store.as_ref())?;
    let archive = Arc::new(audit::open(config, &store, &arena, &kek)?);
    let guard = Arc::new(Guard::load(store.rows()?, store.holds()?));
    let keyring = Arc::new(Keyring::default());
    let tokens_changed = Arc::new(Notify::new());
    let tokens = config.providers.iter().map(|provider| {
        let settings = tokens::token_config(&config.keys.dir, provider);
        Token::new(
            provider.id.clone(),
            settings,
            arena.clone(),
            tokens_changed.clone(),
        )
    });
    let admin = Arc::new(Admin {
        store: store.clone(),
        guard: guard.clone(),
        keyring: keyring.clone(),
        providers: Providers::new(Arc::new(provider), tokens),
        arena: arena.clone(),
        archive,
        chains: Chains::new(config.chains.iter().map(configured)),
        last_register: LastRegister::default(),
        handed_out: HandedOut::default(),
        api_keys,
        clock: Arc::new(SystemClock),
    });
    Ok(Parts {
        store,
        guard,
        keyring,
        admin,
        arena,
        kek,
        tokens_changed,
    })
}

pub(super) fn configured(chain: &ChainConfig) -> ConfiguredChain {
    ConfiguredChain {
        id: chain.id.clone(),
        key: chain.key.clone(),
        sharing: if chain.shared {
            crate::store::Sharing::Shared
        } else {
            crate::store::Sharing::OneChain
        },
        nodes: chain.nodes.clone(),
    }
}
