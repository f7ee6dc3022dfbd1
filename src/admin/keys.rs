//! Acts on keys: create, import, adopt, list.
//!
//! The private half is durable with its provider before the store hears of the key: a crash in between leaves a sealed file that
//! no row speaks of and that therefore signs nothing. Asking again finishes the act.

use std::sync::Arc;

use sigward_hsm::error::ProviderError;
use sigward_hsm::pkcs11::TokenKey;
use sigward_hsm::provider::{AuthContext, HsmProvider, KeyMetadata, KeySpec, KeyStorageProvider as _};
use sigward_hsm::software::{KeyMaterial, filepv};
use sigward_hsm::verify::Verifier;
use sigward_policies::decision::{Failure, FailureCode, Refusal, RefusalCode, Refused};
use sigward_policies::double_sign::Beginning;
use sigward_policies::model::algorithm::{Algorithm, PublicKey};
use sigward_policies::model::id::{ChainId, Height, KeyName};
use sigward_policies::model::key::{Key, KeyVersion, Origin, VersionState};

use super::act::Act;
use super::following::to_its_end;
use super::providers::Place;
use super::refusals::provider_refused;
use super::{Admin, off_stage, state_file};
use crate::audit::Asker;
use crate::backstage::SEALING;
use crate::config::SOFTWARE;
use crate::crash::crash_point;
use crate::store::{Batch, Change, Sharing};

/// A key with the chains that it has a state on.
#[derive(Clone, Debug)]
pub struct ListedKey {
    /// The key.
    pub key: Key,
    /// The chains, in order.
    pub chains: Vec<ChainId>,
    /// Those of them on which it signs no more: it was moved out, or the chain has another id.
    pub stopped: Vec<ChainId>,
    /// Which object of which token it is; nothing of a key in a sealed file.
    pub token: Option<TokenKey>,
    /// Why it cannot sign, as far as its place is known.
    pub fault: Option<String>,
}

impl ListedKey {
    /// A key in a sealed file.
    pub(super) const fn new(key: Key, chains: Vec<ChainId>) -> Self {
        Self {
            key,
            chains,
            stopped: Vec::new(),
            token: None,
            fault: None,
        }
    }
}

/// What is said of the past of a key that is brought in.
#[derive(Clone, Debug)]
pub enum ImportBeginning {
    /// CometBFT's state file.
    StateFile(Vec<u8>),
    /// The operator's word.
    Known(Beginning),
}

impl Admin {
    /// Makes a key. It serves no chain until the configuration names it for one.
    pub async fn create_key(
        &self,
        who: &Asker,
        name: &KeyName,
        algorithm: Algorithm,
        provider: &str,
    ) -> Result<ListedKey, Refused> {
        self.name_is_free(name).await?;
        let place = self.providers.place(provider)?;
        let (metadata, origin) = match self.left_over(&place, |key| key.name == *name).await? {
            // Mostly an earlier attempt that was cut off before the store heard of it. It may as well be a key whose row was lost
            // with an older state: it is taken in, and does not begin as fresh.
            Some(found) if found.origin == Origin::Generated && found.public_key.algorithm() == algorithm => {
                (found, Origin::Restored)
            }
            Some(found) => return Err(taken(&found)),
            None => {
                let spec = KeySpec {
                    name: name.clone(),
                    algorithm,
                    created_at: self.clock.unix_seconds(),
                };
                let auth = AuthContext::new(who.caller.clone());
                let made = self
                    .at(place, move |backend| backend.generate_key_pair(&auth, &spec))
                    .await?;
                (made, Origin::Generated)
            }
        };
        crash_point!("admin_key_sealed");
        let mut key = key_of(&metadata, provider);
        key.version.origin = origin;
        let public_key = key.version.public_key;
        let entry = self.entry(who, Act::KeyCreate, &public_key, None, algorithm.as_str());
        let batch = Batch::act(vec![Change::AddKey(key.clone())], entry);
        self.memory()
            .take_in(batch, vec![(key.clone(), Vec::new())])
            .await?;
        Ok(self.listed(key, Vec::new()))
    }

