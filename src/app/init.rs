//! `init`: configuration, sealing key, node identity, key folder and an empty guard. An existing one is never touched.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sigward_hsm::identity::NodeIdentity;
use sigward_policies::model::id::StoreId;

use super::{parts, seal};
use crate::config;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{OpenCode, OpenError, Store as _};

/// What `init` made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The configuration that was written.
    pub config: PathBuf,
    /// The identity of the new guard store.
    pub store_id: StoreId,
}

/// Whether the file system must keep what it was told to keep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Yes; what is not known to be durable is refused.
    Demanded,
    /// No, for development: `allow_volatile = true` is written into the configuration.
    Volatile,
}

/// The commits of a store that was made and never used.
const UNUSED: u64 = 1;

/// A token that is the root of a new home, from its first moment on.
#[derive(Clone, Debug)]
pub struct RootToken {
    /// What the `[[provider]]` is to be called.
    pub provider: String,
    /// The vendor's library.
    pub module: PathBuf,
    /// The token's label.
    pub token_label: String,
    /// The file with its user PIN.
    pub pin_file: Option<PathBuf>,
    /// Or the systemd credential.
    pub pin_credential: Option<String>,
    /// What to call the wrapping key.
    pub key_label: String,
}

/// Makes a home, or finishes one that was cut off. The configuration is written last: a home with one is whole.
pub fn init(home: &Path, durability: Durability) -> anyhow::Result<Made> {
    make(home, durability, None)
}

/// The same, with the keys sealed by a token: no key file ever exists.
pub fn init_with_token(home: &Path, durability: Durability, token: &RootToken) -> anyhow::Result<Made> {
    make(home, durability, Some(token))
}

fn make(home: &Path, durability: Durability, token: Option<&RootToken>) -> anyhow::Result<Made> {
    let file = home.join(config::FILE_NAME);
    anyhow::ensure!(
        !file.exists(),
        "{} exists already; `sigward config check` looks at it, another --home makes another",
        file.display()
    );
    let mut text = match durability {
        Durability::Demanded => config::DEFAULT.to_owned(),
        Durability::Volatile => config::DEFAULT.replace("#allow_volatile = false", "allow_volatile = true"),
    };
    if let Some(token) = token {
        text = with_token(&text, token, home)?;
    }
    let config = config::parse(&text, home)?;
    private_folder(home)?;
    private_folder(&config.keys.dir)?;
    private_folder(&config.store.dir)?;

    let arena = parts::arena(&config)?;
    seal::make(&config, &config.seal, &arena)?;
    // What was there already must open too.
    seal::read(&config, &arena).map_err(|error| anyhow::anyhow!(error.told()))?;
    if !config.identity.exists() {
        NodeIdentity::generate(&arena)?.save(&arena, &config.identity)?;
    }
    let store_id = create_store(&parts::store_options(&config))?;
    write_new(&file, text.as_bytes())?;
    Ok(Made {
        config: file,
        store_id,
    })
}

/// The configuration with the token in it, as a provider and as the seal.
fn with_token(text: &str, token: &RootToken, home: &Path) -> anyhow::Result<String> {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let pin = match (&token.pin_file, &token.pin_credential) {
        (Some(file), _) => format!("pin_file = {}", quoted(&file.to_string_lossy())),
        (None, Some(name)) => format!("pin_credential = {}", quoted(name)),
        (None, None) => {
            anyhow::bail!("say where the token's PIN is: --pin-file FILE or --pin-credential NAME")
        }
    };
    let text = format!(
        "{}\n\n# The token that seals the keys.\n[[provider]]\nid = {}\n[provider.pkcs11]\nmodule = {}\ntoken_label = {}\n{pin}\n",
        text.trim_end(),
        quoted(&token.provider),
        quoted(&token.module.to_string_lossy()),
        quoted(&token.token_label),
    );
    let provider = config::parse(&text, home)?.providers.into_iter().next();
    let provider = provider.context("the provider is not in the configuration")?.id;
    Ok(config::with_seal(
        &text,
        home,
        &seal::of_token(&provider, &token.key_label, home),
    )?)
}

/// A store that is there already is taken only as an `init` leaves it that was cut off before it wrote the configuration:
/// whole, with its witness, and never used.
fn create_store(options: &Options) -> Result<StoreId, OpenError> {
    let exists = match SqliteStore::create(options) {
        Err(exists) if exists.code == OpenCode::StoreExists => exists,
        made => return made,
    };
    let Ok(store) = SqliteStore::open(options) else {
        return Err(exists);
    };
    let (id, commits) = (store.id(), store.health().commit);
    store.close();
    if commits == UNUSED { Ok(id) } else { Err(exists) }
}

fn private_folder(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make the folder {}", path.display()))
}

fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let write = || -> io::Result<()> {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        match path.parent() {
            Some(folder) => std::fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
