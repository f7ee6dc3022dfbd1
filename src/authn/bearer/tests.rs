//! An attacker's afternoon: every way in which a token can be wrong, beside one that is right.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use sigward_hsm::secret::{Arena, ArenaSize, Unlocked};
use sigward_hsm::token_key::TokenKey;
use sigward_policies::model::algorithm::{Algorithm, PublicKey, Signature};
use sigward_policies::model::bearer::{IssuerName, TokenHolder};
use sigward_policies::model::id::UnixSeconds;

use super::*;
use crate::config::{IssuerConfig, Revoked};
use crate::tls::files::to_pem;

const START: i64 = 1_772_618_400;
const NOW: i64 = START + 100;
const PATH: &str = "/sigward.v1.StatusService/Get";
const BODY: &[u8] = &[0; 5];

/// So many seconds have passed since the start: more than the clock shows, where a test turns that one.
struct Since(u64);

impl Passed for Since {
    fn passed(&self) -> Duration {
        Duration::from_secs(self.0)
    }
}

struct Scene {
    _dir: tempfile::TempDir,
    dir: PathBuf,
    key: TokenKey,
    bearer: Bearer,
}

fn arena() -> Arena {
    Arena::new(ArenaSize::for_keys(4), Unlocked::Allow).unwrap()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = TokenKey::generate(&arena()).unwrap();
        let path = dir.path().to_owned();
        let scene = Self {
            _dir: dir,
            bearer: Bearer::new(
                "https://signer:1",
                Issuers::default(),
                Began::measured_by(Since(10_000), UnixSeconds(START)),
            ),
            dir: path,
            key,
        };
        scene.bearer.replace(scene.issuers(&[]));
        scene
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn config(&self, revoked: &[Revoked]) -> IssuerConfig {
        let pem = to_pem("PUBLIC KEY", &public_key_der(self.key.public_key()));
        IssuerConfig {
            name: IssuerName::new("ci").unwrap(),
            key_file: self.write("ci.pub", &pem),
            revoked: revoked.to_vec(),
        }
    }

    fn issuers(&self, revoked: &[Revoked]) -> Issuers {
        Issuers::read(&[self.config(revoked)]).unwrap()
    }

    fn header(&self) -> Value {
        json!({ "alg": "EdDSA", "typ": TYPE, "kid": key_id(self.key.public_key()) })
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.key.sign(&signed).unwrap();
        format!("{signed}.{}", encode(signature.0))
    }

    fn token(&self, change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut claims = claims();
        change(claims.as_object_mut().unwrap());
        self.sign(&self.header().to_string(), &claims.to_string())
    }

    fn show_at(&self, token: &str, now: i64) -> Result<String, Refusal> {
        self.show(token, "POST", PATH, BODY, now)
    }

    fn show(&self, token: &str, method: &str, path: &str, body: &[u8], now: i64) -> Result<String, Refusal> {
        let now = UnixSeconds(now);
        let shown = self.bearer.of_head(token, Head { method, path, now })?;
        self.bearer
            .of_body(shown, body)
            .map(|(caller, _)| caller.to_string())
    }
}

fn claims() -> Value {
    let mut id = [0; 16];
    getrandom::fill(&mut id).unwrap();
    json!({
        "iss": "ci", "sub": "deploy", "aud": "https://signer:1", "iat": NOW, "exp": NOW + 60, "jti": encode(id),
        "htm": "POST", "path": PATH, "body_sha256": encode(Sha256::digest(BODY)),
    })
}

fn refused(outcome: Result<String, Refusal>, wanted: &str) {
    let refusal = outcome.unwrap_err();
    assert_eq!(refusal.code, RefusalCode::TokenRefused, "{refusal}");
    assert!(refusal.message.contains(wanted), "{wanted}: {refusal}");
}

