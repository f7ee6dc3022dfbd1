//! A token as it is written: three words of base64url, a header and claims of known fields, each once, and a signature (RFC 7515,
//! section 7.1). Pure. Nothing in it is believed yet.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sigward_policies::decision::Refusal;
use sigward_policies::model::algorithm::Signature;
use sigward_policies::model::bearer::{IssuerName, TokenHolder};

use super::{ALGORITHM, TYPE, refused};

/// The longest token that is read.
pub const MAX_TOKEN: usize = 4096;
/// The longest id of a key or a token.
const MAX_ID: usize = 128;
/// 128 bits take so many characters of base64url, at least.
const MIN_JTI: usize = 22;
/// The longest method and path, as far as any of ours goes.
const MAX_METHOD: usize = 16;
const MAX_PATH: usize = 1024;

/// A token that is whole.
#[derive(Debug)]
pub struct Token<'a> {
    /// What the signature is over.
    pub(super) signed: &'a str,
    /// Which key is said to have signed.
    pub(super) kid: String,
    /// What is claimed.
    pub(super) claims: Claims,
    /// The signature.
    pub(super) signature: Signature,
}

/// What a token claims.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claims {
    /// Who asks, by whose word (`iss`, `sub`).
    pub holder: TokenHolder,
    /// Of which server (`aud`).
    pub audience: String,
    /// When it was made (`iat`), since 1970.
    pub issued: i64,
    /// When it ends (`exp`).
    pub expires: i64,
    /// When it begins (`nbf`), if not at once.
    pub begins: Option<i64>,
    /// Which one it is (`jti`).
    pub id: String,
    /// For which method (`htm`).
    pub method: String,
    /// For which path, with its query if it has one (`path`).
    pub path: String,
    /// For which body: its SHA-256 (`body_sha256`).
    pub body: [u8; 32],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHeader {
    alg: String,
    typ: String,
    kid: String,
}

/// Every field is understood, or the token is refused: one that was meant to restrict it must not be overlooked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClaims {
    iss: String,
    sub: String,
    aud: Audience,
    iat: i64,
    exp: i64,
    nbf: Option<i64>,
    jti: String,
    htm: String,
    path: String,
    body_sha256: String,
}

/// A word, or a list of one (RFC 7519, section 4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    Word(String),
    List([String; 1]),
}

impl<'a> Token<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// `token_refused`, with what is wrong with its form.
    pub fn parse(text: &'a str) -> Result<Self, Refusal> {
        if text.len() > MAX_TOKEN {
            return Err(refused(format!("a token has at most {MAX_TOKEN} bytes")));
        }
        let three = || refused("a token is three words of base64url with dots between");
        let (signed, signature) = text.rsplit_once('.').ok_or_else(three)?;
        let (header, claims) = signed.split_once('.').ok_or_else(three)?;
        if claims.contains('.') {
            return Err(three());
        }
        let header: RawHeader = json(header, "header")?;
        // Said first, because whoever wrote `none` or HS256 here must hear of that and of nothing else (RFC 8725, section 3.1).
        if header.alg != ALGORITHM {
            return Err(refused(format!("the algorithm of a token is {ALGORITHM}")));
        }
        if header.typ != TYPE {
            return Err(refused(format!("the type of a token is {TYPE}")));
        }
        if !is_id(&header.kid, 1) {
            return Err(refused("kid is no id of a key"));
        }
        let signature: [u8; 64] = decode(signature, "signature")?
            .try_into()
            .map_err(|_| refused("an EdDSA signature has 64 bytes"))?;
        Ok(Self {
            signed,
            kid: header.kid,
            claims: Claims::of(json(claims, "claims")?)?,
            signature: Signature(signature),
        })
    }

    /// What it claims.
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }
}

impl Claims {
    fn of(raw: RawClaims) -> Result<Self, Refusal> {
        let name = |refusal: Refusal| refused(refusal.message);
        let issuer = IssuerName::new(&raw.iss).map_err(name)?;
        let (Audience::Word(audience) | Audience::List([audience])) = raw.aud;
        let body = decode(&raw.body_sha256, "body_sha256")?
            .try_into()
            .map_err(|_| refused("body_sha256 is the SHA-256 of the body, in base64url"))?;
        if !is_id(&raw.jti, MIN_JTI) {
            return Err(refused(
                "jti is 128 random bits at least: 22 to 128 of A-Z a-z 0-9 . - _",
            ));
        }
        if raw.htm.is_empty() || raw.htm.len() > MAX_METHOD || raw.path.len() > MAX_PATH {
            return Err(refused("htm is a method, and path the path that is asked for"));
        }
        Ok(Self {
            holder: TokenHolder::new(issuer, &raw.sub).map_err(name)?,
            audience,
            issued: raw.iat,
            expires: raw.exp,
            begins: raw.nbf,
            id: raw.jti,
            method: raw.htm,
            path: raw.path,
            body,
        })
    }
}

/// Whether `text` is an id: of at least so many characters that stand for themselves everywhere.
pub(super) fn is_id(text: &str, least: usize) -> bool {
    (least..=MAX_ID).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

fn json<T: DeserializeOwned>(word: &str, what: &str) -> Result<T, Refusal> {
    let bytes = decode(word, what)?;
    // An object: serde would take the fields from a list too.
    if bytes.first() != Some(&b'{') {
        return Err(refused(format!("the {what} of a token is a JSON object")));
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        // The reader quotes what it met: it is the caller's own, and short.
        let said: String = error
            .to_string()
            .chars()
            .filter(|c| matches!(c, ' '..='~'))
            .take(200)
            .collect();
        refused(format!("the {what} of a token: {said}"))
    })
}

/// base64url without padding, in its one spelling (RFC 4648, section 5; RFC 7515, section 2).
fn decode(word: &str, what: &str) -> Result<Vec<u8>, Refusal> {
    BASE64_URL_SAFE_NO_PAD
        .decode(word)
        .map_err(|_| refused(format!("the {what} of a token is no base64url")))
}
