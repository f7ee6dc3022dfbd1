//! Tokens as the daemon looks after them: a thread each, a readiness check each, and chains that are served as soon as their token is
//! there.
//!
//! *Invariant:* the start waits for a token only so long, and nothing else ever waits for one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sigward_hsm::pkcs11::{PinSource, TokenConfig, TokenSelector};
use sigward_policies::model::id::KeyName;

use super::parts::Parts;
use super::supervisor::Supervisor;
use crate::admin::{Admin, Token, TokenTrouble, damaged};
use crate::config::{PinFrom, ProviderConfig, TokenName};
use crate::shutdown::Shutdown;
use crate::store::Store as _;
use crate::telemetry::metrics::{Metrics, ProviderMetrics};
use crate::telemetry::readiness::{Check, Readiness, Weight};

/// How long the start waits for all tokens together. One that takes longer comes later.
const START: Duration = Duration::from_secs(5);

/// How soon trouble is told again because it has other words.
const REWORDED: Duration = Duration::from_secs(60);

/// A token's settings, with its records in a folder of its own.
pub(super) fn token_config(keys: &Path, provider: &ProviderConfig) -> TokenConfig {
    let pkcs11 = &provider.pkcs11;
    TokenConfig {
        module: pkcs11.module.clone(),
        token: match &pkcs11.token {
            TokenName::Label(label) => TokenSelector::Label(label.clone()),
            TokenName::Serial(serial) => TokenSelector::Serial(serial.clone()),
            TokenName::Slot(slot) => TokenSelector::Slot(*slot),
        },
        pin: pin_source(&pkcs11.pin),
        sessions: pkcs11.sessions,
        deadline: pkcs11.deadline,
        folder: keys.join(provider.id.as_str()),
        refused_pins: refused_pins(keys),
    }
}

/// Where refused PINs of all tokens are remembered. No provider can have such an id.
pub(super) fn refused_pins(keys: &Path) -> std::path::PathBuf {
    keys.join(".refused-pins")
}

pub(super) fn pin_source(pin: &PinFrom) -> PinSource {
    match pin {
        PinFrom::File(path) => PinSource::File(path.clone()),
        PinFrom::Descriptor(number) => PinSource::Descriptor(*number),
        PinFrom::Credential(name) => PinSource::Credential {
            name: name.clone(),
            directory: credentials(),
        },
    }
}

/// Where systemd puts credentials.
pub(super) fn credentials() -> Option<std::path::PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(Into::into)
}

/// Has every token opened by a thread of its own, and waits for them a little.
pub(super) async fn open(admin: &Arc<Admin>) -> std::io::Result<()> {
    for token in admin.providers.tokens() {
        token.keep()?;
    }
    let tokens: Vec<_> = admin.providers.tokens().cloned().collect();
    let waiting = tokio::task::spawn_blocking(move || {
        let deadline = std::time::Instant::now() + START;
        for token in tokens {
            token.wait_until_tried(deadline.saturating_duration_since(std::time::Instant::now()));
        }
    });
    let _tried_or_not = waiting.await;
    Ok(())
}

/// Tells of the tokens: in readiness, in metrics, in the log.
pub(super) struct Tokens {
    admin: Arc<Admin>,
    store: Arc<crate::store::SqliteStore>,
    readiness: Readiness,
    told: Mutex<BTreeMap<String, Told>>,
}

struct Told {
    check: Check,
    weight: Weight,
    advice: String,
    metrics: ProviderMetrics,
    said: Said,
}

/// What the log was told last of a token, and when.
#[derive(Default)]
struct Said {
    trouble: Option<TokenTrouble>,
    at: Option<Instant>,
}

impl Said {
    /// Whether the log is to hear of `trouble` now. Another code at once; the same trouble in other words (how many sessions hang, which
    /// tokens are there) a minute later at the earliest: an alarm each second is none.
    fn is_news(&mut self, trouble: Option<&TokenTrouble>, now: Instant) -> bool {
        if trouble == self.trouble.as_ref() {
            return false;
        }
        let code = |trouble: Option<&TokenTrouble>| trouble.map(|trouble| trouble.code);
        let lately = self
            .at
            .is_some_and(|at| now.saturating_duration_since(at) < REWORDED);
        if code(trouble) == code(self.trouble.as_ref()) && lately {
            return false;
        }
        self.trouble = trouble.cloned();
        self.at = Some(now);
        true
    }
}