#[test]
fn a_good_token_says_who_asks_once() {
    let scene = Scene::new();
    let token = scene.token(|_| {});
    assert_eq!(scene.show_at(&token, NOW).unwrap(), "jwt:ci/deploy");
    let again = scene.show_at(&token, NOW + 1).unwrap_err();
    assert_eq!(again.code, RefusalCode::TokenReplayed);
    // Whatever else is right about it, and in however many spellings of its signature.
    let list = scene.token(|claims| drop(claims.insert("aud".into(), json!(["https://signer:1"]))));
    assert_eq!(scene.show_at(&list, NOW).unwrap(), "jwt:ci/deploy");
    let minted = Mint::new(
        TokenKey::generate(&arena()).unwrap(),
        TokenHolder::parse("ci/x").unwrap(),
        "https://signer:1",
        60,
    );
    let token = minted.token("POST", PATH, BODY, UnixSeconds(NOW)).unwrap();
    refused(scene.show_at(&token, NOW), "no issuer that is known here");
}

#[test]
fn what_the_command_line_signs_is_taken() {
    let scene = Scene::new();
    let file = scene.dir.join("ci.key");
    scene.key.save(&arena(), &file).unwrap();
    let key = TokenKey::load(&arena(), &file).unwrap();
    let mint = Mint::new(
        key,
        TokenHolder::parse("ci/a/b").unwrap(),
        "https://signer:1",
        300,
    );
    let token = mint.token("POST", PATH, BODY, UnixSeconds(NOW)).unwrap();
    assert_eq!(scene.show_at(&token, NOW).unwrap(), "jwt:ci/a/b");
}

#[test]
fn a_token_is_good_for_its_request_and_no_other() {
    let scene = Scene::new();
    for (method, path, body, wanted) in [
        (
            "POST",
            "/sigward.v1.KeyService/List",
            BODY,
            "another method or path",
        ),
        (
            "POST",
            "/sigward.v1.StatusService/Get?a=1",
            BODY,
            "another method or path",
        ),
        (
            "POST",
            "/sigward.v1.StatusService/get",
            BODY,
            "another method or path",
        ),
        ("GET", PATH, BODY, "another method or path"),
        ("POST", PATH, &[0, 0, 0, 0, 1, 7][..], "another body"),
        ("POST", PATH, &[], "another body"),
    ] {
        let token = scene.token(|_| {});
        refused(scene.show(&token, method, path, body, NOW), wanted);
        // With a body that was wrong it is used up; for a path that was wrong it was never looked at.
        let then = scene.show_at(&token, NOW);
        assert_eq!(then.is_ok(), wanted.contains("path"), "{path}");
    }
}

#[test]
fn time_is_bounded_on_every_side() {
    let scene = Scene::new();
    let at = |iat: i64, exp: i64, now: i64| {
        let token = scene.token(|claims| {
            claims.insert("iat".into(), json!(iat));
            claims.insert("exp".into(), json!(exp));
        });
        scene.show_at(&token, now)
    };
    // In this order: what was forgotten is not taken by a clock that goes back.
    for (iat, exp, now) in [
        (START + SKEW + 1, START + 60, START + SKEW + 1),
        (NOW, NOW + MAX_LIFE, NOW),
        (NOW, NOW + 1, NOW + 1 + SKEW),
        (NOW + SKEW, NOW + 60, NOW),
    ] {
        assert!(at(iat, exp, now).is_ok(), "{iat} {exp} {now}");
    }
    refused(
        at(NOW, NOW + MAX_LIFE + 1, NOW),
        "exp is 1 to 300 seconds after iat",
    );
    refused(at(NOW, NOW, NOW), "exp is 1 to 300");
    refused(at(NOW + 60, NOW, NOW), "exp is 1 to 300");
    refused(at(i64::MIN, i64::MAX, NOW), "exp is 1 to 300");
    refused(at(i64::MAX - 1, i64::MAX, NOW), "of the future");
    refused(at(NOW, NOW + 60, NOW + 60 + SKEW + 1), "expired");
    refused(at(NOW + SKEW + 1, NOW + 60, NOW), "of the future");
    // The process before this one may have seen these.
    refused(at(START - 1, START + 200, NOW), "before sigward started");
    refused(at(START + SKEW, START + 200, NOW), "before sigward started");
    refused(at(START + 1, START + 200, START + 1), "in 5 seconds");
    let later = scene.token(|claims| drop(claims.insert("nbf".into(), json!(NOW + 30))));
    refused(scene.show_at(&later, NOW), "of the future");
    assert!(scene.show_at(&later, NOW + 30).is_ok());
}

