//! What opens the sealed keys: a file, a credential, or a key in a token that may be away.
//!
//! - `late`: a daemon whose token was away at the start opens its keys when it is back;
//! - `moving`: from one seal to another, and to another wrapping key; - `show`: what there is, without secrets;
//! - `prune`: wrapping keys that nothing needs.
//!
//! *Invariants:* what the configuration names decides which of two sealed files of a key counts, at every start; a seal that is damaged
//! or another token's keeps sigward from starting, one that is merely away does not.

mod late;
mod moving;
mod prune;
mod show;

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use sigward_hsm::envelope::{ArgonParams, Kek, KekError, KekSource, LateKek};
use sigward_hsm::error::ProviderError;
use sigward_hsm::pkcs11::TokenSeal;
use sigward_hsm::provider::KeyEncryptionProvider;
use sigward_hsm::secret::Arena;
use sigward_hsm::software::{Reseal, Settled};

use super::tokens;
use crate::config::{Config, ProviderId, SealSource, TokenSealConfig};

pub(super) use late::Late;
pub use moving::{MoveTo, Moved, Rewrapped, move_seal, rewrap};
pub use prune::{Pruned, prune};
pub use show::{Shown, TokenShown, show};

/// How long a token may take to log us in and to unwrap.
const IN_TIME: Duration = Duration::from_secs(15);

/// Why no key-encryption key was read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SealError {
    /// From a file or a credential.
    #[error(transparent)]
    Source(#[from] KekError),
    /// From a token.
    #[error(transparent)]
    Token(#[from] ProviderError),
    /// The configuration names no such provider; it was judged, so this is a fault of ours.
    #[error("there is no [[provider]] {0}")]
    NoProvider(ProviderId),
}

impl SealError {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Source(error) => error.code(),
            Self::Token(error) => error.code(),
            Self::NoProvider(_) => "config_invalid",
        }
    }

    pub(super) fn remedy(&self) -> Option<String> {
        match self {
            Self::Source(error) => error.remedy(),
            Self::Token(error) => error.remedy().map(str::to_owned),
            Self::NoProvider(_) => None,
        }
    }

    /// Whether it may come right without a restart: the token is away, hangs, or waits for the right PIN. A PIN that the token refused
    /// is remembered on disk and not tried again, however often this is asked.
    fn may_pass(&self) -> bool {
        match self {
            Self::Token(ProviderError::Unavailable { .. }) => true,
            Self::Token(ProviderError::Refused { code, .. }) => matches!(*code, "wrong_pin" | "pin_unusable"),
            Self::Token(_) | Self::Source(_) | Self::NoProvider(_) => false,
        }
    }

    /// Code, sentence, causes, and what to do.
    pub(super) fn told(&self) -> String {
        let mut said = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let text = error.to_string();
            if !said.contains(&text) {
                said = format!("{said}: {text}");
            }
            cause = error.source();
        }
        let remedy = self
            .remedy()
            .map(|remedy| format!("\n{remedy}"))
            .unwrap_or_default();
        format!("{}: {said}{remedy}", self.code())
    }
}

/// Reads the key-encryption key. A token that hangs is away.
pub(super) fn read(config: &Config, arena: &Arena) -> Result<Kek, SealError> {
    read_as(config, &config.seal, arena)
}

/// The same, however long a token takes: for whoever has a thread to spare, and will not ask again before the answer.
fn read_however_long(config: &Config, arena: &Arena) -> Result<Kek, SealError> {
    match &config.seal {
        SealSource::Pkcs11(token) => unwrap(config, token, arena),
        SealSource::KeyFile(_) | SealSource::PassphraseFile(_) | SealSource::Credential(_) => {
            read(config, arena)
        }
    }
}

/// Reads the key-encryption key of `seal`, which need not be the one that the configuration names.
fn read_as(config: &Config, seal: &SealSource, arena: &Arena) -> Result<Kek, SealError> {
    Ok(match seal {
        SealSource::Pkcs11(token) => return unwrap_in_time(config, token, arena),
        SealSource::KeyFile(path) => KekSource::KeyFile(path.clone()).read(arena)?,
        SealSource::PassphraseFile(path) => {
            let (path, params) = (path.clone(), ArgonParams::RECOMMENDED);
            KekSource::PassphraseFile { path, params }.read(arena)?
        }
        SealSource::Credential(name) => {
            let (name, directory) = (name.clone(), tokens::credentials());
            KekSource::Credential { name, directory }.read(arena)?
        }
    })
}

