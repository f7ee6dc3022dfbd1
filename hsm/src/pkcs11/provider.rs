//! The provider: keys of a token behind the same traits as those of the software store.
//!
//! May import: everything of `pkcs11`, `provider`, `error`.
//!
//! # Invariants
//! * A public key is told to nobody before its object was read back, its record is on disk, and it signed a test message that
//!   verifies.
//! * Nothing here deletes a record because its token does not show the key.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use cryptoki::{object::ObjectHandle, session::Session};
use sigward_policies::{
    model::{
        algorithm::{Algorithm, PublicKey},
        id::{KeyName, UnixSeconds},
        key::Origin,
        payload::Consensus,
    },
    proof::SignOrder,
};

use super::{
    acts::{Acts, Undo},
    client::{Access, Client, Presence},
    ecdsa::Hashing,
    error::{Kind, TokenError},
    keeper::Keeper,
    login::{LoggedIn, Logins, Tries},
    look::Load,
    module::Module,
    objects,
    pin::PinSource,
    pool::{Pool, Size},
    record::{self, CkaId, Record},
    serial::PinnedSerial,
    token::{Present, TokenIdentity, TokenSelector},
};
use crate::{
    error::{Operation, ProviderError},
    private_file,
    provider::{
        AuthContext, Done, HsmProvider, KeyHandle, KeyMetadata, KeySpec, KeyStorageProvider, ProviderInfo,
        Sign, StorageType, same_key,
    },
    secret::Arena,
    software::KeyMaterial,
    verify::{Verifier, address},
};

/// What a new key signs, so that it is known to work: no message of any chain begins like this.
const SELF_TEST: &[u8] = b"sigward self-test of a key in a token";

/// Why no token derives a key to sign with. Its derived keys are secret keys; to make a signing key of one, its bytes would have to
/// come out, and what is in a token would be as little confined as what was imported.
const NO_DERIVATION: &str = "CKM_ECDH1_DERIVE and CKM_HKDF_DERIVE make secret keys and no key pairs, and a signing key carries \
                             CKA_SIGN without CKA_DERIVE; generate a key instead";

/// How the configuration describes a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenConfig {
    /// The vendor's PKCS#11 library.
    pub module: PathBuf,
    /// Which token.
    pub token: TokenSelector,
    /// Where its user PIN is.
    pub pin: PinSource,
    /// Sessions to sign with, 1 to 64; fewer where the token allows fewer.
    pub sessions: usize,
    /// How long a signature may take.
    pub deadline: Duration,
    /// The folder of the records.
    pub folder: PathBuf,
    /// The folder in which refused PINs are remembered; the same for all tokens, so that no PIN is tried once for each provider.
    pub refused_pins: PathBuf,
}

/// Keys in a PKCS#11 token.
pub struct Pkcs11Provider {
    pool: Pool,
    _keeper: Keeper,
    client: Arc<Client>,
    identity: TokenIdentity,
    folder: PathBuf,
    keys: RwLock<HashMap<PublicKey, Arc<Record>>>,
    pub(super) acts: Acts,
}

impl Pkcs11Provider {
    /// Loads the module, finds the token, logs in, and reads the records.
    ///
    /// # Errors
    /// `initialization_failed`, `token_unavailable`, `wrong_pin`, `pin_unusable`, or what is wrong with the folder or the PIN's file.
    pub fn open(config: &TokenConfig, arena: &Arena) -> Result<Self, ProviderError> {
        let (client, token) = connect(config, arena, Tries::Spare)?;
        let thread_failed = |error: std::io::Error| ProviderError::fault(Operation::Initialize, error);
        let size = Size {
            threads: pool_size(config.sessions, token.info.max_session_count()),
            waiting: 1024,
            deadline: config.deadline,
        };
        let provider = Self {
            pool: Pool::start(&client, size).map_err(thread_failed)?,
            _keeper: Keeper::start(&client).map_err(thread_failed)?,
            acts: Acts::new(&client),
            client,
            identity: token.identity(),
            folder: config.folder.clone(),
            keys: RwLock::default(),
        };
        provider.initialize()?;
        Ok(provider)
    }

