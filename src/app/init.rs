//! `init`: configuration, sealing key, node identity, key folder and an empty guard. An existing one is never touched.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sigward_hsm::envelope::KekSource;
use sigward_hsm::identity::NodeIdentity;
use sigward_policies::model::id::StoreId;

use super::parts;
use crate::config::{self, SealSource};
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

/// Makes a home, or finishes one that was cut off. The configuration is written last: a home with one is whole.
pub fn init(home: &Path, durability: Durability) -> anyhow::Result<Made> {
    let file = home.join(config::FILE_NAME);
    anyhow::ensure!(
        !file.exists(),
        "{} exists already; `sigward config check` looks at it, another --home makes another",
        file.display()
    );
    private_folder(home)?;
    let text = match durability {
        Durability::Demanded => config::DEFAULT.to_owned(),
        Durability::Volatile => config::DEFAULT.replace("#allow_volatile = false", "allow_volatile = true"),
    };
    let config = config::parse(&text, home)?;
    private_folder(&config.keys.dir)?;
    private_folder(&config.store.dir)?;

    let arena = parts::arena(&config)?;
    if let SealSource::KeyFile(path) = &config.seal
        && !path.exists()
    {
        KekSource::create_key_file(&arena, path).context("cannot write the sealing key")?;
    }
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
