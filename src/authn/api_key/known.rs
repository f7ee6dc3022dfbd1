//! Which keys count, in memory, as the store has them.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::model::authentication::{Authentication, CredentialId};
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::{ApiKeyName, UnixSeconds};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use super::ApiKey;
use crate::authn::Means;
use crate::store::{Store, StoredApiKey};

/// The keys that were not revoked when the store was last asked.
#[derive(Debug, Default)]
pub struct ApiKeys {
    known: RwLock<Arc<[Known]>>,
    /// One look at the store after the other: the last one is the one that stays.
    looking: Mutex<()>,
}

struct Known {
    digest: [u8; 32],
    name: ApiKeyName,
    expires_at: UnixSeconds,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl ApiKeys {
    /// Takes over what the store has, and gives it. Blocks. Where the store does not answer no key counts: it may have revoked one.
    ///
    /// # Errors
    /// What the store says.
    pub fn refresh(&self, store: &dyn Store) -> Result<Vec<StoredApiKey>, Refused> {
        let _alone = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = store.followed().map(|followed| followed.api_keys);
        let known = of(stored.as_deref().unwrap_or_default());
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        stored
    }

    /// Who shows `text`, and until when it counts.
    ///
    /// # Errors
    /// `token_refused`.
    pub fn who(&self, text: &str, now: UnixSeconds) -> Result<(Caller, Means), Refusal> {
        let shown = ApiKey::parse(text).ok_or_else(|| {
            refused("this is no whole API key: its checksum, the last 8 of its 80 characters, does not fit; copy it again")
        })?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        let place = place_of(&known, &shown.digest());
        let found = place.and_then(|place| known.get(place));
        match found {
            Some(known) if now < known.expires_at => {
                let name = known.name.clone();
                let ends = known.expires_at;
                let by = Authentication::ApiKey {
                    id: CredentialId::new(name.as_str())?,
                };
                Ok((Caller::ApiKey { name }, Means { by, ends }))
            }
            // One answer for all: who found an old key learns nothing of it.
            _ => Err(refused(
                "this API key does not count here: nobody made it, or it has ended, or it is revoked",
            )),
        }
    }
}

fn of(stored: &[StoredApiKey]) -> Arc<[Known]> {
    let known = stored.iter().filter(|stored| stored.revoked.is_none());
    known
        .map(|stored| Known {
            digest: stored.digest,
            name: stored.name.clone(),
            expires_at: stored.expires_at,
        })
        .collect()
}

/// Where the key of this digest is. Each is compared, all of it, whichever it is.
fn place_of(known: &[Known], digest: &[u8; 32]) -> Option<usize> {
    let (mut found, mut at) = (Choice::from(0), 0_u64);
    for (place, known) in (0_u64..).zip(known) {
        let same = known.digest.ct_eq(digest);
        at.conditional_assign(&place, same);
        found |= same;
    }
    bool::from(found).then(|| usize::try_from(at).ok()).flatten()
}

fn refused(why: &str) -> Refusal {
    Refusal::new(RefusalCode::TokenRefused, why)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn stored(name: &str, key: &ApiKey) -> StoredApiKey {
        StoredApiKey {
            name: ApiKeyName::new(name).unwrap(),
            digest: key.digest(),
            created_by: "uid:0".to_owned(),
            created_at: UnixSeconds(0),
            expires_at: UnixSeconds(100),
            revoked: None,
        }
    }

    fn keys(stored: Vec<StoredApiKey>) -> ApiKeys {
        ApiKeys {
            known: RwLock::new(of(&stored)),
            looking: Mutex::default(),
        }
    }

    #[test]
    fn a_key_counts_until_it_ends_and_all_others_are_refused_alike() {
        let all: Vec<_> = (0..5).map(|_| ApiKey::random().unwrap()).collect();
        let [one, two, revoked, unknown, _] = all.as_slice() else {
            unreachable!()
        };
        let kept = StoredApiKey {
            revoked: Some((UnixSeconds(5), "uid:0".to_owned())),
            ..stored("revoked", revoked)
        };
        let keys = keys(vec![stored("one", one), kept, stored("two", two)]);
        for (key, name) in [(one, "apikey:one"), (two, "apikey:two")] {
            let (caller, means) = keys.who(&key.text(), UnixSeconds(99)).unwrap();
            assert_eq!(caller.to_string(), name);
            assert_eq!(means.ends, UnixSeconds(100));
            assert_eq!(means.by.method(), "api_key");
        }
        let ended = keys.who(&one.text(), UnixSeconds(100)).unwrap_err();
        assert_eq!(ended.code, RefusalCode::TokenRefused);
        for key in [revoked, unknown] {
            assert_eq!(keys.who(&key.text(), UnixSeconds(1)).unwrap_err(), ended);
        }
        let cut = one.text();
        let cut = keys.who(cut.get(..79).unwrap(), UnixSeconds(1)).unwrap_err();
        assert!(
            cut.code == ended.code && cut.message.contains("checksum"),
            "{cut}"
        );
        assert!(!format!("{keys:?}").contains("digest"));
        assert_eq!(
            ApiKeys::default().who(&one.text(), UnixSeconds(1)).unwrap_err(),
            ended
        );
    }
}
