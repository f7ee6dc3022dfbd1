//! Backups: keys into a bundle. What was sealed is recorded before it is handed out; it counts as a backup once it was read back.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use sigward_hsm::backup::{
    AtLeast, BackupError, BackupProvider as _, ChainNote, DataKey, KeyNote, Lock, Manifest,
};
use sigward_hsm::provider::AuthContext;
use sigward_policies::decision::{Failure, FailureCode, Refusal, RefusalCode, Refused};
use sigward_policies::double_sign::Watermark;
use sigward_policies::holding::Holds;
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::{BundleId, KeyName, UnixSeconds};
use sigward_policies::model::key::{BackupMark, Key, VersionState};

use super::Admin;
use super::act::Act;
use super::bundles::{Opens, matter};
use super::consent::Petition;
use super::keys::ListedKey;
use super::refusals::provider_refused;
use crate::config::SOFTWARE;
use crate::crash::crash_point;
use crate::store::{self, Batch, Change, Sharing, StoredRow};

/// A bundle that nobody has written yet.
#[derive(Debug)]
pub struct MadeBackup {
    /// Which.
    pub id: BundleId,
    /// Its bytes.
    pub bundle: Vec<u8>,
    /// Their SHA-256.
    pub sha256: [u8; 32],
    /// Keys that were meant too, and are in tokens: no bundle can hold them.
    pub left_out: Vec<KeyName>,
}

/// A bundle that was written, read back and found good.
#[derive(Debug)]
pub struct VerifiedBackup {
    /// Which.
    pub id: BundleId,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// When it was made.
    pub made_at: UnixSeconds,
    /// The keys in it.
    pub keys: Vec<PublicKey>,
}

impl Admin {
    /// Seals the keys called `names`, or all, into a bundle that opens with `data_key`.
    pub async fn make_backup(
        &self,
        petition: &Petition,
        names: &[KeyName],
        data_key: &[u8],
        (lock, recipients): (Lock, Vec<String>),
        config: Option<String>,
    ) -> Result<MadeBackup, Refused> {
        let data_key = DataKey::from_slice(&self.arena, data_key).map_err(bundle_refused)?;
        let opens = Opens::new(&lock, recipients)?;
        let (keys, left_out) = self.chosen(names).await?;
        let who = &petition.who;
        let consent = self
            .consent(petition, matter(&keys, &opens, config.as_deref()))
            .await?;
        let rows = self.rows().await?;
        let holds = self.holds().await?;
        let mut id = [0; 16];
        getrandom::fill(&mut id)
            .map_err(|error| Failure::new(FailureCode::ProviderFault, error.to_string()))?;
        let manifest = Manifest {
            id: BundleId(id),
            made_at: self.clock.unix_seconds(),
            store: self.store.id(),
            lock,
            config,
            keys: keys.iter().map(|key| note(key, &rows, &holds)).collect(),
        };
        let (provider, auth) = (
            Arc::clone(&self.providers.software),
            AuthContext::new(who.clone()),
        );
        let id = manifest.id;
        let bundle = tokio::task::spawn_blocking(move || provider.backup(&auth, &manifest, &data_key))
            .await
            .map_err(|_| Failure::new(FailureCode::ProviderUnavailable, "the provider was interrupted"))?
            .map_err(bundle_refused)?;
        let sha256: [u8; 32] = Sha256::digest(&bundle).into();
        // Private keys are about to leave this process, sealed: that is on record before they do.
        let detail = format!("{}, {opens}", describe(id, &sha256));
        let entries = keys
            .iter()
            .map(|key| self.entry(who, Act::KeyBackup, &key.version.public_key, None, &detail));
        let batch = consent.with(Batch::record(entries.collect()));
        store::commit(self.store.as_ref(), batch).await?;
        self.handed_out.note(
            id,
            sha256,
            keys.iter().map(|key| key.version.public_key).collect(),
        );
        crash_point!("admin_backup_recorded");
        Ok(MadeBackup {
            id,
            bundle,
            sha256,
            left_out,
        })
    }

