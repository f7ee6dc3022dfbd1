//! What is said of a bundle before it is made, and which bundles were handed out and may be confirmed.
//!
//! *Invariants:* who approves a backup approves for whom it is, how well it is locked, and every byte that goes into it in the clear. Only
//! what was made here counts as a backup of anything.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use sigward_hsm::backup::Lock;
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::BundleId;
use sigward_policies::model::key::Key;
use sigward_policies::model::operation::Operation;
use sigward_policies::model::text;

use super::approvals::told;
use super::backup::VerifiedBackup;
use super::consent::Matter;
use crate::store::About;

/// Recipients of one bundle, and the longest of them; a post-quantum one of age has about 2,000 characters.
const MAX_RECIPIENTS: usize = 32;
const MAX_RECIPIENT: usize = 4096;
/// The longest recipient that is told in full to those who approve.
const TOLD_RECIPIENT: usize = 128;
/// Bundles that were made and not confirmed yet. Whoever makes one confirms it at once.
const MAX_UNCONFIRMED: usize = 256;

/// What a bundle opens with, as far as it is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Opens {
    /// A passphrase, stretched so. Whose it is, is the requester's word.
    Passphrase {
        memory_kib: u32,
        passes: u32,
        lanes: u32,
    },
    /// The identities of these recipients.
    Recipients(Vec<String>),
}

impl Opens {
    pub(super) fn new(lock: &Lock, recipients: Vec<String>) -> Result<Self, Refusal> {
        let invalid = |why: &str| Err(Refusal::new(RefusalCode::InvalidParameters, why));
        match lock {
            Lock::Argon2id { .. } if !recipients.is_empty() => {
                invalid("a backup is for a passphrase or for age recipients, not for both")
            }
            Lock::Argon2id { params, .. } => Ok(Self::Passphrase {
                memory_kib: params.memory_kib(),
                passes: params.passes(),
                lanes: params.lanes(),
            }),
            Lock::Age { .. } => {
                let plain = |one: &String| {
                    (1..=MAX_RECIPIENT).contains(&one.len())
                        && one.bytes().all(|b| (b' '..=b'~').contains(&b))
                };
                if !(1..=MAX_RECIPIENTS).contains(&recipients.len()) || !recipients.iter().all(plain) {
                    return invalid(
                        "name the age recipients that the backup is for: 1 to 32, in printable ASCII",
                    );
                }
                Ok(Self::Recipients(recipients))
            }
        }
    }

    /// All that it leaves to the caller's choice.
    fn parameters(&self) -> Vec<String> {
        match self {
            Self::Passphrase {
                memory_kib,
                passes,
                lanes,
            } => vec![format!("passphrase {memory_kib} {passes} {lanes}")],
            Self::Recipients(all) => std::iter::once(format!("{} age recipients", all.len()))
                .chain(all.iter().cloned())
                .collect(),
        }
    }
}

impl fmt::Display for Opens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passphrase {
                memory_kib,
                passes,
                lanes,
            } => write!(
                f,
                "opens with a passphrase (Argon2id, {} MiB, {passes} passes, {lanes} lanes)",
                memory_kib / 1024
            ),
            Self::Recipients(all) => match all.as_slice() {
                [one] if one.len() <= TOLD_RECIPIENT => write!(f, "opens for {one}"),
                all => write!(
                    f,
                    "opens for {} age recipients (sha256 {})",
                    all.len(),
                    digest(all)
                ),
            },
        }
    }
}

/// What is approved: which keys, for whom, and what else goes along.
pub(super) fn matter(keys: &[Key], opens: &Opens, config: Option<&str>) -> Matter {
    let of_each: Vec<_> = keys
        .iter()
        .map(|key| format!("{} {}", key.name, key.version.public_key))
        .collect();
    let config = config.map(|text| (text.len(), hex::encode(Sha256::digest(text))));
    let mut parameters = vec![format!("{} keys", of_each.len())];
    parameters.extend(of_each.iter().cloned());
    parameters.extend(opens.parameters());
    parameters.push(match &config {
        None => "no configuration".to_owned(),
        Some((_, sha256)) => format!("configuration {sha256}"),
    });

    let which = match keys {
        [only] => format!("the private key of {}", only.name),
        several => format!("{} private keys (sha256 {})", several.len(), digest(&of_each)),
    };
    let along = match &config {
        None => String::new(),
        Some((bytes, sha256)) => {
            format!(", with {bytes} bytes of configuration in the clear (sha256 {sha256})")
        }
    };
    let mut more = String::new();
    if let Opens::Passphrase { .. } = opens {
        more.push_str("; the passphrase is of the requester's choice");
    }
    if keys.len() > 1 {
        let names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
        more.push_str(&format!("; keys: {}", names.join(", ")));
    }
    if let Opens::Recipients(all) = opens
        && all.len() > 1
    {
        let all: Vec<_> = all.iter().map(|one| text::cut(one, TOLD_RECIPIENT)).collect();
        more.push_str(&format!("; recipients: {}", all.join(", ")));
    }
    Matter {
        operation: Operation::KeyBackup,
        parameters,
        about: About::Keys(keys.iter().map(|key| key.version.public_key).collect()),
        what: told(&format!("write {which} into a bundle that {opens}{along}"), &more),
        key: match keys {
            [only] => Some(only.version.public_key),
            _ => None,
        },
        chain: None,
        to: None,
    }
}

fn digest(all: &[String]) -> String {
    hex::encode(Sha256::digest(all.join("\n")))
}

/// The bundles that were handed out since this process began. Whoever made one reads it back and confirms it at once; after a restart
/// there is nobody left who could.
#[derive(Debug, Default)]
pub struct HandedOut(Mutex<VecDeque<Bundle>>);

#[derive(Debug)]
struct Bundle {
    id: BundleId,
    sha256: [u8; 32],
    keys: BTreeSet<Vec<u8>>,
}

impl HandedOut {
    pub(super) fn note(&self, id: BundleId, sha256: [u8; 32], keys: Vec<PublicKey>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_UNCONFIRMED {
            all.pop_front();
        }
        let keys = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
        all.push_back(Bundle { id, sha256, keys });
    }

    /// Whether `backup` was made here, of exactly these bytes, and holds all of these keys.
    pub(super) fn knows(&self, backup: &VerifiedBackup) -> Result<(), Refusal> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is = |bundle: &&Bundle| bundle.id == backup.id && bundle.sha256 == backup.sha256;
        // Each is a change and a record: of more than it holds, some are named twice.
        let holds = |bundle: &Bundle| {
            backup.keys.len() <= bundle.keys.len()
                && backup.keys.iter().all(|key| bundle.keys.contains(key.as_bytes()))
        };
        if !backup.keys.is_empty() && all.iter().find(is).is_some_and(holds) {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalCode::InvalidBundle,
            format!(
                "this sigward has not handed out a bundle {} of these bytes and keys since it began, so it counts as no backup here: make one with `sigward keys backup`",
                backup.id
            ),
        ))
    }
}

#[cfg(test)]
mod tests;