    /// Who the token says it is.
    #[must_use]
    pub const fn token(&self) -> &TokenIdentity {
        &self.identity
    }

    /// Where the PIN is from now on, for whenever the token is logged in to again.
    pub fn pin_is_at(&self, source: PinSource) {
        self.client.pin_is_at(source);
    }

    /// Whether the token answers, as last seen.
    #[must_use]
    pub fn presence(&self) -> Presence {
        self.client.presence()
    }

    /// Whether the token says that a wrong PIN was tried and few tries are left: it signs on, and is not logged in to again.
    #[must_use]
    pub fn has_few_tries(&self) -> bool {
        self.client.has_few_tries()
    }

    /// How busy the token is.
    #[must_use]
    pub fn load(&self) -> Load {
        self.pool.load()
    }

    /// How many signing threads hang in a call that outlived its deadline.
    #[must_use]
    pub fn hanging(&self) -> usize {
        self.pool.hanging()
    }

    /// Signs a test message with a new object, and checks it: only then is it a key.
    pub(super) fn try_out(
        &self,
        id: &CkaId,
        public_key: PublicKey,
        operation: Operation,
    ) -> Result<(), ProviderError> {
        let id = id.clone();
        let signature = self.acts.run(operation, move |session| {
            let key = objects::find_private(session, &id)?.ok_or_else(|| {
                TokenError::new(
                    Kind::Failed,
                    "the token does not show the key it made",
                    "try again",
                )
            })?;
            objects::sign(
                session,
                key,
                public_key.algorithm(),
                SELF_TEST,
                &mut Hashing::default(),
            )
        })?;
        Verifier::new(&public_key)
            .and_then(|verifier| verifier.verify(SELF_TEST, &signature))
            .map_err(|error| ProviderError::fault(operation, error))
    }

    /// Tries, records and takes in a key whose object is in the token; removes the object where that fails.
    fn take_in(&self, record: Record, operation: Operation) -> Result<KeyMetadata, ProviderError> {
        let id = record.id.clone();
        let taken = self
            .try_out(&id, record.public_key, operation)
            .and_then(|()| self.record(record, operation));
        if taken.is_err() {
            self.acts.undo(operation, remove(&id));
        }
        taken
    }

    /// Writes a record, and takes the key in.
    pub(super) fn record(&self, record: Record, operation: Operation) -> Result<KeyMetadata, ProviderError> {
        record
            .write(&self.folder)
            .map_err(|error| ProviderError::from_file(operation, error))?;
        let metadata = metadata(&record);
        self.keys
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(record.public_key, Arc::new(record));
        Ok(metadata)
    }

    pub(super) fn name_is_free(&self, name: &KeyName) -> Result<(), ProviderError> {
        if self.records().values().any(|record| record.name == *name) {
            let message = format!("a key is called {name} already");
            return Err(ProviderError::refused("key_exists", message));
        }
        Ok(())
    }

    fn find(&self, public_key: &PublicKey) -> Result<Arc<Record>, ProviderError> {
        let found = self.records().get(public_key).cloned();
        found.ok_or(ProviderError::NotFound {
            public_key: *public_key,
        })
    }