#[test]
fn the_key_and_the_algorithm_are_ours_to_choose() {
    let scene = Scene::new();
    let claims = || claims().to_string();
    let with = |name: &str, value: Value| {
        let mut header = scene.header();
        header[name] = value;
        scene.sign(&header.to_string(), &claims())
    };
    for alg in ["none", "None", "HS256", "ES256", "eddsa", "Ed25519", ""] {
        refused(
            scene.show_at(&with("alg", json!(alg)), NOW),
            "the algorithm of a token is EdDSA",
        );
    }
    refused(
        scene.show_at(&with("typ", json!("JWT")), NOW),
        "the type of a token",
    );
    refused(
        scene.show_at(&with("kid", json!("other")), NOW),
        "no issuer that is known",
    );
    refused(
        scene.show_at(&with("kid", json!("../../etc")), NOW),
        "kid is no id",
    );
    refused(
        scene.show_at(&with("jku", json!("https://evil.example")), NOW),
        "unknown field `jku`",
    );
    refused(
        scene.show_at(&with("jwk", json!({ "kty": "OKP" })), NOW),
        "unknown field `jwk`",
    );
    refused(
        scene.show_at(&with("crit", json!(["x"])), NOW),
        "unknown field `crit`",
    );
    refused(
        scene.show_at(&with("b64", json!(false)), NOW),
        "unknown field `b64`",
    );
    let signed = format!("{}.{}", encode(scene.header().to_string()), encode(claims()));
    // No signature, an empty one, one by HMAC whose secret is the public key, and one of somebody else.
    refused(scene.show_at(&signed, NOW), "");
    refused(scene.show_at(&format!("{signed}."), NOW), "64 bytes");
    let hmac = encode([0x55; 32]);
    refused(scene.show_at(&format!("{signed}.{hmac}"), NOW), "64 bytes");
    let other = TokenKey::generate(&arena()).unwrap().sign(&signed).unwrap();
    refused(
        scene.show_at(&format!("{signed}.{}", encode(other.0)), NOW),
        "no issuer that is known",
    );
    // Another issuer's name over our key, and a claim that was changed after it was signed.
    refused(
        scene.show_at(
            &scene.token(|claims| drop(claims.insert("iss".into(), json!("cd")))),
            NOW,
        ),
        "no issuer that is known",
    );
    let token = scene.token(|_| {});
    let (head, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let mut admin = self::claims();
    admin["sub"] = json!("admin");
    let forged = format!("{header}.{}.{signature}", encode(admin.to_string()));
    refused(scene.show_at(&forged, NOW), "no issuer that is known");
}

#[test]
fn what_is_not_understood_or_said_twice_is_refused() {
    let scene = Scene::new();
    let text = claims().to_string();
    let inner = text.strip_prefix('{').unwrap();
    for (claims, wanted) in [
        (format!("{{\"sub\":\"admin\",{inner}"), "duplicate field `sub`"),
        (
            format!("{{\"s\\u0075b\":\"admin\",{inner}"),
            "duplicate field `sub`",
        ),
        (format!("{{\"scope\":\"read\",{inner}"), "unknown field `scope`"),
        (format!("{text} {{}}"), "trailing"),
        (format!("[{text}]"), "is a JSON object"),
        (" {}".to_owned(), "is a JSON object"),
        ("{}".to_owned(), "missing field"),
        ("{".repeat(2000), ""),
        (text.replace("\"deploy\"", "7"), "invalid type"),
        (text.replace(&NOW.to_string(), "1e9"), "invalid type"),
        (text.replace(&NOW.to_string(), "99999999999999999999"), "invalid"),
    ] {
        let token = scene.sign(&scene.header().to_string(), &claims);
        refused(scene.show_at(&token, NOW), wanted);
    }
    let header = scene.header().to_string();
    let twice = format!("{{\"alg\":\"none\",{}", header.strip_prefix('{').unwrap());
    refused(
        scene.show_at(&scene.sign(&twice, &text), NOW),
        "duplicate field `alg`",
    );
    let cases: [(&str, Value, &str); 12] = [
        ("aud", json!("https://other:1"), "another audience"),
        ("aud", json!(["https://signer:1", "https://other:1"]), ""),
        ("aud", json!([]), ""),
        ("sub", json!(""), "1 to 255 printable"),
        ("sub", json!("a b"), "1 to 255 printable"),
        ("iss", json!("CI"), "small letters"),
        ("jti", json!("short"), "128 random bits"),
        ("jti", json!("\u{e9}".repeat(22)), "128 random bits"),
        ("htm", json!(""), "htm is a method"),
        ("path", json!("/".repeat(1025)), "path the path"),
        ("body_sha256", json!(encode([0; 31])), "SHA-256 of the body"),
        (
            "body_sha256",
            json!(hex(&Sha256::digest(BODY))),
            "SHA-256 of the body",
        ),
    ];
    for (name, value, wanted) in cases {
        let token = scene.token(|claims| drop(claims.insert(name.into(), value)));
        refused(scene.show_at(&token, NOW), wanted);
    }
    let long = scene.token(|claims| drop(claims.insert("sub".into(), json!("a".repeat(64 << 10)))));
    refused(scene.show_at(&long, NOW), "at most 4096 bytes");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_signature_has_one_spelling() {
    let scene = Scene::new();
    let token = scene.token(|_| {});
    let last = token.chars().last().unwrap();
    // The last character of 86 carries two bits of nothing: another one would decode to the same bytes.
    let twin = (b'A'..=b'Z').map(char::from).find(|c| *c != last).unwrap();
    for other in [
        format!("{token}=="),
        format!("{}{twin}", token.strip_suffix(last).unwrap()),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{token}."),
        format!(".{token}"),
        token.replace('.', ".."),
    ] {
        refused(scene.show_at(&other, NOW), "");
    }
    assert!(scene.show_at(&token, NOW).is_ok());
}

#[test]
fn whoever_is_taken_out_is_out_at_once() {
    let scene = Scene::new();
    let head = || Head {
        method: "POST",
        path: PATH,
        now: UnixSeconds(NOW),
    };
    let token = scene.token(|_| {});
    let under_way = scene.bearer.of_head(&token, head()).unwrap();
    scene
        .bearer
        .replace(scene.issuers(&[Revoked::Subject("deploy".to_owned())]));
    let refusal = scene.bearer.of_body(under_way, BODY).unwrap_err();
    assert!(
        refusal.message.contains("revoked"),
        "a body took its time: {refusal}"
    );
    refused(scene.show_at(&scene.token(|_| {}), NOW), "revoked");
    let other = |claims: &mut Map<String, Value>| drop(claims.insert("sub".into(), json!("other")));
    assert!(scene.show_at(&scene.token(other), NOW).is_ok());
    let named = |claims: &mut Map<String, Value>| drop(claims.insert("jti".into(), json!("a".repeat(22))));
    scene
        .bearer
        .replace(scene.issuers(&[Revoked::Token("a".repeat(22))]));
    refused(scene.show_at(&scene.token(named), NOW), "revoked");
    assert!(scene.show_at(&scene.token(|_| {}), NOW).is_ok());
    scene.bearer.replace(Issuers::default());
    refused(
        scene.show_at(&scene.token(|_| {}), NOW),
        "no issuer that is known",
    );
}

#[test]
fn one_authorization_header_and_no_other_scheme() {
    let one = |headers: &[&'static [u8]]| the_one(headers.iter().copied()).map_err(|refusal| refusal.message);
    assert_eq!(one(&[b"Bearer a.b.c"]).unwrap(), "a.b.c");
    assert_eq!(one(&[b"bearer a.b.c"]).unwrap(), "a.b.c");
    assert!(
        one(&[b"Bearer a.b.c", b"Bearer a.b.c"])
            .unwrap_err()
            .contains("more than one")
    );
    assert!(one(&[]).unwrap_err().contains("send `authorization"));
    for other in [
        "",
        "Bearer",
        "Basic YTpi",
        "a.b.c",
        "Bearer\ta.b.c",
        "Bearer\u{e9}a",
    ] {
        assert!(
            one(&[other.as_bytes()])
                .unwrap_err()
                .contains("send `authorization"),
            "{other:?}"
        );
    }
    assert!(
        one(&[b"Bearer \xff"])
            .unwrap_err()
            .contains("send `authorization")
    );
}

#[test]
fn keys_of_issuers_come_in_pem_and_as_jwk_and_nothing_else_passes() {
    let scene = Scene::new();
    // RFC 8037, appendix A.2 and A.3.
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let raw = BASE64_URL_SAFE_NO_PAD.decode(x).unwrap();
    let key = PublicKey::new(Algorithm::Ed25519, &raw).unwrap();
    assert_eq!(key_id(&key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let issuer = |name: &str, file: &Path| IssuerConfig {
        name: IssuerName::new(name).unwrap(),
        key_file: file.to_owned(),
        revoked: Vec::new(),
    };
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "use": "sig", "kid": "one" });
    let pem = to_pem("PUBLIC KEY", &public_key_der(&key)).to_string();
    let ours = to_pem("PUBLIC KEY", &public_key_der(scene.key.public_key())).to_string();
    for (text, kid) in [
        (jwk.to_string(), "one"),
        (json!({ "keys": [jwk] }).to_string(), "one"),
        (format!("\n  {jwk}"), "one"),
        (pem.clone(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
        (
            format!("{ours}{pem}"),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        ),
    ] {
        let file = scene.write("a.pub", &text);
        let issuers = Issuers::read(&[issuer("a", &file)]).unwrap();
        let name = IssuerName::new("a").unwrap();
        let found = issuers.candidate(&name, kid);
        assert!(found.counts && *found.key.unwrap().public_key() == key, "{text}");
    }
    let without = |name: &str| {
        let mut jwk = jwk.clone();
        jwk.as_object_mut().unwrap().remove(name);
        jwk.to_string()
    };
    let with = |name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk.to_string()
    };
    let zero = encode([0; 32]);
    for text in [
        String::new(),
        "{}".to_owned(),
        "{\"keys\":[]}".to_owned(),
        "x".to_owned(),
        without("x"),
        without("crv"),
        with("crv", json!("X25519")),
        with("kty", json!("oct")),
        with("x", json!("AA")),
        // A point of small order verifies anything.
        with("x", json!(zero)),
        with("kid", json!("a b")),
        with("d", json!("secret")),
        json!({ "keys": [jwk, jwk] }).to_string(),
        format!("{pem}{pem}"),
        pem.replace("PUBLIC", "PRIVATE"),
        to_pem("PUBLIC KEY", &[0x30, 0]).to_string(),
    ] {
        let file = scene.write("a.pub", &text);
        let refusal = Issuers::read(&[issuer("a", &file)]).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::IssuerKeyInvalid, "{text}");
    }
    let file = scene.write("a.pub", &pem);
    let both = Issuers::read(&[issuer("a", &file), issuer("b", &file)]).unwrap_err();
    assert!(both.message.contains("one of a already"), "{both}");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o646)).unwrap();
    assert!(Issuers::read(&[issuer("a", &file)]).is_err());
    assert!(Issuers::read(&[issuer("a", &scene.dir.join("none"))]).is_err());
}

proptest! {
    #[test]
    fn no_text_is_more_than_refused(text in "\\PC{0,200}", words in proptest::collection::vec("[A-Za-z0-9_-]{0,80}", 0..5)) {
        let scene = Bearer::new("a", Issuers::default(), Began::now(UnixSeconds(0), None));
        let head = Head { method: "GET", path: "/", now: UnixSeconds(NOW) };
        prop_assert!(scene.of_head(&text, head).is_err());
        prop_assert!(scene.of_head(&words.join("."), head).is_err());
    }
}

/// What was shown to the process before this one is not taken again where the clock was behind at the start, and was set right since.
#[test]
fn a_clock_that_was_behind_at_the_start_brings_no_used_token_back() {
    let mut scene = Scene::new();
    let issuers = scene.issuers(&[]);
    let behind = Began::measured_by(Since(20), UnixSeconds(NOW - 3600));
    scene.bearer = Bearer::new("https://signer:1", issuers, behind);
    let issued = |at: i64| {
        scene.token(|claims| {
            claims.insert("iat".into(), json!(at));
            claims.insert("exp".into(), json!(at + 300));
        })
    };
    for used in [NOW - 200, NOW - 20, NOW - 20 + SKEW] {
        refused(scene.show_at(&issued(used), NOW), "before sigward started");
    }
    assert!(scene.show_at(&issued(NOW - 20 + SKEW + 1), NOW).is_ok());
    // The clock is turned back once more: what was before the start stays so.
    refused(
        scene.show_at(&issued(NOW - 100), NOW - 90),
        "before sigward started",
    );
}

/// What is compared is the work, not the time: whoever the token names, one signature is verified with one good key.
#[test]
fn an_unknown_issuer_an_unknown_key_and_a_bad_signature_cost_the_same() {
    let scene = Scene::new();
    let (issuers, kid) = (scene.issuers(&[]), key_id(scene.key.public_key()));
    let name = |name: &str| IssuerName::new(name).unwrap();
    let known = issuers.candidate(&name("ci"), &kid);
    assert!(known.counts && known.key.unwrap().public_key() == scene.key.public_key());
    let token = scene.token(|_| {});
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = Signature(
        BASE64_URL_SAFE_NO_PAD
            .decode(signature)
            .unwrap()
            .try_into()
            .unwrap(),
    );
    let message = message.as_bytes();
    assert!(known.has_signed(message, &signature) && !known.has_signed(b"another", &signature));
    for (issuer, kid) in [("nobody", kid.as_str()), ("ci", "another"), ("nobody", "another")] {
        let candidate = issuers.candidate(&name(issuer), kid);
        let key = candidate.key.unwrap();
        assert!(!candidate.counts && key.public_key().algorithm() == Algorithm::Ed25519);
        assert!(!candidate.has_signed(message, &signature));
        // Even a signature that is good under that key: it is verified, and counts for nothing.
        let own = super::issuers::Candidate {
            key: Some(known.key.unwrap()),
            counts: false,
        };
        assert!(!own.has_signed(message, &signature));
    }
    // Nobody at all is believed: the same.
    assert!(Issuers::default().candidate(&name("ci"), &kid).key.is_some());
    let said = |issuer: &str, kid: &str| {
        let header = json!({ "alg": "EdDSA", "typ": TYPE, "kid": kid }).to_string();
        let mut claims = claims();
        claims["iss"] = issuer.into();
        let token = scene.sign(&header, &claims.to_string());
        let cut = token.rsplit_once('.').unwrap().0;
        scene
            .show_at(&format!("{cut}.{}", encode([7; 64])), NOW)
            .unwrap_err()
    };
    let wanted = said("ci", &kid);
    assert_eq!(wanted.code.as_str(), "token_refused");
    for (issuer, kid) in [("nobody", kid.as_str()), ("ci", "another")] {
        assert_eq!(said(issuer, kid), wanted);
    }
}
