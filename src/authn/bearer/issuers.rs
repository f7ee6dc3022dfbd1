//! Whose word counts: issuers, their public keys as the files hold them, and what of theirs is revoked. One edition at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use sigward_hsm::verify::Verifier;
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::algorithm::{Algorithm, PublicKey, Signature};
use sigward_policies::model::authentication::CredentialId;
use sigward_policies::model::bearer::IssuerName;

use super::token::{Claims, is_id};
use crate::config::{IssuerConfig, Revoked};
use crate::tls::files;

/// What stands before an Ed25519 public key (RFC 8410, section 4).
const PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// Keys of one issuer at a time.
const MAX_KEYS: usize = 16;

/// The point that generates the group (RFC 8032, section 5.1): a good public key, by which nobody's word counts.
const NOBODYS: [u8; 32] = [
    0x58, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
    0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
];

/// The issuers in force.
#[derive(Debug, Default)]
pub struct Issuers(BTreeMap<IssuerName, Issuer>);

/// A key to verify with, whether or not its word counts: so that a token of an unknown issuer costs what a bad signature of a known one
/// does, and the time of an answer tells nobody which issuers there are.
pub(super) struct Candidate<'a> {
    pub(super) key: Option<&'a Verifier>,
    pub(super) counts: bool,
}

impl Candidate<'_> {
    /// Whether somebody whose word counts has signed `message`. Verifies first, and asks that only then.
    pub(super) fn has_signed(&self, message: &[u8], signature: &Signature) -> bool {
        let good = self.key.is_some_and(|key| key.verify(message, signature).is_ok());
        good & self.counts
    }
}

/// Decompressed once.
fn nobodys() -> Option<&'static Verifier> {
    static KEY: LazyLock<Option<Verifier>> =
        LazyLock::new(|| Verifier::new(&PublicKey::new(Algorithm::Ed25519, &NOBODYS).ok()?).ok());
    KEY.as_ref()
}

struct Issuer {
    keys: BTreeMap<String, Verifier>,
    revoked: BTreeSet<Revoked>,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer")
            .field("keys", &self.keys.keys())
            .finish_non_exhaustive()
    }
}

/// A public key of RFC 8037, or several (RFC 7517, section 5). Other members are for others.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
    kid: Option<String>,
    /// A private key is no place for a verifier.
    d: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

impl Issuers {
    /// Reads the keys of `all`.
    ///
    /// # Errors
    /// `issuer_key_invalid`: a file that is not there, others may write, or holds no Ed25519 public key; a key of two issuers.
    pub fn read(all: &[IssuerConfig]) -> Result<Self, Refusal> {
        let mut known: BTreeMap<Vec<u8>, &IssuerName> = BTreeMap::new();
        let mut issuers = BTreeMap::new();
        for issuer in all {
            let mut keys = BTreeMap::new();
            for (kid, key) in read(&issuer.key_file)? {
                let bad = |why: String| Err(invalid(&issuer.key_file, why));
                if let Some(other) = known.insert(key.as_bytes().to_vec(), &issuer.name) {
                    return bad(format!("a key in it is one of {other} already"));
                }
                let verifier =
                    Verifier::new(&key).map_err(|error| invalid(&issuer.key_file, error.to_string()))?;
                if keys.len() >= MAX_KEYS || keys.insert(kid, verifier).is_some() {
                    return bad(format!(
                        "an issuer has at most {MAX_KEYS} keys, each with a kid of its own"
                    ));
                }
            }
            let revoked = issuer.revoked.iter().cloned().collect();
            issuers.insert(issuer.name.clone(), Issuer { keys, revoked });
        }
        Ok(Self(issuers))
    }

