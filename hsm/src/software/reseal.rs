//! A folder of sealed files, and the one of the checkpoint key below it, on its way from one key-encryption key to another.
//!
//! Each file gets a twin beside it, `<public key>.sealed-next`, sealed with the new key. Then the configuration names the new key,
//! in one step, and that step alone decides: at the next look the twins take the places of the files if they open with what the
//! configuration names, and are removed if they do not.
//!
//! # Invariants
//! * At every moment each key opens with what the configuration names: by its file, or by its twin.
//! * Nothing is renamed or removed unless every key that has a twin opens afterwards.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::checkpoint::FOLDER;
use crate::{
    envelope::{MAX_SEALED, StoreCheck},
    error::{Operation, ProviderError},
    private_file::{self, Existing, FileError},
    provider::KeyEncryptionProvider,
};

const SEALED: &str = ".sealed";
/// What the name of a twin ends with, after the dot.
pub const TWIN: &str = "sealed-next";

/// What becomes of the twins of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// There was none.
    Nothing,
    /// So many took the places of their files.
    Forward(usize),
    /// So many were removed.
    Back(usize),
    /// Some key would not open afterwards: all were left alone.
    Undecided(usize),
}

/// A folder of sealed files.
#[derive(Debug, Clone)]
pub struct Reseal {
    folder: PathBuf,
}

/// A key of the folder, by what there is of it.
#[derive(Default)]
struct Pair {
    file: Option<PathBuf>,
    twin: Option<PathBuf>,
}

impl Reseal {
    /// The folder at `folder`.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// The sealed files, in order of name.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn files(&self) -> Result<Vec<PathBuf>, ProviderError> {
        Ok(self.pairs()?.into_values().filter_map(|pair| pair.file).collect())
    }

    /// How many keys there are, the one of checkpoints left out: it is nobody's but the audit chain's.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn keys(&self) -> Result<usize, ProviderError> {
        let own = |path: &PathBuf| path.parent() == Some(&self.folder);
        Ok(self.files()?.iter().filter(|path| own(path)).count())
    }

    /// The twins, in order of name.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn twins(&self) -> Result<Vec<PathBuf>, ProviderError> {
        Ok(self.pairs()?.into_values().filter_map(|pair| pair.twin).collect())
    }

    /// Gives a file its twin, which opens with `to` to the very same secret.
    ///
    /// # Errors
    /// A file that does not open with `from`: its key would be lost on the way.
    pub fn stage(
        &self,
        file: &Path,
        from: &dyn KeyEncryptionProvider,
        to: &dyn KeyEncryptionProvider,
    ) -> Result<(), ProviderError> {
        let seal = |error| ProviderError::from_seal(Operation::Store, error);
        let disk = |error| ProviderError::from_file(Operation::Store, error);
        let bytes = private_file::read_sealed(file, MAX_SEALED).map_err(disk)?;
        // Whose store it belongs to is in its header and stays there: a key of another store is none of ours afterwards either.
        let (header, secret) = from.decrypt_key(&bytes, StoreCheck::Adopting).map_err(seal)?;
        let resealed = to.encrypt_key(header.clone(), &secret).map_err(seal)?;
        let twin = twin_of(file);
        private_file::write(&twin, &resealed, Existing::Replace).map_err(disk)?;
        let on_disk = private_file::read_sealed(&twin, MAX_SEALED).map_err(disk)?;
        let (again, same) = to.decrypt_key(&on_disk, StoreCheck::Adopting).map_err(seal)?;
        if again == header && same.ct_eq(&secret) {
            return Ok(());
        }
        Err(ProviderError::fault(
            Operation::Store,
            "a resealed key reads back as another",
        ))
    }

    /// Brings the folder in line with `now`, the key that the configuration names. What was cut off is done again by the next call.
    ///
    /// # Errors
    /// As the disk fails.
    pub fn settle(&self, now: &dyn KeyEncryptionProvider) -> Result<Settled, ProviderError> {
        self.settle_each(now, || {})
    }

    /// The same; `after_each` is called after each file.
    ///
    /// # Errors
    /// As the disk fails.
    pub fn settle_each(
        &self,
        now: &dyn KeyEncryptionProvider,
        after_each: impl Fn(),
    ) -> Result<Settled, ProviderError> {
        let pairs = self.pairs()?;
        let count = pairs.values().filter(|pair| pair.twin.is_some()).count();
        if count == 0 {
            return Ok(Settled::Nothing);
        }
        let opens = |path: &Option<PathBuf>| path.as_deref().is_some_and(|path| opens(path, now));
        let seen: Vec<(Pair, bool, bool)> = pairs
            .into_values()
            .map(|pair| {
                let (file, twin) = (opens(&pair.file), opens(&pair.twin));
                (pair, file, twin)
            })
            .collect();
        let forward = seen.iter().any(|(_, _, twin)| *twin);
        // A file that never had a twin and does not open is another trouble, unless others would go forward without it.
        let lost =
            |(pair, file, twin): &(Pair, bool, bool)| !file && !twin && (forward || pair.twin.is_some());
        if seen.iter().any(lost) {
            return Ok(Settled::Undecided(count));
        }
        for (pair, file, opens) in seen {
            let Some(twin) = pair.twin else { continue };
            if opens && !file {
                take_place(&twin)?;
            } else {
                remove(&twin)?;
            }
            after_each();
        }
        Ok(if forward {
            Settled::Forward(count)
        } else {
            Settled::Back(count)
        })
    }

    fn pairs(&self) -> Result<BTreeMap<String, Pair>, ProviderError> {
        let mut pairs = BTreeMap::new();
        collect(&self.folder, &mut pairs)?;
        let audit = self.folder.join(FOLDER);
        if audit.is_dir() {
            collect(&audit, &mut pairs)?;
        }
        Ok(pairs)
    }
}

/// What a folder has of each key. A public key names its files; no key is in two folders.
fn collect(folder: &Path, pairs: &mut BTreeMap<String, Pair>) -> Result<(), ProviderError> {
    let fault = |source| {
        let path = folder.to_owned();
        ProviderError::from_file(
            Operation::List,
            FileError::Io {
                operation: "list",
                path,
                source,
            },
        )
    };
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let name = entry.map_err(fault)?.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
            continue;
        };
        if let Some(key) = name.strip_suffix(TWIN).and_then(|name| name.strip_suffix('.')) {
            pairs.entry(key.to_owned()).or_default().twin = Some(folder.join(name));
        } else if let Some(key) = name.strip_suffix(SEALED) {
            pairs.entry(key.to_owned()).or_default().file = Some(folder.join(name));
        }
    }
    Ok(())
}

fn opens(path: &Path, with: &dyn KeyEncryptionProvider) -> bool {
    private_file::read_sealed(path, MAX_SEALED)
        .is_ok_and(|bytes| with.decrypt_key(&bytes, StoreCheck::Adopting).is_ok())
}

fn take_place(twin: &Path) -> Result<(), ProviderError> {
    private_file::replace(twin, &file_of(twin))
        .map_err(|error| ProviderError::from_file(Operation::Store, error))
}

fn remove(twin: &Path) -> Result<(), ProviderError> {
    private_file::remove(twin).map_err(|error| ProviderError::from_file(Operation::Delete, error))
}

fn twin_of(file: &Path) -> PathBuf {
    file.with_extension(TWIN)
}

fn file_of(twin: &Path) -> PathBuf {
    twin.with_extension("sealed")
}

#[cfg(test)]
mod tests;
