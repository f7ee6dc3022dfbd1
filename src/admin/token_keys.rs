//! Acts on keys in tokens: take in one that somebody else made there, see what tokens there are, log in once.
//!
//! The record of a key is on disk before the store hears of it, as with keys in sealed files: asking again finishes an act that was
//! cut off.

use std::sync::Arc;

use sigward_hsm::pkcs11::{
    DamagedRecord, FoundKey, Leaving, Load, LoggedIn, Pkcs11Provider, TokenConfig, TokenIdentity, TokenKey,
    damaged_records,
};
use sigward_hsm::provider::{AuthContext, KeyMetadata};
use sigward_hsm::verify::Verifier;
use sigward_policies::decision::{Failure, FailureCode, Refusal, RefusalCode, Refused};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, KeyName};

use super::act::Act;
use super::keys::{ImportBeginning, ListedKey, describe, key_of, not_a_key, taken};
use super::providers::{self, Place};
use super::refusals::provider_refused;
use super::token::{Token, TokenTrouble};
use super::{Admin, state_file};
use crate::audit::Asker;
use crate::crash::crash_point;
use crate::store::{self, Batch, Sharing};

/// How an object of a token is named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenObject {
    /// By its `CKA_ID`, in hex.
    Id(String),
    /// By its `CKA_LABEL`, which must be its alone.
    Label(String),
}

/// A token as it is now.
#[derive(Clone, Debug)]
pub struct SeenToken {
    /// How the configuration describes it.
    pub config: TokenConfig,
    /// What the configuration calls it.
    pub id: String,
    /// Who it says it is; nothing of a token that is not open.
    pub identity: Option<TokenIdentity>,
    /// Whether signatures can be had from it.
    pub up: bool,
    /// What is wrong.
    pub trouble: Option<TokenTrouble>,
    /// How busy it is; nothing of a token that is not open.
    pub load: Option<Load>,
    /// The keys of it that are known here.
    pub keys: Vec<TokenKey>,
    /// Key pairs in it that nobody took in yet.
    pub found: Vec<FoundKey>,
}

impl Admin {
    /// Takes in a key pair that is in a token already, together with what it has signed so far.
    #[allow(clippy::too_many_arguments, reason = "every one is the operator's word")]
    pub async fn import_from_token(
        &self,
        who: &Asker,
        name: &KeyName,
        provider: &str,
        object: TokenObject,
        chain: &ChainId,
        sharing: Sharing,
        beginning: ImportBeginning,
        leaving: Leaving,
    ) -> Result<ListedKey, Refused> {
        self.name_is_free(name).await?;
        let token = self.providers.token(provider)?.clone();
        let found = self.object(name, &token, &object).await?;
        let public_key = found.public_key();
        self.public_key_is_free(&public_key).await?;
        let verifier = Verifier::new(&public_key).map_err(not_a_key)?;
        let beginning = match beginning {
            ImportBeginning::StateFile(json) => state_file::parse(&json, &verifier, chain)?,
            ImportBeginning::Known(beginning) => beginning,
        };
        let said = describe(&beginning);
        let metadata = match found {
            Found::Left(left) => {
                self.is_what_was_named(&token, &left, &object)?;
                left
            }
            Found::Here(key) => {
                let (auth, name, now) = (
                    AuthContext::new(who.caller.clone()),
                    name.clone(),
                    self.clock.unix_seconds(),
                );
                with_token(&token, move |token| {
                    token
                        .take_in_found(&auth, &name, now, &key.id, leaving)
                        .map_err(provider_refused)
                })
                .await?
            }
        };
        crash_point!("admin_token_key_recorded");
        let mut key = key_of(&metadata, provider);
        key.version.origin = metadata.origin.elsewhere();
        let recorded = token.recorded().unwrap_or_default();
        let protection = recorded
            .into_iter()
            .find(|key| key.public_key == public_key)
            .and_then(|key| key.protection)
            .map(|protection| format!("; {}", protection.told()))
            .unwrap_or_default();
        let said = format!("from the token {provider}: {said}{protection}");
        self.begin_imported(who, &key, chain, sharing, beginning, &said)
            .await?;
        Ok(self.listed(key, vec![chain.clone()]))
    }