    /// The key by which `issuer` signs as `kid`; nobody's, where there is none.
    pub(super) fn candidate(&self, issuer: &IssuerName, kid: &str) -> Candidate<'_> {
        match self.0.get(issuer).and_then(|issuer| issuer.keys.get(kid)) {
            Some(key) => Candidate {
                key: Some(key),
                counts: true,
            },
            None => Candidate {
                key: nobodys(),
                counts: false,
            },
        }
    }

    /// Whether what is claimed stands: its issuer is known and has that key, and neither the token nor whom it names is revoked.
    pub(super) fn stands(&self, claims: &Claims, key: &CredentialId) -> bool {
        let Some(issuer) = self.0.get(claims.holder.issuer()) else {
            return false;
        };
        if !issuer.keys.contains_key(key.as_str()) {
            return false;
        }
        let subject = Revoked::Subject(claims.holder.subject().to_owned());
        !issuer.revoked.contains(&subject) && !issuer.revoked.contains(&Revoked::Token(claims.id.clone()))
    }

    /// How many keys there are, and a digest of all of them: what a reload tells of.
    pub fn summary(&self) -> (usize, [u8; 32]) {
        let mut digest = Sha256::new();
        let keys = self
            .0
            .iter()
            .flat_map(|(name, issuer)| issuer.keys.iter().map(move |key| (name, key)));
        let mut count = 0;
        for (name, (kid, key)) in keys {
            count += 1;
            for part in [
                name.as_str().as_bytes(),
                kid.as_bytes(),
                key.public_key().as_bytes(),
            ] {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            }
        }
        (count, digest.finalize().into())
    }
}

/// The id of a key where its file gives it none: the thumbprint of RFC 7638, for a key of RFC 8037.
pub fn key_id(key: &PublicKey) -> String {
    let x = BASE64_URL_SAFE_NO_PAD.encode(key.as_bytes());
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
}

/// An Ed25519 public key as DER (SubjectPublicKeyInfo).
pub fn public_key_der(key: &PublicKey) -> Vec<u8> {
    [PREFIX.as_slice(), key.as_bytes()].concat()
}

fn read(path: &Path) -> Result<Vec<(String, PublicKey)>, Refusal> {
    let unreadable = |error: crate::tls::TlsError| invalid(path, error.why);
    let bytes = files::read(path).map_err(unreadable)?;
    let mode = std::fs::metadata(path).map(|about| about.permissions().mode());
    if !matches!(mode, Ok(mode) if mode & 0o002 == 0) {
        return Err(Refusal::new(
            RefusalCode::IssuerKeyInvalid,
            format!(
                "{}: everybody on this machine may write it, and so be the issuer\nchmod o-w, and see who has written it",
                path.display()
            ),
        ));
    }
    if files::private_key(path, &bytes).is_ok() {
        return Err(invalid(
            path,
            "a private key is in it: keep that with the issuer, and put the public one here",
        ));
    }
    if bytes.trim_ascii_start().first() == Some(&b'{') {
        return of_json(&bytes).map_err(|why| invalid(path, why));
    }
    let found = files::public_keys(path, &bytes).map_err(unreadable)?;
    let keys: Result<_, String> = found
        .iter()
        .map(|der| {
            let raw = der.strip_prefix(&PREFIX).ok_or("a key in it is no Ed25519 key")?;
            let key = PublicKey::new(Algorithm::Ed25519, raw).map_err(|refusal| refusal.message)?;
            Ok((key_id(&key), key))
        })
        .collect();
    keys.map_err(|why| invalid(path, why))
}

fn of_json(bytes: &[u8]) -> Result<Vec<(String, PublicKey)>, String> {
    let keys = match serde_json::from_slice::<Jwks>(bytes) {
        Ok(set) => set.keys,
        Err(_) => vec![serde_json::from_slice::<Jwk>(bytes).map_err(|error| format!("no JWK: {error}"))?],
    };
    if keys.is_empty() {
        return Err("no key in it".to_owned());
    }
    let keys = keys.into_iter().map(|jwk| {
        if jwk.d.is_some() {
            return Err(
                "a private key is in it: keep that with the issuer, and put the public one here".to_owned(),
            );
        }
        if (jwk.kty.as_str(), jwk.crv.as_str()) != ("OKP", "Ed25519") {
            return Err("a key in it is no Ed25519 key".to_owned());
        }
        let raw = BASE64_URL_SAFE_NO_PAD
            .decode(&jwk.x)
            .map_err(|_| "x is no base64url")?;
        let key = PublicKey::new(Algorithm::Ed25519, &raw).map_err(|refusal| refusal.message)?;
        match jwk.kid {
            None => Ok((key_id(&key), key)),
            Some(kid) if is_id(&kid, 1) => Ok((kid, key)),
            Some(_) => Err("kid is 1 to 128 of A-Z a-z 0-9 . - _".to_owned()),
        }
    });
    keys.collect()
}

fn invalid(path: &Path, why: impl std::fmt::Display) -> Refusal {
    Refusal::new(
        RefusalCode::IssuerKeyInvalid,
        format!(
            "{}: {why}\na public key is expected, in PEM or as a JWK; `sigward token keygen NAME` makes a pair",
            path.display()
        ),
    )
}
