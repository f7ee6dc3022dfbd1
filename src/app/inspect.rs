//! Looking without serving: what `serve` would find in memory, seal, identity and sealed keys. Takes no lock, opens no store and
//! writes nothing, so it may run beside a daemon. (A token that seals is logged in to, as `serve` does; a PIN that it refuses is
//! remembered.)

use std::path::{Path, PathBuf};

use sigward_hsm::envelope::{self, Kek, MAX_SEALED, Sealed, Sealing, StoreCheck};
use sigward_hsm::identity::NodeIdentity;
use sigward_hsm::secret::{Arena, ArenaSize, Unlocked};
use sigward_hsm::software::TWIN;

use super::parts::MAX_KEYS;
use super::seal;
use crate::config::Config;

/// How many keys the locked arena has room for.
pub const LOCKED_BYTES_KEYS: u32 = MAX_KEYS;

/// Each key file under a passphrase costs a derivation (64 MiB of memory): beyond this many they are looked at, not opened.
const MOST_DERIVATIONS: usize = 8;

/// Why something would not open: the stable code and sentence, and what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// Code and sentence.
    pub what: String,
    /// What to do.
    pub remedy: Option<String>,
}

/// A sealed key's file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedFile {
    /// The file.
    pub path: PathBuf,
    /// What it says that its key is called; proved where `opened` is `Ok(true)`.
    pub name: Option<String>,
    /// The public key in hex, as it says.
    pub public_key: Option<String>,
    /// The guard store that it says to belong to.
    pub store: Option<String>,
    /// Whether it opened; `Ok(false)` when it was not tried.
    pub opened: Result<bool, Trouble>,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inspection {
    /// What opens sealed keys.
    pub seal: Result<(), Trouble>,
    /// The node identity.
    pub identity: Result<(), Trouble>,
    /// Every sealed key.
    pub sealed: Vec<SealedFile>,
}

/// How much memory the arena of secrets takes, and whether this process may lock it.
pub fn try_lock_memory() -> (u64, Result<(), String>) {
    let size = ArenaSize::for_keys(MAX_KEYS);
    let locked = Arena::new(size, Unlocked::Refuse).map(drop).map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        cause.unwrap_or_else(|| error.to_string())
    });
    (size.locked_bytes(), locked)
}

/// Opens seal, identity and sealed keys, and closes them again.
pub fn inspect(config: &Config, sealed: &[PathBuf]) -> Inspection {
    let arena = match Arena::new(ArenaSize::for_keys(64), Unlocked::Allow) {
        Ok(arena) => arena,
        Err(error) => {
            let trouble = trouble(error.code(), &error, error.remedy());
            return Inspection {
                seal: Err(trouble.clone()),
                identity: Err(trouble),
                sealed: Vec::new(),
            };
        }
    };
    let kek = seal::read(config, &arena).map_err(|error| trouble(error.code(), &error, error.remedy()));
    let mut derivations = 0;
    let sealed = sealed
        .iter()
        .map(|path| sealed_file(path, kek.as_ref().ok(), &mut derivations))
        .collect();
    Inspection {
        seal: kek.map(drop),
        identity: NodeIdentity::load(&arena, &config.identity)
            .map(drop)
            .map_err(|error| trouble(error.code(), &error, error.remedy())),
        sealed,
    }
}

fn sealed_file(path: &Path, kek: Option<&Kek>, derivations: &mut usize) -> SealedFile {
    let mut file = SealedFile {
        path: path.to_owned(),
        name: None,
        public_key: None,
        store: None,
        opened: Ok(false),
    };
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            file.opened = Err(trouble("file_unreadable", &error, None));
            return file;
        }
    };
    let parsed = match Sealed::parse(&bytes) {
        Ok(parsed) => parsed,
        Err(error) => {
            file.opened = Err(trouble(error.code(), &error, None));
            return file;
        }
    };
    let header = parsed.unchecked_header();
    file.name = Some(header.name.to_string());
    file.public_key = Some(hex::encode(header.public_key.as_bytes()));
    file.store = Some(header.store.to_string());
    let Some(kek) = kek else { return file };
    if matches!(parsed.sealing(), Sealing::Argon2id { .. }) {
        *derivations += 1;
        if *derivations > MOST_DERIVATIONS {
            return file;
        }
    }
    // A move of the seal that was cut off left a twin, which the next start puts in the file's place.
    let twin = read(&path.with_extension(TWIN)).ok();
    if twin.is_some_and(|twin| envelope::open(kek, &twin, StoreCheck::Must(header.store)).is_ok()) {
        file.opened = Ok(true);
        return file;
    }
    // Whose store it is was read above and is compared by whoever judges: here it only has to open.
    file.opened = envelope::open(kek, &bytes, StoreCheck::Must(header.store))
        .map(|_opened| true)
        .map_err(|error| trouble(error.code(), &error, error.remedy()));
    file
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_SEALED as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn trouble(code: &str, error: &dyn std::error::Error, remedy: Option<String>) -> Trouble {
    let mut what = format!("{code}: {error}");
    if let Some(cause) = error.source().map(ToString::to_string)
        && !what.contains(&cause)
    {
        what = format!("{what}: {cause}");
    }
    Trouble { what, remedy }
}
