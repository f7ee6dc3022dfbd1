//! Moving from one seal to another, and to another wrapping key in the token. Only where no daemon runs: this process takes the
//! state's lock.
//!
//! A move: what the new seal needs is made, each key gets a twin that opens with it, the move goes on record, the configuration names
//! the new seal (in one step), the twins take the places of the files. A new key-encryption key is drawn where the seal lets us, so
//! that what opened the keys before opens nothing here any more.
//!
//! *Invariant:* cut off anywhere, every key opens with what the configuration then says; the next start, or the same command again,
//! finishes the work or takes it back.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sigward_hsm::software::{Reseal, Settled};

use super::{kind, make, of_token, open_token, read, read_as, settle, told};
use crate::admin::SealAct;
use crate::app::{parts, swap};
use crate::audit::Asker;
use crate::authn;
use crate::config::{self, Config, ProviderId, SealSource};
use crate::crash::crash_point;

/// Where the seal is to go.
#[derive(Clone, Debug)]
pub enum MoveTo {
    /// A file of 32 bytes, made where it is missing.
    KeyFile(PathBuf),
    /// A file with a passphrase.
    PassphraseFile(PathBuf),
    /// A systemd credential, which this process must have been given.
    Credential(String),
    /// A key in the token of a provider.
    Token {
        /// The provider.
        provider: ProviderId,
        /// What to call the wrapping key.
        key_label: String,
    },
}

/// What a move did.
#[derive(Clone, Debug)]
pub struct Moved {
    /// What the configuration said before; none where it said so already.
    pub from: Option<SealSource>,
    /// What it says now.
    pub to: SealSource,
    /// How many keys were sealed anew.
    pub keys: usize,
}

/// What changing the wrapping key did.
#[derive(Clone, Debug)]
pub struct Rewrapped {
    /// The file.
    pub file: PathBuf,
    /// `CKA_ID` of the wrapping key now, in hex.
    pub wrapping_key: String,
    /// And before.
    pub former: String,
    /// Why the former one is still in the token, where it is.
    pub former_remains: Option<String>,
}

/// Moves the seal of the home at `home`.
pub async fn move_seal(home: &Path, to: &MoveTo) -> anyhow::Result<Moved> {
    let (config, text) = config::load_with_text(home)?;
    let home = std::path::absolute(home)?;
    let to = target(to, &home);
    if let SealSource::Pkcs11(token) = &to {
        anyhow::ensure!(
            config
                .providers
                .iter()
                .any(|provider| provider.id == token.provider),
            "provider_not_found: there is no [[provider]] {} in {}\ndescribe the token there first; `sigward config print-default` shows how",
            token.provider,
            home.join(config::FILE_NAME).display()
        );
    }
    if let (SealSource::Pkcs11(now), SealSource::Pkcs11(wanted)) = (&config.seal, &to)
        && now.provider == wanted.provider
    {
        anyhow::ensure!(
            now.key_label == wanted.key_label,
            "seal_same_token: this token is the seal already, under the label {:?}\n`sigward seal rewrap` makes another wrapping key in it",
            now.key_label
        );
        return already(&config);
    }
    if config.seal == to {
        return already(&config);
    }
    let new_text = config::with_seal(&text, &home, &to)?;

    let parts = parts::open(&config)?;
    let reseal = Reseal::of(&config.keys.dir);
    let outcome = stage(&config, &to, &parts, &reseal);
    let keys = match outcome {
        Ok(keys) => keys,
        Err(error) => {
            // Twins that nobody will name go again; what cannot be removed now goes at the next start.
            if let Ok(kek) = read(&config, &parts.arena) {
                let _best_effort = settle(&config.keys.dir, &kek);
            }
            parts.store.close();
            return Err(error);
        }
    };
    let detail = format!("from {} to {}, keys {keys}", kind(&config.seal), kind(&to));
    parts
        .admin
        .record_seal(
            &Asker::of_this_process(authn::this_process()),
            SealAct::Move,
            &detail,
        )
        .await?;
    crash_point!("seal_move_recorded");
    let file = home.join(config::FILE_NAME);
    swap::replace(
        &file,
        &text,
        &new_text,
        "nothing was moved: the same command again begins anew",
    )?;
    crash_point!("seal_move_switched");

    // From here on the configuration names the new seal: a failure is finished by the next start.
    let kek = read_as(&config, &to, &parts.arena).map_err(|error| anyhow::anyhow!(error.told()))?;
    let settled = reseal.settle_each(&kek, || {
        crash_point!("seal_move_settling");
    });
    parts.store.close();
    let settled = settled
        .map_err(told)
        .context("the seal has moved; the next start finishes what is left to do")?;
    anyhow::ensure!(
        matches!(settled, Settled::Forward(_) | Settled::Nothing),
        "the configuration names the new seal, and not every key opens with it; put [seal] back to what it said: nothing was removed"
    );
    Ok(Moved {
        from: Some(config.seal),
        to,
        keys,
    })
}