    /// The object that is meant, or what an earlier attempt made of it.
    pub(super) async fn object(
        &self,
        name: &KeyName,
        token: &Arc<Token>,
        object: &TokenObject,
    ) -> Result<Found, Refused> {
        let (place, wanted) = (Place::Token(token.clone()), object.clone());
        let left = self.left_over(&place, |key| key.name == *name).await?;
        with_token(token, move |token| match left {
            Some(left) => Ok(Found::Left(left)),
            None => find(token, &wanted).map(Found::Here),
        })
        .await
    }

    /// Every token of the configuration, by id. `search`: also ask each for key pairs that nobody took in yet.
    pub async fn tokens(&self, search: bool) -> Result<Vec<SeenToken>, Refused> {
        let tokens: Vec<_> = self.providers.tokens().cloned().collect();
        // Side by side: one that hangs takes its own time, and not that of the others too.
        let look = move || {
            std::thread::scope(|scope| {
                let looks: Vec<_> = tokens
                    .iter()
                    .map(|token| scope.spawn(move || see(token, search)))
                    .collect();
                looks.into_iter().map(|look| look.join().ok()).collect()
            })
        };
        let seen: Option<Vec<_>> = tokio::task::spawn_blocking(look)
            .await
            .map_err(|_| interrupted())?;
        Ok(seen.ok_or_else(interrupted)?)
    }

    /// Logs in to a token although few tries are left, or although it refused this PIN before.
    pub async fn log_in_once(
        &self,
        who: &Asker,
        provider: &str,
    ) -> Result<(TokenIdentity, LoggedIn), Refused> {
        let token = self.providers.token(provider)?.clone();
        // On record before it is tried: it may cost the token its last try.
        let entry = self.entry_of(who, Act::ProviderLogin, None, None, &format!("once, {provider}"));
        store::commit(self.store.as_ref(), Batch::record(vec![entry])).await?;
        tokio::task::spawn_blocking(move || token.log_in_once())
            .await
            .map_err(|_| interrupted())?
            .map_err(provider_refused)
    }

    /// A key with where it is, and with what is wrong with it there.
    pub(super) fn listed(&self, key: sigward_policies::model::key::Key, chains: Vec<ChainId>) -> ListedKey {
        let mut listed = ListedKey::new(key, chains);
        let version = &listed.key.version;
        if version.provider == crate::config::SOFTWARE {
            return listed;
        }
        let Some(token) = self.providers.token_of(version) else {
            listed.fault = Some(format!(
                "the configuration in force has no provider {}: add its [[provider]] again",
                version.provider
            ));
            return listed;
        };
        let is = |key: &TokenKey| key.public_key == version.public_key;
        listed.token = token.recorded().ok().and_then(|keys| keys.into_iter().find(is));
        listed.fault = match (&listed.token, token.trouble()) {
            (None, _) => Some(no_record(token, &version.public_key)),
            (Some(_), _) if token.missing().iter().any(is) => Some(
                "quarantined: the token does not show its object; bring it back from the token's backup"
                    .to_owned(),
            ),
            (Some(_), Some(trouble)) if !token.is_up() => Some(format!("{}: {}", trouble.code, trouble.what)),
            _ => None,
        };
        listed
    }

    /// A key that an act which was cut off has taken in is taken for the one that is asked for only if it is.
    fn is_what_was_named(
        &self,
        token: &Token,
        left: &KeyMetadata,
        object: &TokenObject,
    ) -> Result<(), Refused> {
        let recorded = token.recorded().unwrap_or_default();
        let known = recorded.iter().find(|key| key.public_key == left.public_key);
        match (object, known) {
            // A label may have changed since; the name that was given is the same.
            (TokenObject::Label(_), Some(_)) => Ok(()),
            (TokenObject::Id(id), Some(known)) if id.eq_ignore_ascii_case(&known.id) => Ok(()),
            _ => Err(taken(left)),
        }
    }
}

/// Where a key pair of a token was found.
pub(super) enum Found {
    /// By an earlier attempt that was cut off.
    Left(KeyMetadata),
    /// In the token.
    Here(FoundKey),
}