impl Tokens {
    pub(super) fn new(parts: &Parts, metrics: &Metrics, readiness: &Readiness) -> Self {
        let tokens = Self {
            admin: parts.admin.clone(),
            store: parts.store.clone(),
            readiness: readiness.clone(),
            told: Mutex::default(),
        };
        for token in tokens.admin.providers.tokens() {
            let metrics = metrics.provider(token.id().as_str());
            let advice = advice(token, None);
            let told = Told {
                check: tokens.check(token, Weight::Told, &advice),
                weight: Weight::Told,
                advice,
                metrics,
                said: Said::default(),
            };
            tokens.lock().insert(token.id().to_string(), told);
        }
        tokens.tick();
        tokens
    }

    /// Once a second: what is known of each token now.
    pub(super) fn tick(&self) {
        let needed = self.needed();
        let mut all = self.lock();
        for token in self.admin.providers.tokens() {
            let Some(told) = all.get_mut(token.id().as_str()) else {
                continue;
            };
            told.metrics
                .set(token.is_up(), token.load(), token.missing().len());
            let trouble = token.trouble().or_else(|| damaged(token));
            // What will be trouble one day is told: it signs as yet.
            let only_a_warning = trouble.is_none();
            let trouble = trouble.or_else(|| token.warning());
            let weight = if needed.contains(token.id().as_str()) && !(only_a_warning && trouble.is_some()) {
                Weight::Required
            } else {
                Weight::Told
            };
            let advice = advice(token, trouble.as_ref());
            if weight != told.weight || advice != told.advice {
                // What to do differs by what happened, and whether it counts by the chains in force.
                told.check = self.check(token, weight, &advice);
                (told.weight, told.advice) = (weight, advice);
            }
            match &trouble {
                None => told.check.good(),
                Some(trouble) => told.check.fail(format!("{}: {}", trouble.code, trouble.what)),
            }
            if told.said.is_news(trouble.as_ref(), Instant::now()) {
                say(token, trouble.as_ref());
            }
        }
    }

    /// Providers whose keys sign for a chain of the configuration in force.
    fn needed(&self) -> BTreeSet<String> {
        let chains = self.admin.chains.now();
        let named: BTreeSet<&KeyName> = chains.iter().map(|chain| &chain.key).collect();
        let keys = self.store.keys().unwrap_or_default();
        keys.into_iter()
            .filter(|key| named.contains(&key.name))
            .map(|key| key.version.provider)
            .collect()
    }

    fn check(&self, token: &Token, weight: Weight, advice: &str) -> Check {
        self.readiness
            .check(format!("provider/{}", token.id()), weight, advice)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn advice(token: &Token, trouble: Option<&TokenTrouble>) -> String {
    trouble.map_or_else(
        || {
            format!(
                "`sigward hsm list` and `sigward hsm probe --provider {}` say more",
                token.id()
            )
        },
        |trouble| trouble.advice.clone(),
    )
}

fn say(token: &Token, trouble: Option<&TokenTrouble>) {
    match trouble {
        None => tracing::info!(provider = %token.id(), "the token is there and shows all its keys"),
        Some(trouble) => tracing::error!(
            alarm = true, provider = %token.id(), code = trouble.code,
            "a token is not as it should be: {}; {}", trouble.what, trouble.advice
        ),
    }
}

/// Serves chains whose token has come, until the daemon ends.
pub(super) async fn follow(supervisor: Arc<Supervisor>, shutdown: Shutdown) {
    let changed = supervisor.parts().tokens_changed.clone();
    while !shutdown.has_begun() {
        tokio::select! {
            () = shutdown.begun() => {}
            () = changed.notified() => supervisor.clone().serve_more().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(code: &'static str, what: &str) -> TokenTrouble {
        TokenTrouble {
            code,
            what: what.to_owned(),
            advice: String::new(),
        }
    }

    #[test]
    fn trouble_that_only_changes_its_words_is_told_once_a_minute() {
        let (mut said, begin) = (Said::default(), Instant::now());
        let told = (0..600).filter(|second| {
            let hangs = trouble("provider_unavailable", &format!("hangs for {second} s"));
            said.is_news(Some(&hangs), begin + Duration::from_secs(*second))
        });
        assert_eq!(told.count(), 10);
    }

    #[test]
    fn another_code_and_the_end_of_trouble_are_told_at_once() {
        let (mut said, now) = (Said::default(), Instant::now());
        let away = trouble("provider_unavailable", "away");
        assert!(!said.is_news(None, now), "nothing is wrong, and nothing was");
        assert!(said.is_news(Some(&away), now));
        assert!(!said.is_news(Some(&away), now + Duration::from_secs(3600)));
        assert!(said.is_news(Some(&trouble("wrong_pin", "wrong")), now));
        assert!(said.is_news(None, now));
        assert!(said.is_news(Some(&away), now));
    }
}
