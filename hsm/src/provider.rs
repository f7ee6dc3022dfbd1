//! What a backend of keys is: object-safe traits and the plain data they speak in.
//!
//! May import: `error`, `secret` handles, `policies` (vocabulary and proof tokens). No backend, no runtime.
//!
//! # Invariants
//! * A signature of a stored key comes from a [`SignOrder`] and from nothing else; what comes out is [`Unreleased`].
//! * No method gives out bytes of a private key.
//! * No method takes a bare digest: who may choose one may have anything signed. The shape of a signature belongs to the payload
//!   (`Payload::Signatures`): 64 bytes for a consensus message; r‖s‖v, which `ecdsa` works out, for a payload that asks for it.
//!   P-256, which no payload needs yet, is therefore tried by the probe and offered by no trait.
//!
//! Adding a provider: implement [`KeyStorageProvider`], [`Sign`] and [`HsmProvider`], then pass `conformance::run`.

use std::sync::mpsc;

use sigward_policies::{
    model::{
        algorithm::{Address, Algorithm, PublicKey},
        caller::Caller,
        id::{KeyName, UnixSeconds},
        key::Origin,
        payload::Consensus,
    },
    proof::{Payload, SignOrder, Unreleased},
};

use crate::{
    envelope::{Header, SealError, StoreCheck},
    error::{Operation, ProviderError},
    secret::SecretBytes,
    software::KeyMaterial,
};

/// Where private keys are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StorageType {
    /// Sealed on disk, used in this process's memory.
    Software,
    /// In a token that the key never leaves.
    Hardware,
    /// In shares; nobody holds the whole.
    Distributed,
}

impl StorageType {
    /// The word on the wire and in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Hardware => "hardware",
            Self::Distributed => "distributed",
        }
    }
}

/// On whose behalf keys are managed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthContext {
    caller: Caller,
}

impl AuthContext {
    /// A caller that has been authenticated and authorized.
    #[must_use]
    pub const fn new(caller: Caller) -> Self {
        Self { caller }
    }

    /// Who it is.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// A second line of defence behind authorization: a node's connection never makes, brings in or destroys a key.
    pub(crate) fn may_manage(&self) -> Result<(), ProviderError> {
        match self.caller {
            Caller::LocalUser { .. }
            | Caller::Certificate { .. }
            | Caller::Token { .. }
            | Caller::Service => Ok(()),
            Caller::Node { .. } | Caller::ApiKey { .. } => Err(ProviderError::refused(
                "not_permitted",
                "a node does not manage keys, nor does an API key",
            )),
        }
    }
}

/// A key that a provider has, as it is named in requests to that provider. Holds no secret; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyHandle {
    public_key: PublicKey,
}

impl KeyHandle {
    pub(crate) const fn new(public_key: PublicKey) -> Self {
        Self { public_key }
    }

    /// The public key, which is the key's identity.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

/// What is known of a key besides its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyMetadata {
    /// The key's identity.
    pub public_key: PublicKey,
    /// Its address, 20 bytes.
    pub address: Address,
    /// What people call it.
    pub name: KeyName,
    /// Where it came from.
    pub origin: Origin,
    /// When it was made or brought in.
    pub created_at: UnixSeconds,
    /// Where it is kept.
    pub storage: StorageType,
}

impl KeyMetadata {
    /// The order of every list of keys: by name, then by public key.
    pub(crate) fn by_name(keys: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut keys: Vec<_> = keys.into_iter().collect();
        keys.sort_unstable_by(|a, b| (&a.name, a.public_key).cmp(&(&b.name, b.public_key)));
        keys
    }
}

/// What a new key is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpec {
    /// What people will call it.
    pub name: KeyName,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Now, by the caller's clock.
    pub created_at: UnixSeconds,
}

/// What a provider is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderInfo {
    /// Its name in configuration and records.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Where it keeps keys.
    pub storage: StorageType,
    /// What its keys can sign with.
    pub algorithms: &'static [Algorithm],
    /// How many keys it has open.
    pub keys: usize,
    /// Whether secrets in this process's memory are locked; true where there are none.
    pub memory_locked: bool,
}

/// A place where keys are kept.
pub trait KeyStorageProvider: Send + Sync {
    /// Takes in a key from outside; durable when it returns.
    ///
    /// # Errors
    /// `public_key_exists`, `key_exists` (the name); otherwise as the backend fails.
    fn store_key(
        &self,
        auth: &AuthContext,
        name: &KeyName,
        created_at: UnixSeconds,
        material: KeyMaterial,
    ) -> Result<KeyMetadata, ProviderError>;