    pub(super) fn records(&self) -> std::sync::RwLockReadGuard<'_, HashMap<PublicKey, Arc<Record>>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs in although few tries are left, or although the token refused this PIN before: `sigward hsm login --once`. What a success
/// leaves behind is a token that takes the PIN again.
///
/// # Errors
/// As [`Pkcs11Provider::open`].
pub fn log_in_once(config: &TokenConfig, arena: &Arena) -> Result<(TokenIdentity, LoggedIn), ProviderError> {
    log_in(config, arena, Tries::UseOne).map(|(_, token, outcome)| (token.identity(), outcome))
}

/// A client of the configured token, which was logged in to once.
pub(super) fn connect(
    config: &TokenConfig,
    arena: &Arena,
    tries: Tries,
) -> Result<(Arc<Client>, Present), ProviderError> {
    log_in(config, arena, tries).map(|(client, token, _)| (client, token))
}

fn log_in(
    config: &TokenConfig,
    arena: &Arena,
    tries: Tries,
) -> Result<(Arc<Client>, Present, LoggedIn), ProviderError> {
    let failed = |error: TokenError| error.during(Operation::Initialize);
    let from_file = |error| ProviderError::from_file(Operation::Initialize, error);
    private_file::ensure_folder(&config.folder).map_err(from_file)?;
    let client = Arc::new(Client::new(
        Module::load(&config.module).map_err(failed)?,
        config.token.clone(),
        PinnedSerial::load(&config.folder).map_err(from_file)?,
        Logins::new(arena, config.pin.clone(), config.refused_pins.clone()),
    ));
    let log_in = || client.log_in(Access::Read, tries);
    // A module that was loaded before this token was made, or was away, may see it only after a restart.
    let (live, token, outcome) = log_in()
        .or_else(|error| match error.kind {
            Kind::Lost | Kind::Stranger => client.revive().and_then(|()| log_in()),
            _ => Err(error),
        })
        .map_err(failed)?;
    client.close(live);
    client.set(Presence::Up);
    Ok((client, token, outcome))
}

/// As many sessions as asked for, if the token has them; one is left for acts and one for the keeper.
pub(super) fn pool_size(asked: usize, allowed: cryptoki::slot::Limit) -> usize {
    use cryptoki::slot::Limit;
    let most = match allowed {
        Limit::Max(most) => usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(2),
        Limit::Infinite | Limit::Unavailable => usize::MAX,
    };
    asked.clamp(1, 64).min(most.max(1))
}

fn metadata(record: &Record) -> KeyMetadata {
    KeyMetadata {
        public_key: record.public_key,
        address: address(&record.public_key),
        name: record.name.clone(),
        origin: record.origin,
        created_at: record.created_at,
        storage: StorageType::Hardware,
    }
}

/// Removes what has an id of ours, made a moment ago, and no record.
fn remove(id: &CkaId) -> Undo {
    let id = id.clone();
    Box::new(move |session| objects::destroy_made(session, &id))
}

/// Whether a private key is the half of `public_key`, by what it signs.
fn signs_as(session: &Session, private: ObjectHandle, public_key: &PublicKey) -> Result<bool, TokenError> {
    let signature = objects::sign(
        session,
        private,
        public_key.algorithm(),
        SELF_TEST,
        &mut Hashing::default(),
    )?;
    let verified = Verifier::new(public_key).and_then(|verifier| verifier.verify(SELF_TEST, &signature));
    Ok(verified.is_ok())
}

fn random_id(operation: Operation) -> Result<CkaId, ProviderError> {
    CkaId::random().map_err(|error| ProviderError::fault(operation, error))
}

impl Sign<Consensus> for Pkcs11Provider {
    fn submit(&self, key: &KeyHandle, order: SignOrder<Consensus>, done: Done<Consensus>) {
        match same_key(key, &order).and_then(|()| self.find(key.public_key())) {
            Ok(record) => self.pool.submit(record, order, done),
            Err(error) => {
                drop(order);
                done(Err(error));
            }
        }
    }
}

impl KeyStorageProvider for Pkcs11Provider {
    fn store_key(
        &self,
        auth: &AuthContext,
        name: &KeyName,
        created_at: UnixSeconds,
        material: KeyMaterial,
    ) -> Result<KeyMetadata, ProviderError> {
        auth.may_manage()?;
        self.name_is_free(name)?;
        let public_key = *material.public_key();
        if self.find(&public_key).is_ok() {
            let message = format!("the token has the key {public_key} already");
            return Err(ProviderError::refused("public_key_exists", message));
        }
        let id = random_id(Operation::Store)?;
        let (for_act, label) = (id.clone(), name.to_string());
        let import = move |session: &Session| objects::import(session, &material, &for_act, &label);
        let protection = self
            .acts
            .run_or_undo(Operation::Store, import, Some(remove(&id)))?;
        let record = Record {
            name: name.clone(),
            public_key,
            origin: Origin::Imported,
            created_at,
            serial: self.identity.serial.clone(),
            id,
            protection: Some(protection),
        };
        self.take_in(record, Operation::Store)
    }