    /// Brings in a CometBFT key file together with what the key has signed so far.
    pub async fn import_key(
        &self,
        who: &Asker,
        name: &KeyName,
        file: &[u8],
        chain: &ChainId,
        sharing: Sharing,
        beginning: ImportBeginning,
    ) -> Result<ListedKey, Refused> {
        self.name_is_free(name).await?;
        let material = filepv::parse(&self.arena, file).map_err(|error| {
            let remedy = error
                .remedy()
                .map(|remedy| format!("; {remedy}"))
                .unwrap_or_default();
            Refusal::new(RefusalCode::InvalidKeyFile, format!("{error}{remedy}"))
        })?;
        let public_key = *material.public_key();
        self.public_key_is_free(&public_key).await?;
        let verifier = Verifier::new(&public_key).map_err(not_a_key)?;
        let beginning = match beginning {
            ImportBeginning::StateFile(json) => state_file::parse(&json, &verifier, chain)?,
            ImportBeginning::Known(beginning) => beginning,
        };
        let said = describe(&beginning);
        let key = self.seal(who, name, material).await?;
        crash_point!("admin_key_sealed");
        self.begin_imported(who, &key, chain, sharing, beginning, &said)
            .await?;
        Ok(ListedKey::new(key, vec![chain.clone()]))
    }

    /// Seals a key that is brought in, unless an act that was cut off has done so already.
    pub(super) async fn seal(
        &self,
        who: &Asker,
        name: &KeyName,
        material: KeyMaterial,
    ) -> Result<Key, Refused> {
        let public_key = *material.public_key();
        let left = self
            .left_over(&self.software(), |key| {
                key.public_key == public_key || key.name == *name
            })
            .await?;
        let metadata = match left {
            Some(found) if found.public_key == public_key && found.name == *name => found,
            Some(found) => return Err(taken(&found)),
            None => {
                let (auth, name) = (AuthContext::new(who.caller.clone()), name.clone());
                let now = self.clock.unix_seconds();
                self.with_provider(move |provider| provider.store_key(&auth, &name, now, material))
                    .await?
            }
        };
        let mut key = key_of(&metadata, SOFTWARE);
        // A sealed file that was left over may be of a key that was made here; it does not begin as fresh for that.
        key.version.origin = metadata.origin.elsewhere();
        Ok(key)
    }

    /// One commit: a key that was brought in, and what it has signed on its chain. Then it is usable.
    pub(super) async fn begin_imported(
        &self,
        who: &Asker,
        key: &Key,
        chain: &ChainId,
        sharing: Sharing,
        beginning: Beginning,
        said: &str,
    ) -> Result<(), Refused> {
        let public_key = key.version.public_key;
        let changes = vec![
            Change::AddKey(key.clone()),
            Change::Begin {
                public_key,
                chain: chain.clone(),
                beginning,
                sharing,
            },
        ];
        let entry = self.entry(who, Act::KeyImport, &public_key, Some(chain), said);
        let (memory, key, chain) = (self.memory(), key.clone(), chain.clone());
        let batch = Batch::act(changes, entry);
        to_its_end(async move {
            memory
                .guard
                .change(&memory.store, &public_key, &chain, batch)
                .await?;
            memory.open(key)
        })
        .await
    }

