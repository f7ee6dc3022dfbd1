//! Looking at a token without changing anything: which keys are recorded, which of them it does not show, how busy it is.
//!
//! # Invariant
//! A key that the token does not show is told of and stays recorded: it may come back, and nothing else takes its place.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cryptoki::session::Session;
use sigward_policies::model::{algorithm::PublicKey, id::KeyName};

use super::{
    error::{Kind, TokenError},
    objects,
    protection::Protection,
    provider::Pkcs11Provider,
    record::{self, Record, RecordError},
};
use crate::{
    FileError,
    error::{Operation, ProviderError},
};

/// Where a key is: in which token, and as which object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKey {
    /// What it is called.
    pub name: KeyName,
    /// The key.
    pub public_key: PublicKey,
    /// The serial number of its token.
    pub serial: String,
    /// `CKA_ID` of its objects, lower-case hex.
    pub id: String,
    /// How it is confined to its token; nothing where an earlier version took it in, which did not record it.
    pub protection: Option<Protection>,
}

/// A record that does not read: its key is quarantined, and every other key of the token signs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedRecord {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it; names the file.
    pub what: String,
}

impl From<RecordError> for DamagedRecord {
    fn from(error: RecordError) -> Self {
        Self {
            path: error.path().to_owned(),
            what: error.to_string(),
        }
    }
}

/// How busy a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Sessions that sign.
    pub sessions: usize,
    /// Signatures that wait for one.
    pub waiting: usize,
    /// Sessions inside a call that outlived its deadline.
    pub hanging: usize,
}

/// The keys that a folder has records of, whether their token is there or not. No folder, no keys.
///
/// # Errors
/// What is wrong with the folder. Records that do not read are left out: [`damaged_records`] tells of them.
pub fn recorded_keys(folder: &Path) -> Result<Vec<TokenKey>, FileError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let (records, _told_elsewhere) = record::read_all(folder)?;
    let mut keys: Vec<_> = records.iter().map(token_key).collect();
    keys.sort_unstable_by(|a, b| (&a.name, a.public_key).cmp(&(&b.name, b.public_key)));
    Ok(keys)
}

/// The records of a folder that do not read, by file. No folder, no records.
///
/// # Errors
/// What is wrong with the folder.
pub fn damaged_records(folder: &Path) -> Result<Vec<DamagedRecord>, FileError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let (_, errors) = record::read_all(folder)?;
    let mut damaged: Vec<_> = errors.into_iter().map(DamagedRecord::from).collect();
    damaged.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(damaged)
}

impl Pkcs11Provider {
    /// Recorded keys whose private object the token does not show.
    ///
    /// # Errors
    /// As the token fails.
    pub fn missing_keys(&self) -> Result<Vec<TokenKey>, ProviderError> {
        let records: Vec<_> = self.records().values().cloned().collect();
        if records.is_empty() {
            return Ok(Vec::new());
        }
        // Said as an error first: the module may have lost sight of a token that was away, and is then started anew.
        let all = records.clone();
        let whole = self.acts.run(Operation::List, move |session| {
            match list(session, &all)?.first() {
                None => Ok(()),
                Some(key) => Err(TokenError::new(
                    Kind::Missing,
                    format!(
                        "C_FindObjects found no private key for {} (id {})",
                        key.name, key.id
                    ),
                    "bring the object back from the token's backup",
                )),
            }
        });
        match whole {
            Ok(()) => Ok(Vec::new()),
            Err(ProviderError::Fault { .. }) => self
                .acts
                .run(Operation::List, move |session| list(session, &records)),
            Err(error) => Err(error),
        }
    }
}

fn list(session: &Session, records: &[Arc<Record>]) -> Result<Vec<TokenKey>, TokenError> {
    let mut missing = Vec::new();
    for record in records {
        if objects::find_private(session, &record.id)?.is_none() {
            missing.push(token_key(record));
        }
    }
    missing.sort_unstable_by(|a, b| (&a.name, a.public_key).cmp(&(&b.name, b.public_key)));
    Ok(missing)
}

fn token_key(record: &Record) -> TokenKey {
    TokenKey {
        name: record.name.clone(),
        public_key: record.public_key,
        serial: record.serial.clone(),
        id: hex::encode(record.id.as_bytes()),
        protection: record.protection,
    }
}
