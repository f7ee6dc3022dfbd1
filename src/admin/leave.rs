//! Moving out with the key: an imported key is stopped on every chain, durably, and only then are its bytes given out.
//!
//! The rows are held from the first stop to the leaving: nothing signs, and no row resumes, in between.

use sigward_hsm::provider::AuthContext;
use sigward_hsm::software::filepv::FileText;
use sigward_policies::decision::{Failure, FailureCode, Refusal, RefusalCode, Refused};
use sigward_policies::model::id::{ChainId, KeyName};
use sigward_policies::model::key::Origin;
use sigward_policies::model::operation::Operation;

use super::act::Act;
use super::approvals::told;
use super::consent::{Matter, Petition};
use super::refusals::provider_refused;
use super::{Admin, NamedRow, state_file};
use crate::crash::crash_point;
use crate::guard;
use crate::store::{self, About, Batch, Change};

/// What becomes of the other chains that the key signs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OtherChains {
    /// There must be none.
    Refuse,
    /// The key is stopped there too.
    Stop,
}

/// A key that has left.
pub struct LeftKey {
    /// CometBFT's key file.
    pub key: FileText,
    /// CometBFT's state file of the chain asked for.
    pub state: Vec<u8>,
    /// Every row of the key; all are stopped.
    pub rows: Vec<NamedRow>,
}

impl std::fmt::Debug for LeftKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeftKey")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

/// For those who are to approve it: what leaves comes first, and then where it stops.
fn leaving(name: &KeyName, chain: &ChainId, all: &[&str]) -> String {
    let decisive = format!("give out the private key of {name} in the clear, with its state on {chain}");
    match all {
        [_] => told(&decisive, "; it stops there for ever"),
        all => told(
            &format!("{decisive}; it stops for ever on all of its {} chains", all.len()),
            &format!(": {}", all.join(", ")),
        ),
    }
}

impl Admin {
    /// Stops an imported key for good and gives it back, with its state on `chain`. Asking again gives the same again.
    pub async fn move_out(
        &self,
        petition: &Petition,
        name: &KeyName,
        chain: &ChainId,
        others: OtherChains,
    ) -> Result<LeftKey, Refused> {
        let key = self.key(name).await?;
        self.is_in_no_token(name, &key.version)?;
        if key.version.origin != Origin::Imported {
            let message = format!(
                "{name} was made by a sigward ({}), and such a key never leaves in the clear; `sigward state export` without --key-file, or `sigward keys backup` and `sigward keys restore` on the other side",
                key.version.origin.as_str()
            );
            return Err(Refusal::new(RefusalCode::KeyNotExportable, message).into());
        }
        self.row(&key, chain).await?;
        let public_key = key.version.public_key;
        let mut chains: Vec<_> = self.states(Some(name), None).await?;
        chains.sort_by(|a, b| a.row.chain.cmp(&b.row.chain));
        let live = |row: &&NamedRow| !row.row.row.stopped && row.row.chain != *chain;
        if let (OtherChains::Refuse, Some(other)) = (others, chains.iter().find(live)) {
            let message = format!(
                "{name} signs on {} too, and would be lost to it; --all-chains stops it everywhere",
                other.row.chain
            );
            return Err(Refusal::new(RefusalCode::KeyInUse, message).into());
        }
        let who = &petition.who;
        let names: Vec<_> = chains.iter().map(|row| row.row.chain.as_str()).collect();
        let matter = Matter {
            operation: Operation::KeyExport,
            parameters: vec![
                name.to_string(),
                public_key.to_string(),
                chain.to_string(),
                names.join(" "),
            ],
            about: About::Keys(vec![public_key]),
            what: leaving(name, chain, &names),
            key: Some(public_key),
            chain: Some(chain.clone()),
            to: None,
        };
        let consent = self.consent(petition, matter).await?;
        // In order of chain ids, so that two of these never wait for each other.
        let mut held = Vec::with_capacity(chains.len());
        for row in &chains {
            if let Some(slot) = self.guard.slot(&public_key, &row.row.chain) {
                held.push(guard::hold(&slot).await);
            }
        }
        let mut changes: Vec<_> = chains
            .iter()
            .map(|row| Change::Stop {
                public_key,
                chain: row.row.chain.clone(),
            })
            .collect();
        changes.push(Change::MarkExported { public_key });
        let entry = self.entry(
            who,
            Act::KeyExport,
            &public_key,
            Some(chain),
            "stopped on every chain",
        );
        let (store, guard) = (self.store.clone(), self.guard.clone());
        let stopped = chains.iter().map(|row| row.row.chain.clone()).collect::<Vec<_>>();
        // The rest happens even if the caller is dropped: a row in memory that is older than the store's would be wrong.
        let held = tokio::spawn(async move {
            store::commit(store.as_ref(), consent.with(Batch::act(changes, entry))).await?;
            for chain in &stopped {
                guard.refresh(&store, &public_key, chain).await?;
            }
            Ok::<_, Refused>(held)
        })
        .await
        .map_err(|_| Failure::new(FailureCode::StoreUnavailable, "stopping the key was interrupted"))??;
        crash_point!("admin_leave_stopped");
        let proof = self
            .read(move |store| store::proof_of_stop(store, &public_key))
            .await?;
        let auth = AuthContext::new(who.clone());
        let provider = self.providers.software.clone();
        let text = tokio::task::spawn_blocking(move || provider.reveal(&auth, proof))
            .await
            .map_err(|_| Failure::new(FailureCode::ProviderUnavailable, "the provider was interrupted"))?
            .map_err(provider_refused)?;
        drop(held);
        let state = state_file::write(&self.row(&key, chain).await?.row.row)?;
        Ok(LeftKey {
            key: text,
            state,
            rows: self.states(Some(name), None).await?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use sigward_policies::model::id::{MAX_CHAIN_ID, MAX_NAME};

    use super::*;
    use crate::store::MAX_WHAT;

    #[test]
    fn who_approves_reads_what_leaves_however_long_the_names_are() {
        let name = KeyName::new(&"k".repeat(MAX_NAME)).unwrap();
        let chain = "c".repeat(MAX_CHAIN_ID);
        let all = vec![chain.as_str(); 100];
        let what = leaving(&name, &ChainId::new(&chain).unwrap(), &all);
        assert!(what.len() <= MAX_WHAT && what.ends_with('…'), "{what}");
        for decisive in [
            "give out the private key",
            name.as_str(),
            "in the clear",
            &chain,
            "all of its 100 chains",
        ] {
            assert!(what.contains(decisive), "{decisive}: {what}");
        }
        let alone = leaving(&name, &ChainId::new("a-1").unwrap(), &["a-1"]);
        assert!(
            alone.ends_with("state on a-1; it stops there for ever"),
            "{alone}"
        );
    }
}