    /// Takes over a sealed key of another guard store: first its heights are closed here, on every chain that the
    /// configuration gives it, then it is sealed for this store.
    pub async fn adopt_key(&self, who: &Asker, name: &KeyName, above: Height) -> Result<ListedKey, Refused> {
        let wanted = name.clone();
        let foreign = self
            .with_provider(move |provider| provider.foreign(&wanted))
            .await?;
        let public_key = *foreign.public_key();
        let known = self
            .keys()
            .await?
            .into_iter()
            .any(|key| key.version.public_key == public_key);
        if !known {
            self.name_is_free(name).await?;
        }
        let chains: Vec<_> = self
            .chains
            .now()
            .iter()
            .filter(|chain| chain.key == *name)
            .cloned()
            .collect();
        let version = KeyVersion {
            version: 1,
            public_key,
            address: sigward_hsm::verify::address(&public_key),
            provider: SOFTWARE.to_owned(),
            origin: foreign.origin(),
            state: VersionState::Active,
            created_at: self.clock.unix_seconds(),
            exported: false,
            backup: None,
        };
        let key = Key {
            name: name.clone(),
            version,
        };
        // A key of ours that comes back from another store has signed there, on chains that nobody here knows of: it never begins
        // fresh again, wherever it was made.
        let mut changes = vec![if known {
            Change::MarkExported { public_key }
        } else {
            Change::AddKey(key.clone())
        }];
        changes.extend(chains.iter().map(|chain| Change::Begin {
            public_key,
            chain: chain.id.clone(),
            beginning: Beginning::Above(above),
            sharing: chain.sharing,
        }));
        // Rows of chains that the configuration does not name now: it signed there under the other store, nobody says how far.
        let others: Vec<_> = self
            .rows()
            .await?
            .into_iter()
            .filter(|row| row.public_key == public_key && chains.iter().all(|chain| chain.id != row.chain))
            .map(|row| row.chain)
            .collect();
        changes.extend(others.iter().map(|chain| Change::Stop {
            public_key,
            chain: chain.clone(),
        }));
        let entry = self.entry(who, Act::KeyAdopt, &public_key, None, &format!("above {above}"));
        let (memory, batch) = (self.memory(), Batch::act(changes, entry));
        let (auth, software) = (
            AuthContext::new(who.caller.clone()),
            Arc::clone(&self.providers.software),
        );
        let chains: Vec<_> = chains.into_iter().map(|chain| chain.id).collect();
        let (adopted, of_rows) = (
            key.clone(),
            chains.iter().cloned().chain(others).collect::<Vec<_>>(),
        );
        to_its_end(async move {
            memory.commit(batch).await?;
            crash_point!("admin_key_adopting");
            memory.rows_of(&public_key, &of_rows).await?;
            sealing(move || software.adopt(&auth, foreign)).await?;
            memory.open(adopted)
        })
        .await?;
        Ok(ListedKey::new(key, chains))
    }

    /// Every key, by name.
    pub async fn list_keys(&self) -> Result<Vec<ListedKey>, Refused> {
        let (keys, rows) = (self.keys().await?, self.rows().await?);
        Ok(keys
            .into_iter()
            .map(|key| {
                let public_key = key.version.public_key;
                let mut chains: Vec<_> = rows
                    .iter()
                    .filter(|row| row.public_key == public_key)
                    .map(|row| row.chain.clone())
                    .collect();
                chains.sort();
                let is_stopped = |chain: &&ChainId| {
                    rows.iter()
                        .any(|row| row.public_key == public_key && row.chain == **chain && row.row.stopped)
                };
                let stopped = chains.iter().filter(is_stopped).cloned().collect();
                ListedKey {
                    stopped,
                    ..self.listed(key, chains)
                }
            })
            .collect())
    }

    /// The key called `name`.
    pub async fn listed_key(&self, name: &KeyName) -> Result<ListedKey, Refused> {
        self.key(name).await?;
        self.list_keys()
            .await?
            .into_iter()
            .find(|listed| listed.key.name == *name)
            .ok_or_else(|| Refusal::new(RefusalCode::KeyNotFound, format!("there is no key {name}")).into())
    }

    /// Opens every active key of the store for signing. A key whose provider does not have it is left out, loudly.
    pub async fn open_keys(&self) -> Result<(), Refused> {
        for key in self.keys().await? {
            if key.version.state != VersionState::Active {
                continue;
            }
            // A token that is not open is told of by whoever keeps it; its keys come when it does.
            if self
                .providers
                .place(&key.version.provider)
                .is_ok_and(|place| place.is_closed())
            {
                continue;
            }
            let name = key.name.clone();
            if let Err(refused) = self.open(key) {
                tracing::error!(alarm = true, key = %name, code = refused.code(), "a key is not usable: {refused}");
            }
        }
        for fault in self.providers.software.faults() {
            tracing::error!(
                alarm = true, file = %fault.path.display(), code = fault.code,
                "a sealed key does not open: {}{}",
                fault.message,
                fault.remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default()
            );
        }
        Ok(())
    }

    /// Opens one key for signing.
    pub async fn open_key(&self, name: &KeyName) -> Result<(), Refused> {
        self.open(self.key(name).await?)
    }

