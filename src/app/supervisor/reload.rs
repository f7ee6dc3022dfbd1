//! A reload: read, judge, put on record, take over. Whatever is refused is refused before anything has changed.

use sha2::{Digest as _, Sha256};
use sigward_policies::authz::Policy;
use sigward_policies::decision::{Failure, FailureCode, Refusal, RefusalCode, Refused};

use super::policy::may_rewrite;
use super::{Shared, State, chains};
use crate::admin::live::{PolicyChange, ReloadError, ReloadMode, Reloaded, Reloader};
use crate::app::bearer::issuers;
use crate::app::serve::put_in_force;
use crate::app::{parts, tokens};
use crate::authn::bearer::Issuers;
use crate::config::diff::{Diff, Entry};
use crate::config::{self, BearerConfig, ChainConfig, Config, ProviderConfig, SOFTWARE};
use crate::store::Store as _;

impl State {
    /// Takes over what the file says now, or only says what that would do.
    pub(super) async fn reload(
        &mut self,
        shared: &Shared,
        by: &Reloader,
        mode: ReloadMode,
    ) -> Result<Reloaded, ReloadError> {
        let Read {
            new,
            text,
            policy,
            issuers,
        } = read(shared).await?;
        let sha256: [u8; 32] = Sha256::digest(&text).into();
        let mut diff = Diff::since_start(&self.config, &self.departed, &new);
        let versions = PolicyChange {
            old: shared.policies.version(),
            new: policy.as_ref().map(Policy::version),
        };
        let rewritten = (versions.old != versions.new).then_some(versions);
        diff.policy(versions.old, versions.new);
        if let Some(door) = &shared.bearer {
            diff.issuer_keys(door.bearer().issuers().summary(), issuers.summary());
        }
        if mode == ReloadMode::Apply {
            diff.entries()
                .iter()
                .for_each(|entry| tracing::info!("reload: {entry}"));
        }
        nothing_is_loosened(&diff).map_err(Refused::from)?;
        something_is_left(&self.config, &new).map_err(Refused::from)?;
        keys_keep_their_tokens(shared, &new)?;
        let mut warnings = self.can_be_served(shared, &new).await?;
        warnings.extend(diff.waiting_for_restart().map(|entry| format!("{entry}")));
        warnings.extend(new.warnings());
        let said = policy.iter().flat_map(Policy::warnings);
        warnings.extend(said.map(|warning| format!("policy: {warning}")));
        let petition = may_rewrite(shared, by, rewritten).map_err(Refused::from)?;
        if let (ReloadMode::DryRun, Some(needed)) = (mode, &petition.needed) {
            warnings.push(format!("the policy changes: {} for that", needed.asks()));
        }
        if mode == ReloadMode::Apply {
            if diff.entries().len() > diff.waiting_for_restart().count() {
                let mut summary = diff.summary();
                if let Some(version) = rewritten.and_then(|versions| versions.new) {
                    summary.push_str(&format!(", policy {version:#}"));
                }
                let admin = &shared.parts.admin;
                admin
                    .record_reload(&by.who, (&petition, rewritten), sha256, &summary)
                    .await?;
            }
            if rewritten.is_some() || self.config.policy != new.policy {
                put_in_force(&shared.policies, policy, &new.policy);
                self.config.policy.clone_from(&new.policy);
            }
            let unserved = self.take_over(shared, &new).await;
            let known: Vec<_> = unserved
                .into_iter()
                .filter(|said| !warnings.contains(said))
                .collect();
            warnings.extend(known);
            self.pins(shared, &new);
            self.level(shared, &new);
            if let Some(door) = &shared.door {
                warnings.extend(door.reload().await);
            }
            if let Some(door) = &shared.bearer {
                self.believe(new.bearer.as_ref());
                door.bearer().replace(issuers);
                warnings.extend(door.reload().await);
            }
            warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        }
        Ok(Reloaded {
            diff,
            mode,
            generation: self.generation,
            sha256,
            warnings,
        })
    }

    /// A chain that would lose its key by this is a mistake, and refuses all of it; so is a new chain whose key nobody knows. A new
    /// chain that waits for a word of the operator is told of, and costs the others nothing.
    async fn can_be_served(&self, shared: &Shared, new: &Config) -> Result<Vec<String>, Refused> {
        let mut warnings = Vec::new();
        for chain in &new.chains {
            let before = self.config.chains.iter().find(|before| before.id == chain.id);
            if before.is_some_and(|before| (&before.key, before.shared) == (&chain.key, chain.shared)) {
                continue;
            }
            let Err(refused) = can_be_served(shared, chain, &new.chains).await else {
                continue;
            };
            let unknown =
                matches!(&refused, Refused::Denied(refusal) if refusal.code == RefusalCode::KeyNotFound);
            if before.is_some() || unknown || matches!(refused, Refused::Failed(_)) {
                return Err(in_chain(chain, refused));
            }
            warnings.push(format!("chain {} is not served: {refused}", chain.id));
        }
        Ok(warnings)
    }

