//! What opens the keys, without secrets. Takes no lock and, unless it is asked to, asks no token.

use std::path::{Path, PathBuf};

use sigward_hsm::pkcs11::WrappedKek;
use sigward_hsm::secret::{Arena, ArenaSize, Unlocked};
use sigward_hsm::software::Reseal;

use super::prune::named;
use super::{kind, open_token, told};
use crate::config::{Config, SealSource};

/// What there is.
#[derive(Clone, Debug)]
pub struct Shown {
    /// `key-file`, `passphrase-file`, `credential` or `pkcs11`.
    pub kind: &'static str,
    /// The file that it is kept in, where it is one.
    pub file: Option<PathBuf>,
    /// The name of the credential.
    pub credential: Option<String>,
    /// The token.
    pub token: Option<TokenShown>,
    /// How many keys are sealed.
    pub keys: usize,
    /// How many of them a move that was cut off left half-way; the next start settles them.
    pub half_way: usize,
}

/// The token's part.
#[derive(Clone, Debug)]
pub struct TokenShown {
    /// The provider.
    pub provider: String,
    /// What new wrapping keys are called.
    pub key_label: String,
    /// What the file says, or why it says nothing: serial, `CKA_ID`, mechanism.
    pub wrapped: Result<(String, String, &'static str), String>,
    /// `CKA_ID` of all keys of that label, where the token was asked.
    pub in_token: Option<Result<Vec<String>, String>>,
    /// Those of them that no file of the home names; nothing where that is not known.
    pub unnamed: Option<Vec<String>>,
}

/// Looks. `ask_token` logs in to it.
pub fn show(home: &Path, config: &Config, ask_token: bool) -> anyhow::Result<Shown> {
    let reseal = Reseal::of(&config.keys.dir);
    let mut shown = Shown {
        kind: kind(&config.seal),
        file: None,
        credential: None,
        token: None,
        keys: reseal.keys().map_err(told)?,
        half_way: reseal.twins().map_err(told)?.len(),
    };
    match &config.seal {
        SealSource::KeyFile(path) | SealSource::PassphraseFile(path) => shown.file = Some(path.clone()),
        SealSource::Credential(name) => shown.credential = Some(name.clone()),
        SealSource::Pkcs11(token) => {
            let wrapped = WrappedKek::read(&token.file).map(|wrapped| {
                let (serial, id) = (
                    wrapped.token_serial().to_owned(),
                    wrapped.wrapping_key().to_owned(),
                );
                (serial, id, wrapped.mechanism())
            });
            let in_token = ask_token.then(|| in_token(config));
            let unnamed = match (&in_token, named(config, home)) {
                (Some(Ok(keys)), Ok(named)) => {
                    Some(keys.iter().filter(|id| !named.contains(*id)).cloned().collect())
                }
                _ => None,
            };
            shown.file = Some(token.file.clone());
            shown.token = Some(TokenShown {
                provider: token.provider.to_string(),
                key_label: token.key_label.clone(),
                wrapped: wrapped.map_err(|error| told(error).to_string()),
                in_token,
                unnamed,
            });
        }
    }
    Ok(shown)
}

fn in_token(config: &Config) -> Result<Vec<String>, String> {
    let SealSource::Pkcs11(token) = &config.seal else {
        return Ok(Vec::new());
    };
    let arena = Arena::new(ArenaSize::for_keys(8), Unlocked::Allow).map_err(|error| error.to_string())?;
    let seal = open_token(config, &token.provider, &arena).map_err(|error| error.told())?;
    seal.keys_called(&token.key_label)
        .map_err(|error| error.to_string())
}