    pub(super) fn open(&self, key: Key) -> Result<(), Refused> {
        self.memory().open(key)
    }

    pub(super) async fn name_is_free(&self, name: &KeyName) -> Result<(), Refused> {
        match self.keys().await?.iter().any(|key| key.name == *name) {
            false => Ok(()),
            true => {
                let message = format!(
                    "there is a key {name} already; `sigward keys show {name}` prints it, and another key needs another name"
                );
                Err(Refusal::new(RefusalCode::KeyExists, message).into())
            }
        }
    }

    pub(super) async fn public_key_is_free(&self, public_key: &PublicKey) -> Result<(), Refused> {
        match self
            .keys()
            .await?
            .iter()
            .find(|key| key.version.public_key == *public_key)
        {
            None => Ok(()),
            Some(key) => Err(Refusal::new(
                RefusalCode::PublicKeyExists,
                format!(
                    "this public key is here already, as {} ({})",
                    key.name, key.version.state
                ),
            )
            .into()),
        }
    }

    /// A key that the provider has and the store does not know of.
    pub(super) async fn left_over(
        &self,
        place: &Place,
        is: impl Fn(&KeyMetadata) -> bool,
    ) -> Result<Option<KeyMetadata>, Refused> {
        let known = self.keys().await?;
        let kept = self.at(place.clone(), |backend| backend.list_keys()).await?;
        Ok(kept
            .into_iter()
            .filter(|kept| !known.iter().any(|key| key.version.public_key == kept.public_key))
            .find(is))
    }

    /// Argon2id and file syncs take their time: not on the runtime's threads, and not at the cost of those.
    pub(super) async fn with_provider<T: Send + 'static>(
        &self,
        act: impl FnOnce(&sigward_hsm::software::SoftwareProvider) -> Result<T, ProviderError> + Send + 'static,
    ) -> Result<T, Refused> {
        let provider = Arc::clone(&self.providers.software);
        sealing(move || act(&provider)).await
    }

    /// The same at any place of keys. A token that hangs takes nobody's place.
    pub(super) async fn at<T: Send + 'static>(
        &self,
        place: Place,
        act: impl FnOnce(&dyn HsmProvider) -> Result<T, ProviderError> + Send + 'static,
    ) -> Result<T, Refused> {
        tokio::task::spawn_blocking(move || {
            let backend = place.backend()?;
            act(backend.as_ref()).map_err(provider_refused)
        })
        .await
        .map_err(|_| Failure::new(FailureCode::ProviderUnavailable, "the provider was interrupted"))?
    }

    pub(super) fn software(&self) -> Place {
        Place::Software(self.providers.software.clone())
    }
}

/// Seals or unseals where it is in nobody's way.
async fn sealing<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ProviderError> + Send + 'static,
) -> Result<T, Refused> {
    off_stage(&SEALING, work).await?.map_err(provider_refused)
}

/// What was said of a key's past, for the record.
pub(super) fn describe(beginning: &Beginning) -> String {
    match beginning {
        Beginning::NeverSigned => "never signed".to_owned(),
        Beginning::Above(height) | Beginning::Unproven(height) => format!("above {height}"),
        Beginning::State(last) => format!("signed {}", last.position),
    }
}

pub(super) fn key_of(metadata: &KeyMetadata, provider: &str) -> Key {
    Key {
        name: metadata.name.clone(),
        version: KeyVersion {
            version: 1,
            public_key: metadata.public_key,
            address: metadata.address,
            provider: provider.to_owned(),
            origin: metadata.origin,
            state: VersionState::Active,
            created_at: metadata.created_at,
            exported: false,
            backup: None,
        },
    }
}

pub(super) fn taken(found: &KeyMetadata) -> Refused {
    let message = format!(
        "the provider holds {} already, called {}, from an act that was cut off; finish that one by repeating it",
        found.public_key, found.name
    );
    Refusal::new(RefusalCode::KeyExists, message).into()
}

pub(super) fn not_a_key(error: sigward_hsm::verify::VerifyError) -> Refused {
    Refusal::new(RefusalCode::InvalidPublicKey, error.to_string()).into()
}
