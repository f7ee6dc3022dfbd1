//! Trying out a token, with or without a configuration. Takes no lock and opens no store, so it may run beside a daemon: a token
//! takes several logins of several processes.

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use sigward_hsm::error::ProviderError;
pub use sigward_hsm::pkcs11::{Finding, Probe, Verdict};
use sigward_hsm::pkcs11::{Purpose, TokenConfig};
use sigward_hsm::secret::{Arena, ArenaSize, Unlocked};

use super::Trouble;
use super::inspect::trouble;
use super::tokens::{pin_source, refused_pins, token_config};
use crate::config::{Config, Pkcs11Config, ProviderConfig, ProviderId};

/// How many purposes are tried.
pub const TOPICS: u64 = Purpose::ALL.len() as u64;

/// Which token.
#[derive(Clone, Debug)]
pub enum Asked {
    /// One of a configuration.
    Configured {
        /// It.
        provider: ProviderConfig,
        /// The folder of keys, in which its records are.
        keys: PathBuf,
    },
    /// One that is in none.
    Given {
        /// It.
        pkcs11: Pkcs11Config,
        /// Where it is remembered that a PIN was refused: it is not tried again here either.
        home: PathBuf,
    },
}

/// Tries everything that sigward may want of the token, `rounds` times each.
///
/// # Errors
/// Why the token could not be logged in to. What it cannot do is a finding.
pub fn probe(asked: &Asked, rounds: usize, mut done: impl FnMut(&'static str)) -> Result<Probe, Trouble> {
    let arena = Arena::new(ArenaSize::for_keys(64), Unlocked::Allow)
        .map_err(|error| trouble(error.code(), &error, error.remedy()))?;
    let config = settings(asked)?;
    sigward_hsm::pkcs11::probe(&config, &arena, rounds, |purpose| done(purpose.as_str()))
        .map_err(|error| trouble(error.code(), &error, error.remedy().map(str::to_owned)))
}

/// What a look at a token found, without logging in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenSeen {
    /// The provider.
    pub id: String,
    /// Its label and serial number, and why its PIN would not be tried; or why it is of no use.
    pub found: Result<(String, Option<Trouble>), Trouble>,
}

/// How long a token may take to show itself.
const GLANCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Looks at every token of a configuration, each for a few seconds at most.
pub fn glance_at(config: &Config) -> Vec<TokenSeen> {
    let looks: Vec<_> = config
        .providers
        .iter()
        .map(|provider| {
            let (tell, hear) = std::sync::mpsc::channel();
            let token = token_config(&config.keys.dir, provider);
            // One that hangs keeps its thread, and nobody waits for it.
            let started = std::thread::Builder::new().spawn(move || drop(tell.send(look(&token))));
            (provider.id.to_string(), started.map(|_| hear))
        })
        .collect();
    let deadline = std::time::Instant::now() + GLANCE;
    let answer = |hear: std::io::Result<std::sync::mpsc::Receiver<_>>| {
        let rest = deadline.saturating_duration_since(std::time::Instant::now());
        hear.ok()
            .and_then(|hear| hear.recv_timeout(rest).ok())
            .unwrap_or_else(|| {
                Err(Trouble {
                    what: format!(
                        "token_unavailable: C_Initialize, C_GetSlotList or C_GetTokenInfo has not come back within {} s",
                        GLANCE.as_secs()
                    ),
                    remedy: Some("the token hangs: look at it, at its network and at its service".to_owned()),
                })
            })
    };
    looks
        .into_iter()
        .map(|(id, hear)| TokenSeen {
            id,
            found: answer(hear),
        })
        .collect()
}

fn look(token: &TokenConfig) -> Result<(String, Option<Trouble>), Trouble> {
    let told = |error: &ProviderError| trouble(error.code(), error, error.remedy().map(str::to_owned));
    let arena = Arena::new(ArenaSize::for_keys(4), Unlocked::Allow)
        .map_err(|error| trouble(error.code(), &error, error.remedy()))?;
    let seen = sigward_hsm::pkcs11::glance(token, &arena).map_err(|error| told(&error))?;
    let name = format!("label {:?}, serial {:?}", seen.token.label, seen.token.serial);
    Ok((name, seen.pin.err().map(|error| told(&error))))
}

fn settings(asked: &Asked) -> Result<TokenConfig, Trouble> {
    match asked {
        Asked::Configured { provider, keys } => Ok(token_config(keys, provider)),
        Asked::Given { pkcs11, home } => {
            let id = ProviderId::new("probe").ok_or_else(|| Trouble {
                what: "initialization_failed: no id".to_owned(),
                remedy: None,
            })?;
            let folder = remembered(pkcs11, home)?;
            // What a provider of this home was refused is refused here too, and the other way round.
            let keys = home.join("keys");
            let memory = if keys.is_dir() { keys } else { home.join("probe") };
            let provider = ProviderConfig {
                id,
                pkcs11: pkcs11.clone(),
            };
            Ok(TokenConfig {
                pin: pin_source(&pkcs11.pin),
                folder,
                refused_pins: refused_pins(&memory),
                ..token_config(home, &provider)
            })
        }
    }
}

/// A folder of its own for each token, so that the serial of one is not taken for that of another.
fn remembered(pkcs11: &Pkcs11Config, home: &std::path::Path) -> Result<PathBuf, Trouble> {
    use std::os::unix::fs::DirBuilderExt as _;
    let name = Sha256::digest(format!("{} {}", pkcs11.module.display(), pkcs11.token));
    let folder = home.join("probe");
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(|error| {
            trouble(
                "file_unwritable",
                &error,
                Some(format!("--home DIR names another place than {}", home.display())),
            )
        })?;
    Ok(folder.join(hex::encode(name.get(..8).unwrap_or_default())))
}
