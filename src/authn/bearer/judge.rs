//! Judges a token against the request that it came with, in two steps: by the head of the request, before a byte of its body is
//! read, and by the body. The first one uses it up.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sha2::{Digest as _, Sha256};
use sigward_policies::decision::Refusal;
use sigward_policies::model::authentication::{Authentication, CredentialId};
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::UnixSeconds;
use subtle::ConstantTimeEq as _;

use super::began::Began;
use super::issuers::Issuers;
use super::replays::{MOST, Replays};
use super::token::{Claims, Token};
use super::{MAX_LIFE, SKEW, refused};
use crate::authn::Means;
use crate::authn::api_key::{self, ApiKeys};

/// Everything that tokens are judged by.
#[derive(Debug)]
pub struct Bearer {
    audience: String,
    issuers: RwLock<Arc<Issuers>>,
    replays: Mutex<Replays>,
    began: Began,
    /// What clients may show in place of a token.
    api_keys: Arc<ApiKeys>,
}

/// The head of a request.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path, with its query if it has one.
    pub path: &'a str,
    /// When it came.
    pub now: UnixSeconds,
}

/// A token that is good for the head of its request, and used up. Its body is still to come.
#[derive(Clone, Debug)]
#[must_use = "nobody is known before the body was compared"]
pub struct Shown {
    claims: Claims,
    key: CredentialId,
}

/// The token of a request's `authorization` headers: exactly one, of the scheme `Bearer` (RFC 6750, section 2.1).
///
/// # Errors
/// `token_refused`.
pub fn the_one<'a>(mut headers: impl Iterator<Item = &'a [u8]>) -> Result<&'a str, Refusal> {
    let wanted = || refused("send `authorization: Bearer TOKEN`, with a token of this request's own");
    let header = headers.next().ok_or_else(wanted)?;
    if headers.next().is_some() {
        return Err(refused("there is more than one authorization header"));
    }
    let text = std::str::from_utf8(header).map_err(|_| wanted())?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token),
        _ => Err(wanted()),
    }
}

impl Shown {
    /// By whose word, and for whom. It is known for what room there is for its body, and for nothing else.
    pub fn holder(&self) -> Caller {
        let holder = self.claims.holder.clone();
        Caller::Token { holder }
    }
}

impl Bearer {
    /// Judges tokens for `audience`, in a process that began at `began`.
    pub fn new(audience: impl Into<String>, issuers: Issuers, began: Began) -> Self {
        Self {
            audience: audience.into(),
            issuers: RwLock::new(Arc::new(issuers)),
            replays: Mutex::new(Replays::new(MOST)),
            began,
            api_keys: Arc::default(),
        }
    }

    /// The same, where these count beside tokens.
    #[must_use]
    pub fn with_api_keys(self, api_keys: Arc<ApiKeys>) -> Self {
        Self { api_keys, ..self }
    }

    /// Who shows an API key in place of a token; none, where it is none. A body adds nothing to it.
    pub fn by_api_key(&self, shown: &str, now: UnixSeconds) -> Option<Result<(Caller, Means), Refusal>> {
        api_key::is_one(shown).then(|| self.api_keys.who(shown, now))
    }

    /// Puts other issuers in force, for every request judged from now on.
    pub fn replace(&self, issuers: Issuers) {
        *self.issuers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(issuers);
    }

    /// The issuers in force.
    pub fn issuers(&self) -> Arc<Issuers> {
        self.issuers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes a token for the head of a request.
    ///
    /// # Errors
    /// `token_refused`, `token_replayed`, `too_many_tokens`.
    pub fn of_head(&self, token: &str, head: Head<'_>) -> Result<Shown, Refusal> {
        let token = Token::parse(token)?;
        let issuers = self.issuers();
        let issuer = token.claims.holder.issuer();
        // One answer for all three, after the same work: who has no key learns nothing of issuers.
        let candidate = issuers.candidate(issuer, &token.kid);
        let signed = candidate.has_signed(token.signed.as_bytes(), &token.signature);
        if !signed {
            return Err(refused("no issuer that is known here has signed the token"));
        }
        let key = CredentialId::new(&token.kid)?;
        let claims = token.claims;
        if !issuers.stands(&claims, &key) {
            return Err(revoked());
        }
        if claims.audience != self.audience {
            return Err(refused("the token is for another audience than this sigward"));
        }
        self.is_of_now(&claims, head.now.0)?;
        if (claims.method.as_str(), claims.path.as_str()) != (head.method, head.path) {
            return Err(refused(
                "the token is for another method or path than it was shown for",
            ));
        }
        let end = claims.expires.saturating_add(SKEW);
        self.replays
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(&claims, end, head.now.0)?;
        Ok(Shown { claims, key })
    }

    /// Who asks, now that the body is there.
    ///
    /// # Errors
    /// `token_refused`.
    pub fn of_body(&self, shown: Shown, body: &[u8]) -> Result<(Caller, Means), Refusal> {
        // A body may take its time; a revocation does not wait for it.
        self.stands(&shown)?;
        let Shown { claims, key } = shown;
        let digest: [u8; 32] = Sha256::digest(body).into();
        if !bool::from(digest.ct_eq(&claims.body)) {
            return Err(refused("the token is for another body than came with it"));
        }
        let ends = UnixSeconds(claims.expires);
        let holder = claims.holder;
        let by = Authentication::Token { key };
        Ok((Caller::Token { holder }, Means { by, ends }))
    }

    /// Whether a token that was good still counts: it, its subject and its issuer are not revoked since, and the key is still one of the issuer's.
    ///
    /// # Errors
    /// `token_refused`.
    pub fn stands(&self, shown: &Shown) -> Result<(), Refusal> {
        if self.issuers().stands(&shown.claims, &shown.key) {
            Ok(())
        } else {
            Err(revoked())
        }
    }

    fn is_of_now(&self, claims: &Claims, now: i64) -> Result<(), Refusal> {
        let Claims {
            issued,
            expires,
            begins,
            ..
        } = *claims;
        let life = expires.checked_sub(issued).unwrap_or(i64::MAX);
        if !(1..=MAX_LIFE).contains(&life) {
            return Err(refused(format!("exp is 1 to {MAX_LIFE} seconds after iat")));
        }
        if now > expires.saturating_add(SKEW) {
            return Err(refused("the token has expired"));
        }
        if begins.unwrap_or(issued).max(issued) > now.saturating_add(SKEW) {
            return Err(refused("the token is of the future: compare the clocks"));
        }
        // A clock ahead of ours may have signed it before the start, and the process before this one may have seen it.
        let since = self.began.by(now).saturating_add(SKEW);
        if issued <= since {
            return Err(refused(format!(
                "the token is of before sigward started; sign another one{}",
                match since.saturating_sub(now) {
                    wait @ 0.. => format!(", in {} seconds", wait.saturating_add(1)),
                    _ => String::new(),
                }
            )));
        }
        Ok(())
    }
}

fn revoked() -> Refusal {
    refused("the token, its subject or its issuer is revoked")
}