    fn load_key(&self, public_key: &PublicKey) -> Result<KeyHandle, ProviderError> {
        self.find(public_key)
            .map(|record| KeyHandle::new(record.public_key))
    }

    fn delete_key(&self, auth: &AuthContext, key: &KeyHandle) -> Result<(), ProviderError> {
        auth.may_manage()?;
        let record = self.find(key.public_key())?;
        // It stops signing first: should the token fail, the next start still finds the record.
        self.keys
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key.public_key());
        let (id, public_key) = (record.id.clone(), record.public_key);
        self.acts.run(Operation::Delete, move |session| {
            objects::destroy_pair(session, &id, &public_key, |private| {
                signs_as(session, private, &public_key)
            })
        })?;
        record
            .remove(&self.folder)
            .map_err(|error| ProviderError::from_file(Operation::Delete, error))
    }

    fn list_keys(&self) -> Result<Vec<KeyMetadata>, ProviderError> {
        Ok(KeyMetadata::by_name(
            self.records().values().map(|record| metadata(record)),
        ))
    }

    fn storage_type(&self) -> StorageType {
        StorageType::Hardware
    }
}

impl HsmProvider for Pkcs11Provider {
    fn initialize(&self) -> Result<(), ProviderError> {
        // A record that does not read costs its own key and no other: `damaged_records` tells of it.
        let (records, _quarantined) = record::read_all(&self.folder)
            .map_err(|error| ProviderError::from_file(Operation::Initialize, error))?;
        let known = records
            .into_iter()
            .filter(|record| record.serial == self.identity.serial)
            .map(|record| (record.public_key, Arc::new(record)))
            .collect();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    fn generate_key_pair(&self, auth: &AuthContext, spec: &KeySpec) -> Result<KeyMetadata, ProviderError> {
        auth.may_manage()?;
        self.name_is_free(&spec.name)?;
        let id = random_id(Operation::Generate)?;
        let (for_act, label, algorithm) = (id.clone(), spec.name.to_string(), spec.algorithm);
        let generate = move |session: &Session| objects::generate(session, algorithm, &for_act, &label);
        let (public_key, protection) =
            self.acts
                .run_or_undo(Operation::Generate, generate, Some(remove(&id)))?;
        let record = Record {
            name: spec.name.clone(),
            public_key,
            origin: Origin::Generated,
            created_at: spec.created_at,
            serial: self.identity.serial.clone(),
            id,
            protection: Some(protection),
        };
        self.take_in(record, Operation::Generate)
    }

    fn derive_key(
        &self,
        auth: &AuthContext,
        parent: &KeyHandle,
        _spec: &KeySpec,
    ) -> Result<KeyMetadata, ProviderError> {
        auth.may_manage()?;
        self.find(parent.public_key())?;
        Err(ProviderError::Unsupported {
            operation: Operation::Derive,
            reason: NO_DERIVATION,
        })
    }

    fn export_public_key(&self, key: &KeyHandle) -> Result<PublicKey, ProviderError> {
        self.find(key.public_key()).map(|record| record.public_key)
    }

    fn provider_info(&self) -> ProviderInfo {
        ProviderInfo {
            name: "pkcs11",
            version: env!("CARGO_PKG_VERSION"),
            storage: StorageType::Hardware,
            algorithms: &[Algorithm::Ed25519, Algorithm::Secp256k1],
            keys: self.records().len(),
            memory_locked: true,
        }
    }
}

#[cfg(test)]
mod endurance;
#[cfg(test)]
mod logins;
#[cfg(test)]
mod shares;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trouble;
