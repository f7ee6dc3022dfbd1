//! API keys are made and revoked, each with its record in one batch.
//!
//! *Invariants:* a secret is shown once, after its digest is durable, and never kept; whoever hears that a key is revoked can be sure
//! that it counts no more: what is in memory is what the store has by then. Whoever does not wait to hear it is served no worse.

use std::sync::Arc;

use sigward_policies::decision::{Failure, FailureCode, Refusal, RefusalCode, Refused};
use sigward_policies::model::id::{ApiKeyName, UnixSeconds};
use zeroize::Zeroizing;

use super::Admin;
use super::act::Act;
use super::approvals::shown;
use super::following::to_its_end;
use crate::audit::Asker;
use crate::authn::api_key::ApiKey;
use crate::crash::crash_point;
use crate::store::{self, ApiKeyChange, AuditEntry, Batch, Change, MAX_API_KEY_LIFE, StoredApiKey};

const DAY: i64 = 24 * 3600;
/// How long a key counts where nobody says: long enough to be renewed by a calendar, short enough to be renewed at all.
pub const DEFAULT_API_KEY_DAYS: u32 = 90;
/// How long one may count.
pub const MAX_API_KEY_DAYS: u32 = (MAX_API_KEY_LIFE / DAY) as u32;

/// A key that was made, with the only copy of its secret. No `Debug`: it would be in the first log line that shows one.
pub struct MadeApiKey {
    /// What is kept of it.
    pub kept: StoredApiKey,
    /// What is shown.
    pub secret: Zeroizing<String>,
}

impl Admin {
    /// Every API key there ever was, by name.
    pub async fn kept_api_keys(&self) -> Result<Vec<StoredApiKey>, Refused> {
        self.read(|store| store.api_keys()).await
    }

    /// Makes one that counts for so many days.
    pub async fn create_api_key(
        &self,
        who: &Asker,
        name: &ApiKeyName,
        days: u32,
    ) -> Result<MadeApiKey, Refused> {
        if !(1..=MAX_API_KEY_DAYS).contains(&days) {
            let why = format!("an API key counts for 1 to {MAX_API_KEY_DAYS} days");
            return Err(Refusal::new(RefusalCode::InvalidParameters, why).into());
        }
        let key =
            ApiKey::random().map_err(|error| Failure::new(FailureCode::ProviderFault, error.to_string()))?;
        let now = self.clock.unix_seconds();
        let kept = StoredApiKey {
            name: name.clone(),
            digest: key.digest(),
            created_by: who.to_string(),
            created_at: now,
            expires_at: UnixSeconds(now.0.saturating_add(i64::from(days) * DAY)),
            revoked: None,
        };
        let entry = self.api_key_entry(who, Act::ApiKeyCreate, &format!("{name} for {days} days"));
        crash_point!("admin_api_key_made");
        self.api_key_batch(ApiKeyChange::Create(kept.clone()), entry)
            .await?;
        crash_point!("admin_api_key_stored");
        let secret = key.text();
        Ok(MadeApiKey { kept, secret })
    }

    /// Has one count no more. One that is revoked already stays as it is.
    pub async fn revoke_api_key(
        &self,
        who: &Asker,
        name: &ApiKeyName,
        reason: &str,
    ) -> Result<StoredApiKey, Refused> {
        let detail = shown(&format!("{name} {reason}"));
        let entry = self.api_key_entry(who, Act::ApiKeyRevoke, detail.trim_end());
        let (name, by) = (name.clone(), who.to_string());
        let revoke = ApiKeyChange::Revoke {
            name: name.clone(),
            by,
        };
        let kept = self.api_key_batch(revoke, entry).await?;
        crash_point!("admin_api_key_revoked");
        let kept = kept.into_iter().find(|kept| kept.name == name);
        kept.ok_or_else(|| no_api_key(&name).into())
    }

    /// Commits `change`; gives every API key there is after it.
    async fn api_key_batch(
        &self,
        change: ApiKeyChange,
        entry: AuditEntry,
    ) -> Result<Vec<StoredApiKey>, Refused> {
        let changes = vec![Change::ApiKey(Box::new(change))];
        let (store, api_keys) = (Arc::clone(&self.store), Arc::clone(&self.api_keys));
        to_its_end(async move {
            let outcome = store::commit(store.as_ref(), Batch::act(changes, entry)).await;
            // Whatever came of it: of an outcome that is not known the store knows most.
            let refreshed = tokio::task::spawn_blocking(move || api_keys.refresh(store.as_ref()))
                .await
                .unwrap_or_else(|_| Err(store::stopped()));
            outcome?;
            refreshed
        })
        .await
    }

    fn api_key_entry(&self, who: &Asker, act: Act, detail: &str) -> AuditEntry {
        self.entry_of(who, act, None, None, detail)
    }
}

fn no_api_key(name: &ApiKeyName) -> Refusal {
    let message = format!("there is no API key {name}; `sigward api-key list` shows them");
    Refusal::new(RefusalCode::ApiKeyNotFound, message)
}