    /// Notes that a bundle is good: its keys have a backup.
    pub async fn confirm_backup(
        &self,
        who: &Caller,
        backup: &VerifiedBackup,
    ) -> Result<Vec<ListedKey>, Refused> {
        self.handed_out.knows(backup)?;
        let mark = BackupMark {
            bundle: backup.id,
            at: backup.made_at.min(self.clock.unix_seconds()),
        };
        let detail = describe(backup.id, &backup.sha256);
        let entries = backup
            .keys
            .iter()
            .map(|key| self.entry(who, Act::KeyBackupVerified, key, None, &detail));
        let batch = Batch {
            signature: None,
            entries: entries.collect(),
            changes: backup
                .keys
                .iter()
                .map(|public_key| Change::MarkBackedUp {
                    public_key: *public_key,
                    backup: mark,
                })
                .collect(),
        };
        store::commit(self.store.as_ref(), batch).await?;
        let listed = self.list_keys().await?;
        Ok(listed
            .into_iter()
            .filter(|listed| backup.keys.contains(&listed.key.version.public_key))
            .collect())
    }

    /// The keys called `names`; without any, every key that still exists. Then also the names of those of them that tokens keep.
    async fn chosen(&self, names: &[KeyName]) -> Result<(Vec<Key>, Vec<KeyName>), Refused> {
        let known = self.keys().await?;
        if let Some(name) = names
            .iter()
            .find(|name| known.iter().all(|key| key.name != **name))
        {
            let message = format!("there is no key {name}; `sigward keys list` shows them");
            return Err(Refusal::new(RefusalCode::KeyNotFound, message).into());
        }
        // Asked for by name they are refused; without names everything that can be in a backup is meant.
        for key in known.iter().filter(|key| names.contains(&key.name)) {
            self.is_in_no_token(&key.name, &key.version)?;
        }
        let meant = |key: &Key| match names {
            [] => key.version.state != VersionState::Destroyed,
            names => names.contains(&key.name),
        };
        let (chosen, in_tokens): (Vec<_>, Vec<_>) = known
            .into_iter()
            .filter(meant)
            .partition(|key| key.version.provider == SOFTWARE);
        if chosen.is_empty() {
            let message = "there is no key to back up (keys in tokens are backed up by the token's own tool); make one with `sigward keys create NAME`";
            return Err(Refusal::new(RefusalCode::KeyNotFound, message).into());
        }
        Ok((chosen, in_tokens.into_iter().map(|key| key.name).collect()))
    }
}

fn note(key: &Key, rows: &[StoredRow], holds: &Holds) -> KeyNote {
    let version = &key.version;
    let mut chains: Vec<_> = rows
        .iter()
        .filter(|row| row.public_key == version.public_key)
        .map(|row| ChainNote {
            chain: row.chain.clone(),
            shared: row.sharing == Sharing::Shared,
            moved_out: row.row.stopped,
            left_for: holds.left_for(&row.public_key, &row.chain).cloned(),
            at_least: match &row.row.watermark {
                Watermark::Fresh => AtLeast::Fresh,
                Watermark::Closed { height } => AtLeast::Closed(*height),
                Watermark::Signed(last) => AtLeast::Signed(last.position),
            },
        })
        .collect();
    chains.sort_by(|a, b| a.chain.cmp(&b.chain));
    KeyNote {
        name: key.name.clone(),
        public_key: version.public_key,
        origin: version.origin,
        created_at: version.created_at,
        chains,
    }
}

fn describe(id: BundleId, sha256: &[u8; 32]) -> String {
    format!("bundle {id} sha256 {}", hex::encode(sha256))
}

/// A bundle that is refused, with its advice; faults of the machine are ours.
pub(super) fn bundle_refused(error: BackupError) -> Refused {
    let remedy = error
        .remedy()
        .map(|remedy| format!("; {remedy}"))
        .unwrap_or_default();
    let message = format!("{error}{remedy}");
    match error {
        BackupError::Provider(error) => provider_refused(error),
        BackupError::NotABundle | BackupError::Unsupported { .. } | BackupError::Malformed(_) => {
            Refusal::new(RefusalCode::InvalidBundle, message).into()
        }
        BackupError::DoesNotOpen | BackupError::WrongKey(_) => {
            Refusal::new(RefusalCode::BundleDoesNotOpen, message).into()
        }
        BackupError::Passphrase | BackupError::DataKey => {
            Refusal::new(RefusalCode::InvalidParameters, message).into()
        }
        _ => Failure::new(FailureCode::ProviderFault, message).into(),
    }
}