/// Makes the new seal, and a twin of each key that opens with it.
fn stage(config: &Config, to: &SealSource, parts: &parts::Parts, reseal: &Reseal) -> anyhow::Result<usize> {
    let told = |error: super::SealError| anyhow::anyhow!(error.told());
    let old = read(config, &parts.arena)
        .map_err(told)
        .context("the keys do not open now, so they cannot be sealed anew")?;
    let left = reseal.twins().map_err(super::told)?.len();
    anyhow::ensure!(
        left == 0,
        "a move that was cut off left {left} keys half-way, and they do not open with what [seal] says now\n\
         put [seal] back to what it said before that move, or to what it was moved to; then try again"
    );
    make(config, to, &parts.arena)?;
    crash_point!("seal_move_made");
    let new = read_as(config, to, &parts.arena)
        .map_err(told)
        .context("what the keys are to be sealed with cannot be used")?;
    let files = reseal.files().map_err(super::told)?;
    for file in &files {
        reseal
            .stage(file, &old, &new)
            .map_err(super::told)
            .with_context(|| format!("cannot seal {} anew; nothing was changed", file.display()))?;
        crash_point!("seal_move_staged");
    }
    reseal.keys().map_err(super::told)
}

/// The configuration says so already: opening finishes what may have been cut off.
fn already(config: &Config) -> anyhow::Result<Moved> {
    let parts = parts::open(config)?;
    parts.store.close();
    Ok(Moved {
        from: None,
        to: config.seal.clone(),
        keys: Reseal::of(&config.keys.dir).keys().map_err(told)?,
    })
}

fn target(to: &MoveTo, home: &Path) -> SealSource {
    match to {
        MoveTo::KeyFile(path) => SealSource::KeyFile(path.clone()),
        MoveTo::PassphraseFile(path) => SealSource::PassphraseFile(path.clone()),
        MoveTo::Credential(name) => SealSource::Credential(name.clone()),
        MoveTo::Token { provider, key_label } => of_token(provider, key_label, home),
    }
}

/// Makes another wrapping key in the token, and destroys the former one once the file needs it no more.
pub async fn rewrap(home: &Path) -> anyhow::Result<Rewrapped> {
    let config = config::load(home)?;
    let SealSource::Pkcs11(token) = &config.seal else {
        anyhow::bail!(
            "seal_no_token: the keys are sealed by a {}, and only a token has a wrapping key\n\
             `sigward seal move --to {} …` makes another key and seals everything anew",
            kind(&config.seal),
            kind(&config.seal)
        );
    };
    let parts = parts::open(&config)?;
    let seal =
        open_token(&config, &token.provider, &parts.arena).map_err(|error| anyhow::anyhow!(error.told()))?;
    let rewrap = seal.rewrap(&token.file, &token.key_label).map_err(told)?;
    crash_point!("seal_rewrap_made");
    let (now, former) = (rewrap.now().wrapping_key(), rewrap.former().wrapping_key());
    let detail = format!("wrapping key {now} instead of {former}");
    let recorded = parts
        .admin
        .record_seal(
            &Asker::of_this_process(authn::this_process()),
            SealAct::Rewrap,
            &detail,
        )
        .await;
    if let Err(refused) = recorded {
        rewrap.abandon();
        return Err(refused.into());
    }
    rewrap.write().map_err(told)?;
    crash_point!("seal_rewrap_written");
    let former_remains = rewrap.destroy_former().err().map(|error| error.to_string());
    parts.store.close();
    Ok(Rewrapped {
        file: token.file.clone(),
        wrapping_key: now.to_owned(),
        former: former.to_owned(),
        former_remains,
    })
}

#[cfg(test)]
mod tests;