    /// Finds a key.
    ///
    /// # Errors
    /// `key_not_found`.
    fn load_key(&self, public_key: &PublicKey) -> Result<KeyHandle, ProviderError>;

    /// Destroys a key; durable when it returns.
    ///
    /// # Errors
    /// `key_not_found`; otherwise as the backend fails.
    fn delete_key(&self, auth: &AuthContext, key: &KeyHandle) -> Result<(), ProviderError>;

    /// Every key, ordered by name.
    ///
    /// # Errors
    /// As the backend fails.
    fn list_keys(&self) -> Result<Vec<KeyMetadata>, ProviderError>;

    /// Where keys are kept.
    fn storage_type(&self) -> StorageType;
}

/// Seals keys at rest, and opens them: a key-encryption key in memory (`envelope::Kek`), or one in a token.
pub trait KeyEncryptionProvider: Send + Sync {
    /// The bytes of a sealed file.
    ///
    /// # Errors
    /// [`SealError`].
    fn encrypt_key(&self, header: Header, secret: &SecretBytes<32>) -> Result<Vec<u8>, SealError>;

    /// What a sealed file holds; nothing for a changed byte or another store.
    ///
    /// # Errors
    /// [`SealError`].
    fn decrypt_key(&self, file: &[u8], store: StoreCheck) -> Result<(Header, SecretBytes<32>), SealError>;
}

/// Called once with the outcome of an order: inline, or on a thread of the provider. It must not block.
pub type Done<P> = Box<dyn FnOnce(Result<Unreleased<P>, ProviderError>) + Send>;

/// Signs payloads of kind `P`.
pub trait Sign<P: Payload>: Send + Sync {
    /// Takes an order and signs the messages in it, and nothing else. `done` is called exactly once, whatever happens; an
    /// order that fails is dropped, which gives its position back.
    fn submit(&self, key: &KeyHandle, order: SignOrder<P>, done: Done<P>);
}

/// A whole backend: it makes keys, keeps them, and signs consensus messages with them.
pub trait HsmProvider: KeyStorageProvider + Sign<Consensus> {
    /// Opens the backend, or looks again at what is in it. Keys that are open stay open.
    ///
    /// # Errors
    /// `initialization_failed`, or what is wrong with the place where keys are kept.
    fn initialize(&self) -> Result<(), ProviderError>;

    /// Makes a key pair; returns after it is durable, was read back, and signed and verified a test message.
    ///
    /// # Errors
    /// `key_generation_failed`, `key_exists`, `unsupported`.
    fn generate_key_pair(&self, auth: &AuthContext, spec: &KeySpec) -> Result<KeyMetadata, ProviderError>;

    /// [`Sign::submit`] for callers that can wait.
    ///
    /// # Errors
    /// As [`Sign::submit`]; `provider_fault` when the provider dropped the order without a word.
    fn sign(
        &self,
        key: &KeyHandle,
        order: SignOrder<Consensus>,
    ) -> Result<Unreleased<Consensus>, ProviderError> {
        let (tell, hear) = mpsc::sync_channel(1);
        // Nobody listens any more only if this frame is gone, and then nobody wants the outcome.
        self.submit(key, order, Box::new(move |outcome| drop(tell.send(outcome))));
        hear.recv().unwrap_or_else(|_| {
            Err(ProviderError::fault(
                Operation::Sign,
                "the provider dropped the order",
            ))
        })
    }

    /// Derives a key pair from a key. No provider can: software keys have no chain code, and what tokens derive are secret keys.
    ///
    /// # Errors
    /// `unsupported`, with the mechanism that is not there; `key_not_found` (the parent).
    fn derive_key(
        &self,
        auth: &AuthContext,
        parent: &KeyHandle,
        spec: &KeySpec,
    ) -> Result<KeyMetadata, ProviderError>;

    /// The public key, from the backend and not from the handle.
    ///
    /// # Errors
    /// `key_not_found`.
    fn export_public_key(&self, key: &KeyHandle) -> Result<PublicKey, ProviderError>;

    /// What this provider is.
    fn provider_info(&self) -> ProviderInfo;
}

/// Refuses an order that names another key than the handle it came with.
pub(crate) fn same_key<P: Payload>(key: &KeyHandle, order: &SignOrder<P>) -> Result<(), ProviderError> {
    if order.public_key() == key.public_key() {
        return Ok(());
    }
    let message = format!(
        "the order is for {}, and was given to {}",
        order.public_key(),
        key.public_key()
    );
    Err(ProviderError::refused("order_for_another_key", message))
}