impl Found {
    pub(super) const fn public_key(&self) -> PublicKey {
        match self {
            Self::Left(left) => left.public_key,
            Self::Here(key) => key.public_key,
        }
    }
}

fn find(token: &Pkcs11Provider, object: &TokenObject) -> Result<FoundKey, Refused> {
    let found = token.found_keys().map_err(provider_refused)?;
    let fits = |key: &&FoundKey| match object {
        TokenObject::Id(id) => key.id.eq_ignore_ascii_case(id),
        TokenObject::Label(label) => key.label == *label,
    };
    let fitting: Vec<_> = found.iter().filter(fits).collect();
    if let [one] = fitting.as_slice() {
        return Ok((*one).clone());
    }
    let shown: Vec<_> = found
        .iter()
        .map(|key| format!("{} ({:?}, {})", key.id, key.label, key.public_key.algorithm()))
        .collect();
    let there = if shown.is_empty() {
        "there is none that sigward can sign with and has not taken in already".to_owned()
    } else {
        format!("there are: {}", shown.join(", "))
    };
    let what = match (object, fitting.len()) {
        (TokenObject::Id(id), _) => format!("the token shows no key pair with the CKA_ID {id}"),
        (TokenObject::Label(label), 0) => format!("the token shows no key pair with the label {label:?}"),
        (TokenObject::Label(label), several) => {
            format!("{several} key pairs of the token have the label {label:?}; name one by --cka-id")
        }
    };
    Err(Refusal::new(RefusalCode::TokenKeyNotFound, format!("{what}; {there}")).into())
}

/// A record that does not read: the token is there, and one of its keys is quarantined. What is in the folder counts, not what was
/// there when the token was opened.
pub fn damaged(token: &Token) -> Option<TokenTrouble> {
    let damaged = damaged_records(&token.config().folder).ok()?;
    let what: Vec<_> = damaged.into_iter().map(|record| record.what).collect();
    (!what.is_empty()).then(|| TokenTrouble {
        code: "token_record_damaged",
        what: what.join("; "),
        advice: "bring the file back from a backup of its folder and restart sigward; its key signs nothing until then, all others do"
            .to_owned(),
    })
}

/// Why a key of a token has no record: its file does not read, or is gone.
fn no_record(token: &Token, public_key: &PublicKey) -> String {
    let folder = token.config().folder;
    let file = hex::encode(public_key.as_bytes());
    let damaged = damaged_records(&folder).unwrap_or_default();
    let named = |damaged: &&DamagedRecord| {
        damaged
            .path
            .file_stem()
            .is_some_and(|stem| stem.to_str() == Some(file.as_str()))
    };
    match damaged.iter().find(named) {
        Some(damaged) => format!(
            "quarantined: {}; bring that file back from a backup of its folder",
            damaged.what
        ),
        None => format!(
            "quarantined: its record in {} is gone; bring it back from a backup of that folder",
            folder.display()
        ),
    }
}

async fn with_token<T: Send + 'static>(
    token: &Arc<Token>,
    act: impl FnOnce(&Pkcs11Provider) -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    let token = token.clone();
    tokio::task::spawn_blocking(move || providers::open(&token).and_then(|open| act(&open)))
        .await
        .map_err(|_| interrupted())?
}

fn see(token: &Token, search: bool) -> SeenToken {
    // Without a daemon this opens it; with one it says what the daemon knows.
    let open = token.provider().ok();
    let found = match &open {
        Some(open) if search && token.is_up() && open.hanging() == 0 => open.found_keys().unwrap_or_default(),
        _ => Vec::new(),
    };
    SeenToken {
        config: token.config(),
        id: token.id().to_string(),
        identity: token.identity(),
        up: token.is_up(),
        trouble: token
            .trouble()
            .or_else(|| damaged(token))
            .or_else(|| token.warning()),
        load: token.load(),
        keys: token.recorded().unwrap_or_default(),
        found,
    }
}

fn interrupted() -> Failure {
    Failure::new(FailureCode::ProviderUnavailable, "the token was interrupted")
}
