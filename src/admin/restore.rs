//! Restoring keys from a bundle. A bundle never restores a watermark: the operator says from where on a key may sign, and a height
//! below what the bundle itself knows to be signed is refused.
//!
//! Every private half is durable with its provider before the store hears of any of the keys; keys, closed heights and records are one
//! batch. A crash in between leaves sealed files that no row speaks of and that sign nothing; asking again finishes the act.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sigward_hsm::backup::{Bundle, DataKey, KeyNote, RecoveryProvider as _};
use sigward_hsm::provider::{AuthContext, KeyMetadata};
use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::double_sign::Beginning;
use sigward_policies::model::id::{ChainId, Height, KeyName};
use sigward_policies::model::key::{BackupMark, Key, KeyVersion, Origin, VersionState};

use super::Admin;
use super::act::Act;
use super::backup::bundle_refused;
use super::keys::{ListedKey, taken};
use crate::audit::Asker;
use crate::backstage::{SEALING, WORKING};
use crate::config::SOFTWARE;
use crate::crash::crash_point;
use crate::store::{Batch, Change, Sharing};

/// The heights above which restored keys may sign. There is no default, because every default double-signs somewhere.
#[derive(Clone, Debug, Default)]
pub struct Heights {
    /// On every chain that is not named.
    pub everywhere: Option<Height>,
    /// Chain by chain.
    pub on: BTreeMap<ChainId, Height>,
}

/// A key to be restored: what the bundle says of it, and where it is closed to.
struct Plan {
    note: KeyNote,
    closed: Vec<Closed>,
}

/// A chain of a key, and how it comes back there.
struct Closed {
    chain: ChainId,
    height: Height,
    sharing: Sharing,
    moved_out: bool,
    left_for: Option<ChainId>,
}

impl Admin {
    /// Takes the keys called `names` out of a bundle.
    pub async fn restore_keys(
        &self,
        who: &Asker,
        bundle: &[u8],
        data_key: &[u8],
        names: &[KeyName],
        heights: &Heights,
    ) -> Result<Vec<ListedKey>, Refused> {
        let data_key = Arc::new(DataKey::from_slice(&self.arena, data_key).map_err(bundle_refused)?);
        let bundle = Arc::new(Bundle::parse(bundle).map_err(bundle_refused)?);
        let arena = self.arena.clone();
        let (opened, opening) = (Arc::clone(&bundle), Arc::clone(&data_key));
        // All of it must be whole, not only the keys that are asked for: what it says of heights is believed only then.
        self.work(&WORKING, move || opened.verify(&arena, &opening).map(|_| ()))
            .await?
            .map_err(bundle_refused)?;
        let manifest = bundle.unchecked_manifest();
        let plans = self.plan(&manifest.keys, names, heights)?;
        let mut origins = Vec::with_capacity(plans.len());
        for plan in &plans {
            self.name_is_free(&plan.note.name).await?;
            self.public_key_is_free(&plan.note.public_key).await?;
            let ours =
                |key: &KeyMetadata| key.public_key == plan.note.public_key || key.name == plan.note.name;
            let left_over = self.left_over(&self.software(), ours).await?;
            if let Some(found) = &left_over
                && (found.public_key != plan.note.public_key || found.name != plan.note.name)
            {
                return Err(taken(found));
            }
            origins.push(left_over.map(|found| found.origin));
        }
        for (plan, left_over) in plans.iter().zip(&origins) {
            if left_over.is_some() {
                continue;
            }
            let (bundle, data_key, arena) = (Arc::clone(&bundle), Arc::clone(&data_key), self.arena.clone());
            let (auth, public_key) = (AuthContext::new(who.caller.clone()), plan.note.public_key);
            let key = self
                .work(&SEALING, move || bundle.recover(&arena, &data_key, &public_key))
                .await?
                .map_err(bundle_refused)?;
            self.with_provider(move |provider| provider.recover_key(&auth, key))
                .await?;
            crash_point!("admin_restore_sealed");
        }
        let mark = BackupMark {
            bundle: manifest.id,
            at: manifest.made_at,
        };
        let mut batch = Batch::default();
        let mut keys = Vec::with_capacity(plans.len());
        for (plan, left_over) in plans.iter().zip(origins) {
            let key = self.restored(&plan.note, left_over, mark);
            self.changes(who, &key, plan, manifest.id.to_string(), &mut batch);
            keys.push(key);
        }
        let chains_of = |plan: &Plan| plan.closed.iter().map(|closed| closed.chain.clone()).collect();
        let coming = keys.iter().cloned().zip(plans.iter().map(chains_of)).collect();
        self.memory().take_in(batch, coming).await?;
        crash_point!("admin_restore_committed");
        let mut listed = Vec::with_capacity(keys.len());
        for (key, plan) in keys.into_iter().zip(plans) {
            let left = plan.closed.iter().filter(|closed| closed.moved_out);
            let stopped = left.map(|closed| closed.chain.clone()).collect();
            let chains = plan.closed.into_iter().map(|closed| closed.chain).collect();
            listed.push(ListedKey {
                stopped,
                ..ListedKey::new(key, chains)
            });
        }
        Ok(listed)
    }