    /// Where PINs are may change; a reload is also the word that has a PIN tried which was not tried any more.
    fn pins(&mut self, shared: &Shared, new: &Config) {
        for token in shared.parts.admin.providers.tokens() {
            let is = |provider: &&ProviderConfig| provider.id == *token.id();
            let Some(new) = new.providers.iter().find(is) else {
                continue;
            };
            let running = self.config.providers.iter_mut().find(|provider| is(&&**provider));
            // A new token waits for a restart, and its PIN with it: the old one is not to be asked for it.
            let same_token = |old: &&mut ProviderConfig| {
                (&old.pkcs11.module, &old.pkcs11.token) == (&new.pkcs11.module, &new.pkcs11.token)
            };
            let other_pin = |old: &&mut ProviderConfig| old.pkcs11.pin != new.pkcs11.pin;
            let pin = running.filter(same_token).filter(other_pin).map(|old| {
                old.pkcs11.pin = new.pkcs11.pin.clone();
                tokens::pin_source(&new.pkcs11.pin)
            });
            token.look_again(pin);
        }
    }

    /// Whose tokens count changes at once; the rest of that door does not. A door that is gone from the file believes nobody.
    fn believe(&mut self, new: Option<&BearerConfig>) {
        if let Some(running) = &mut self.config.bearer {
            running.issuers = new.map(|new| new.issuers.clone()).unwrap_or_default();
        }
    }

    fn level(&mut self, shared: &Shared, new: &Config) {
        if self.config.log.level == new.log.level {
            return;
        }
        match shared.levels.set(&new.log.level) {
            Ok(()) => self.config.log.level.clone_from(&new.log.level),
            Err(error) => tracing::error!(alarm = true, "the log keeps its levels: {error}"),
        }
    }
}

/// The files as they are now, each good by itself.
struct Read {
    new: Config,
    text: String,
    policy: Option<Policy>,
    issuers: Issuers,
}

async fn read(shared: &Shared) -> Result<Read, ReloadError> {
    let home = shared.home.clone();
    let reading = move || -> Result<Read, ReloadError> {
        let (new, text) = config::load_with_text(&home)?;
        let policy = config::load_policy(&new.policy)?;
        let issuers = issuers(&new).map_err(Refused::from)?;
        Ok(Read {
            new,
            text,
            policy,
            issuers,
        })
    };
    match tokio::task::spawn_blocking(reading).await {
        Ok(read) => read,
        Err(_interrupted) => {
            let failure = Failure::new(
                FailureCode::ShuttingDown,
                "reading the configuration was interrupted",
            );
            Err(ReloadError::Refused(failure.into()))
        }
    }
}

fn nothing_is_loosened(diff: &Diff) -> Result<(), Refusal> {
    let loosened: Vec<_> = diff.loosened().map(Entry::to_string).collect();
    if loosened.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalCode::ReloadLoosensGuard,
        format!(
            "a running guard only becomes stricter; nothing was changed. Put it back, or restart sigward to take it: {}",
            loosened.join("; ")
        ),
    ))
}

/// A file is empty for a moment while an editor writes it: read then, it would end every signature.
fn something_is_left(old: &Config, new: &Config) -> Result<(), Refusal> {
    if old.chains.is_empty() || !new.chains.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalCode::ReloadRemovesAll,
        "the file names no chain, and some run: a file that is being written looks like that, so nothing was changed. To sign nothing, stop sigward",
    ))
}

/// A provider goes only with the next restart, and then its keys sign no more: who takes it out of the file hears of that now.
fn keys_keep_their_tokens(shared: &Shared, new: &Config) -> Result<(), Refused> {
    let keys = shared.parts.store.keys()?;
    for chain in &new.chains {
        let Some(key) = keys.iter().find(|key| key.name == chain.key) else {
            continue;
        };
        let provider = &key.version.provider;
        if provider != SOFTWARE && new.providers.iter().all(|known| known.id.as_str() != provider) {
            let message = format!(
                "the key {} of chain {} is in {provider}, and the file has no [[provider]] of this id: after the next restart the chain \
             would not be served; bring it back, or take the chain out first",
                key.name, chain.id
            );
            return Err(Refusal::new(RefusalCode::ProviderNotFound, message).into());
        }
    }
    Ok(())
}

async fn can_be_served(shared: &Shared, chain: &ChainConfig, all: &[ChainConfig]) -> Result<(), Refused> {
    shared
        .parts
        .admin
        .may_bind(&parts::configured(chain), all)
        .await?;
    chains::usable(shared, &chain.key).await.map(|_key| ())
}

fn in_chain(chain: &ChainConfig, refused: Refused) -> Refused {
    match refused {
        Refused::Denied(refusal) => {
            let message = format!("chain {}: {}", chain.id, refusal.message);
            Refusal::new(refusal.code, message).into()
        }
        failed @ Refused::Failed(_) => failed,
    }
}