fn unwrap(config: &Config, token: &TokenSealConfig, arena: &Arena) -> Result<Kek, SealError> {
    Ok(open_token(config, &token.provider, arena)?.unwrap(&token.file)?)
}

/// On a thread of its own: a start that a hanging token holds up is one that nobody can look into.
fn unwrap_in_time(config: &Config, token: &TokenSealConfig, arena: &Arena) -> Result<Kek, SealError> {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let (config, token, arena) = (config.clone(), token.clone(), arena.clone());
    let unavailable = |reason: String| ProviderError::Unavailable { reason };
    std::thread::Builder::new()
        .name("seal".to_owned())
        .spawn(move || {
            let _given_up = tell.send(unwrap(&config, &token, &arena));
        })
        .map_err(|error| unavailable(error.to_string()))?;
    told.recv_timeout(IN_TIME).unwrap_or_else(|_| {
        Err(unavailable(format!(
            "the token of the seal gave no answer within {IN_TIME:?}: its module has not come back from C_Initialize, C_OpenSession, \
             C_Login or the unwrapping (C_UnwrapKey, C_Decrypt); look at the token and its network (`sigward hsm probe`), then start again"
        ))
        .into())
    })
}

/// Makes what `seal` names where it can be made and is not there: a key file, a wrapped key. What is there is used.
pub(super) fn make(config: &Config, seal: &SealSource, arena: &Arena) -> anyhow::Result<()> {
    match seal {
        SealSource::KeyFile(path) if !path.exists() => {
            KekSource::create_key_file(arena, path).context("cannot write the sealing key")
        }
        SealSource::Pkcs11(token) if !token.file.exists() => {
            let made = open_token(config, &token.provider, arena)
                .and_then(|seal| Ok(seal.create(&token.file, &token.key_label)?));
            made.map_err(|error| anyhow::anyhow!(error.told()))
                .context("cannot make the wrapping key in the token")
        }
        SealSource::KeyFile(_)
        | SealSource::PassphraseFile(_)
        | SealSource::Credential(_)
        | SealSource::Pkcs11(_) => Ok(()),
    }
}

/// The key-encryption key, or word of why it is away for now.
pub(super) fn read_or_wait(config: &Config, arena: &Arena) -> anyhow::Result<LateKek> {
    match read(config, arena) {
        Ok(kek) => Ok(LateKek::here(kek)),
        Err(error) if error.may_pass() => Ok(LateKek::away(error.told().replace('\n', "; "))),
        Err(error) => Err(anyhow::anyhow!(error.told())),
    }
}

/// Finishes, or takes back, a move that was cut off: as what the configuration names says.
pub(super) fn settle(keys: &Path, kek: &dyn KeyEncryptionProvider) -> anyhow::Result<Settled> {
    if !keys.is_dir() {
        return Ok(Settled::Nothing);
    }
    let settled = Reseal::of(keys).settle(kek).map_err(told)?;
    match settled {
        Settled::Nothing => {}
        Settled::Forward(keys) => tracing::info!(keys, "a move of the seal that was cut off is finished"),
        Settled::Back(keys) => tracing::info!(keys, "a move of the seal that was cut off is taken back"),
        Settled::Undecided(keys) => tracing::error!(
            alarm = true,
            keys,
            "a move of the seal was cut off, and not every key opens with the seal that the configuration names: nothing is touched; \
             put [seal] back to what it said before the move, or to what it was moved to"
        ),
    }
    Ok(settled)
}

fn open_token(config: &Config, provider: &ProviderId, arena: &Arena) -> Result<TokenSeal, SealError> {
    let known = config.providers.iter().find(|known| known.id == *provider);
    let known = known.ok_or_else(|| SealError::NoProvider(provider.clone()))?;
    Ok(TokenSeal::open(
        &tokens::token_config(&config.keys.dir, known),
        arena,
    )?)
}

fn told(error: ProviderError) -> anyhow::Error {
    anyhow::anyhow!(SealError::Token(error).told())
}

/// What a seal is called, in a word.
fn kind(seal: &SealSource) -> &'static str {
    match seal {
        SealSource::KeyFile(_) => "key-file",
        SealSource::PassphraseFile(_) => "passphrase-file",
        SealSource::Credential(_) => "credential",
        SealSource::Pkcs11(_) => "pkcs11",
    }
}

/// The seal that a token makes, as a configuration says it.
pub(super) fn of_token(provider: &ProviderId, label: &str, home: &Path) -> SealSource {
    SealSource::Pkcs11(TokenSealConfig::of(provider, label, home))
}