    /// What is to happen, or why not; nothing has happened yet.
    fn plan(&self, notes: &[KeyNote], names: &[KeyName], heights: &Heights) -> Result<Vec<Plan>, Refused> {
        let names: BTreeSet<_> = names.iter().collect();
        if names.is_empty() {
            return Err(Refusal::new(RefusalCode::InvalidParameters, "name the keys to restore").into());
        }
        let mut plans = Vec::with_capacity(names.len());
        for name in names {
            let note = notes.iter().find(|note| note.name == *name).ok_or_else(|| {
                let there: Vec<_> = notes.iter().map(|note| note.name.as_str()).collect();
                let message = format!("the backup holds no key {name}; it holds {}", there.join(", "));
                Refused::from(Refusal::new(RefusalCode::KeyNotFound, message))
            })?;
            plans.push(Plan {
                closed: self.closed(note, heights)?,
                note: note.clone(),
            });
        }
        let used = |chain: &ChainId| {
            plans
                .iter()
                .any(|plan| plan.closed.iter().any(|closed| closed.chain == *chain))
        };
        if let Some(chain) = heights.on.keys().find(|chain| !used(chain)) {
            let message = format!(
                "none of these keys has signed on {chain} when the backup was made, and the configuration gives it none of them"
            );
            return Err(Refusal::new(RefusalCode::InvalidParameters, message).into());
        }
        Ok(plans)
    }

    /// The chains of a key, those of the backup and those of the configuration, each with its height.
    fn closed(&self, note: &KeyNote, heights: &Heights) -> Result<Vec<Closed>, Refused> {
        let mut chains: BTreeMap<ChainId, (i64, Sharing, bool, Option<ChainId>)> = BTreeMap::new();
        for known in &note.chains {
            let sharing = if known.shared {
                Sharing::Shared
            } else {
                Sharing::OneChain
            };
            chains.insert(
                known.chain.clone(),
                (
                    known.at_least.height(),
                    sharing,
                    known.moved_out,
                    known.left_for.clone(),
                ),
            );
        }
        for chain in self.chains.now().iter().filter(|chain| chain.key == note.name) {
            let known = chains
                .entry(chain.id.clone())
                .or_insert((0, chain.sharing, false, None));
            known.1 = chain.sharing;
        }
        let mut closed = Vec::with_capacity(chains.len());
        for (chain, (at_least, sharing, moved_out, left_for)) in chains {
            // A chain id that was left is closed whatever the height.
            let left = left_for.as_ref().and(Height::new(at_least.max(1)).ok());
            let Some(height) = heights.on.get(&chain).copied().or(left).or(heights.everywhere) else {
                let message = format!(
                    "say from where on {} may sign on {chain}: --above {chain}=HEIGHT, above everything that was ever signed",
                    note.name
                );
                return Err(Refusal::new(RefusalCode::BeginningRequired, message).into());
            };
            if height.value() < at_least {
                let message = format!(
                    "{} had signed up to height {at_least} on {chain} when the backup was made, and has signed since: {height} is too low; take the height of the chain now, and a margin",
                    note.name
                );
                return Err(Refusal::new(RefusalCode::BelowBackup, message).into());
            }
            closed.push(Closed {
                chain,
                height,
                sharing,
                moved_out,
                left_for,
            });
        }
        Ok(closed)
    }

    fn restored(&self, note: &KeyNote, left_over: Option<Origin>, mark: BackupMark) -> Key {
        // A sealed file that is there already may know better than the bundle that a sigward made the key.
        let origin = match (note.origin.elsewhere(), left_over.map(Origin::elsewhere)) {
            (Origin::Imported, None | Some(Origin::Imported)) => Origin::Imported,
            _ => Origin::Restored,
        };
        Key {
            name: note.name.clone(),
            version: KeyVersion {
                version: 1,
                public_key: note.public_key,
                address: sigward_hsm::verify::address(&note.public_key),
                provider: SOFTWARE.to_owned(),
                origin,
                state: VersionState::Active,
                created_at: self.clock.unix_seconds(),
                // Where else it signed, nobody here knows: it never begins as fresh.
                exported: true,
                backup: Some(mark),
            },
        }
    }

    fn changes(&self, who: &Asker, key: &Key, plan: &Plan, bundle: String, batch: &mut Batch) {
        let public_key = key.version.public_key;
        batch.changes.push(Change::AddKey(key.clone()));
        let begun_by_rebinding = |chain: &ChainId| {
            plan.closed
                .iter()
                .any(|other| other.left_for.as_ref() == Some(chain))
        };
        for first in plan
            .closed
            .iter()
            .filter(|closed| !begun_by_rebinding(&closed.chain))
        {
            batch.changes.push(Change::Begin {
                public_key,
                chain: first.chain.clone(),
                beginning: Beginning::Above(first.height),
                sharing: first.sharing,
            });
            let mut last = first;
            // One id after the other, as it was: what was left is closed for ever here too. A bundle has no circles.
            while let Some(next) = plan
                .closed
                .iter()
                .find(|next| last.left_for.as_ref() == Some(&next.chain))
            {
                batch.changes.push(Change::Rebind {
                    public_key,
                    from: last.chain.clone(),
                    to: next.chain.clone(),
                    above: Some(next.height),
                    note: self.note(who, "as the backup says"),
                });
                last = next;
            }
            if last.moved_out {
                batch.changes.push(Change::Stop {
                    public_key,
                    chain: last.chain.clone(),
                });
            }
        }
        let above: Vec<_> = plan
            .closed
            .iter()
            .map(|closed| format!("{}={}", closed.chain, closed.height))
            .collect();
        let detail = format!("bundle {bundle} above {}", above.join(" "));
        batch
            .entries
            .push(self.entry(who, Act::KeyRestore, &public_key, None, &detail));
    }
}
