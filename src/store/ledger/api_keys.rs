//! What a batch does to API keys.
//!
//! *Invariants:* no name and no secret is given twice, whatever became of the first; what was revoked stays so, by whoever was first;
//! nothing lengthens the life of a key.

use std::collections::BTreeSet;

use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::model::id::{ApiKeyName, UnixSeconds};

use super::super::api_key::{
    ApiKeyChange, MAX_API_KEY_LIFE, MAX_KEPT, MAX_LIVE, StoredApiKey, encode_api_key,
};
use super::super::record::kept_subject;
use super::super::redo::Write;
use super::super::row::Checksum;
use super::{Draft, Kept, Ledger};

impl Ledger {
    /// Every API key there ever was, by name.
    pub(crate) fn api_keys(&self) -> Vec<StoredApiKey> {
        self.api_keys.values().map(|kept| kept.value.clone()).collect()
    }

    pub(super) fn api_key(
        &self,
        draft: &mut Draft,
        change: ApiKeyChange,
        now: UnixSeconds,
    ) -> Result<(), Refused> {
        match change {
            ApiKeyChange::Create(made) => self.create_api_key(draft, made, now),
            ApiKeyChange::Revoke { name, by } => {
                let Some(mut stored) = self.find_api_key(draft, &name).cloned() else {
                    return refuse(
                        RefusalCode::ApiKeyNotFound,
                        format!("there is no API key {name}; `sigward api-key list` shows them"),
                    );
                };
                if stored.revoked.is_none() {
                    stored.revoked = Some((now, kept_subject(by)));
                    draft.api_keys.push(stored);
                }
                Ok(())
            }
        }
    }

    fn create_api_key(
        &self,
        draft: &mut Draft,
        mut made: StoredApiKey,
        now: UnixSeconds,
    ) -> Result<(), Refused> {
        let life = made.expires_at.0.saturating_sub(made.created_at.0);
        // It says itself when it was made; it may not say so of the future, and so live longer.
        if made.revoked.is_some() || !(1..=MAX_API_KEY_LIFE).contains(&life) || made.created_at > now {
            return refuse(
                RefusalCode::InvalidParameters,
                "an API key counts for a year at most",
            );
        }
        if self.find_api_key(draft, &made.name).is_some() {
            return refuse(
                RefusalCode::ApiKeyExists,
                format!(
                    "there is, or was, an API key {}; records mean that one by its name: choose another",
                    made.name
                ),
            );
        }
        let names: BTreeSet<_> = self
            .api_keys
            .keys()
            .chain(draft.api_keys.iter().map(|stored| &stored.name))
            .collect();
        let kept = names.len();
        let of = names
            .into_iter()
            .filter_map(|name| self.find_api_key(draft, name));
        let (mut live, mut same) = (0_usize, false);
        for stored in of {
            live += usize::from(stored.stands(now));
            same |= stored.digest == made.digest;
        }
        if same {
            return refuse(RefusalCode::ApiKeyExists, "there is an API key with this secret");
        }
        if live >= MAX_LIVE || kept >= MAX_KEPT {
            return refuse(
                RefusalCode::ApiKeyLimit,
                format!(
                    "{live} API keys count, of {kept} that were ever made; {MAX_LIVE} may count at once, and {MAX_KEPT} be made: revoke what nobody uses"
                ),
            );
        }
        made.created_by = kept_subject(made.created_by);
        draft.api_keys.push(made);
        Ok(())
    }

    fn find_api_key<'a>(&'a self, draft: &'a Draft, name: &ApiKeyName) -> Option<&'a StoredApiKey> {
        let drafted = draft.api_keys.iter().rev().find(|stored| stored.name == *name);
        drafted.or_else(|| self.api_keys.get(name).map(|kept| &kept.value))
    }

    pub(super) fn take_api_keys(&mut self, drafted: Vec<StoredApiKey>) {
        for stored in drafted {
            let name = stored.name.clone();
            self.changed_api_keys.insert(name.clone());
            if let Some(kept) = self.api_keys.get_mut(&name) {
                kept.value = stored;
                continue;
            }
            self.last_ordinal += 1;
            let kept = Kept {
                ordinal: self.last_ordinal,
                value: stored,
                checksum: None,
            };
            self.api_keys.insert(name, kept);
        }
    }

    pub(super) fn take_changed_api_keys(&mut self) -> Vec<Write> {
        let mut writes = Vec::new();
        for name in std::mem::take(&mut self.changed_api_keys) {
            if let Some(kept) = self.api_keys.get_mut(&name) {
                let body = encode_api_key(&kept.value);
                let checksum = Checksum::of_api_key(&self.id, &body);
                writes.push(kept.write(&mut self.digest, body, checksum));
            }
        }
        writes
    }
}

fn refuse<T>(code: RefusalCode, why: impl Into<String>) -> Result<T, Refused> {
    Err(Refusal::new(code, why).into())
}
