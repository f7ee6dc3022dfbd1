//! A signer with a door for tokens, an issuer `ci` whose key a test has, and a person `alice` who signs for herself.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use toml::Table;

use crate::support::grpcurl::grpcurl;
use crate::support::home::Home;
use crate::support::metrics::Metrics;
use crate::support::poll;
use crate::support::ports::free_port;
pub(super) use crate::support::process::said;
use crate::support::signer::Signer;

pub(super) const STATUS: &str = "/sigward.v1.StatusService/Get";
/// An empty message as gRPC sends it.
pub(super) const EMPTY: &[u8] = &[0; 5];

pub(super) struct Stage {
    pub(super) signer: Signer,
    pub(super) port: u16,
    pub(super) home: Home,
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

impl Stage {
    /// Configured; nothing runs yet.
    pub(super) fn new() -> Self {
        let home = Home::new();
        let signer = Signer::init(&home);
        signer.run(&["pki", "init"]);
        signer.run(&["pki", "server", "--name", "localhost", "--ip", "127.0.0.1"]);
        let folder = signer.home().display().to_string();
        for name in ["ci", "alice"] {
            signer.run(&["token", "keygen", name, "--out", &folder]);
        }
        let stage = Self {
            port: free_port(),
            signer,
            home,
        };
        stage.issuers(&[("ci", &[]), ("alice", &[])]);
        stage
    }

    /// Serving, and past the seconds in which it takes no token.
    pub(super) fn serving() -> Self {
        let mut stage = Self::new();
        stage.signer.start();
        stage.until_it_takes_tokens();
        stage
    }

    pub(super) fn until_it_takes_tokens(&self) {
        let taken = poll(Duration::from_secs(60), || {
            let token = self.token("GET", "/livez", b"");
            (self.curl(&["-H", &bearer(&token), &self.url("/livez")]).stdout == b"ok\n").then_some(())
        });
        assert!(taken.is_some(), "{}", self.signer.log_tail());
    }

    /// Writes who is believed, and what of theirs is revoked.
    pub(super) fn issuers(&self, issuers: &[(&str, &[&str])]) {
        let port = self.port;
        self.signer.configure(|config| {
            let mut bearer = Table::new();
            for (name, value) in [
                ("address", format!("127.0.0.1:{port}")),
                ("certificate", "pki/server/server.crt".to_owned()),
                ("private_key", "pki/server/server.key".to_owned()),
                ("audience", format!("https://localhost:{port}")),
            ] {
                bearer.insert(name.to_owned(), value.into());
            }
            let tables = issuers.iter().map(|(name, revoked)| {
                let mut issuer = Table::new();
                issuer.insert("name".to_owned(), (*name).into());
                issuer.insert("key_file".to_owned(), format!("{name}.pub").into());
                issuer.insert("revoked".to_owned(), revoked.to_vec().into());
                toml::Value::Table(issuer)
            });
            bearer.insert("issuer".to_owned(), tables.collect::<Vec<_>>().into());
            let listen: Table = [("bearer".to_owned(), bearer.into())].into_iter().collect();
            config.insert("listen".to_owned(), listen.into());
        });
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.signer.home().join(name)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    fn audience(&self) -> String {
        self.url("")
    }

    /// A token of `ci` for a request, by our own command line.
    pub(super) fn token(&self, method: &str, path: &str, body: &[u8]) -> String {
        let file = self.home.path("body");
        std::fs::write(&file, body).unwrap();
        let (key, audience) = (self.file("ci.key"), self.audience());
        let token = self.signer.run(&[
            "token",
            "sign",
            "--key",
            key.to_str().unwrap(),
            "--as",
            "ci/deploy",
            "--audience",
            &audience,
            method,
            path,
            file.to_str().unwrap(),
        ]);
        token.trim().to_owned()
    }

    /// The claims of a good token for an empty call of `StatusService.Get`.
    pub(super) fn claims(&self) -> Value {
        let mut id = [0; 16];
        getrandom::fill(&mut id).unwrap();
        json!({
            "iss": "ci", "sub": "deploy", "aud": self.audience(), "iat": now(), "exp": now() + 60, "jti": encode(id),
            "htm": "POST", "path": STATUS, "body_sha256": encode(Sha256::digest(EMPTY)),
        })
    }

    /// The header of a good token of `ci`.
    pub(super) fn header(&self) -> Value {
        let pem = std::fs::read_to_string(self.file("ci.pub")).unwrap();
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = base64::prelude::BASE64_STANDARD.decode(body).unwrap();
        let x = encode(&der[der.len() - 32..]);
        let thumbprint = Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
        json!({ "alg": "EdDSA", "typ": "sigward-request+jwt", "kid": encode(thumbprint) })
    }

    /// A token as openssl signs it with `ci`'s key, whatever stands in it: an issuer that knows nothing of our code.
    pub(super) fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let (message, signature) = (self.home.path("signed"), self.home.path("signature"));
        std::fs::write(&message, &signed).unwrap();
        let output = Command::new("openssl")
            .args(["pkeyutl", "-sign", "-rawin", "-inkey"])
            .arg(self.file("ci.key"))
            .arg("-in")
            .arg(&message)
            .arg("-out")
            .arg(&signature)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
        format!("{signed}.{}", encode(std::fs::read(&signature).unwrap()))
    }

    /// A token of `ci` for the status, with something changed.
    pub(super) fn with(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        self.sign(&self.header().to_string(), &claims.to_string())
    }

    /// curl, which believes our authority.
    pub(super) fn curl(&self, more: &[&str]) -> Output {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20", "--cacert"])
            .arg(self.file("pki/ca.crt"));
        curl.args(more).output().unwrap()
    }

    /// A gRPC call by curl: the status of gRPC, and its message.
    pub(super) fn call(&self, path: &str, body: &[u8], headers: &[&str]) -> (String, String) {
        let file = self.home.path("call");
        std::fs::write(&file, body).unwrap();
        let (data, url) = (format!("@{}", file.display()), self.url(path));
        let mut arguments = vec![
            "--http2",
            "-D",
            "-",
            "-o",
            "/dev/null",
            "-X",
            "POST",
            "--data-binary",
            &data,
        ];
        for header in ["content-type: application/grpc", "te: trailers"]
            .iter()
            .chain(headers)
        {
            arguments.extend(["-H", header]);
        }
        arguments.push(&url);
        let output = self.curl(&arguments);
        let text = said(&output);
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        assert!(
            !field("grpc-status:").is_empty(),
            "{text}\n{}",
            self.signer.log_tail()
        );
        (field("grpc-status:"), plain(&field("grpc-message:")))
    }

    /// Asks for the status with this token; the status of gRPC, and its message.
    pub(super) fn show(&self, token: &str) -> (String, String) {
        self.call(STATUS, EMPTY, &[&bearer(token)])
    }

    /// grpcurl with our protos and this token.
    pub(super) fn grpcurl(&self, token: &str, method: &str) -> Output {
        grpcurl(&self.file("pki/ca.crt"))
            .args(["-H", &bearer(token)])
            .arg(format!("localhost:{}", self.port))
            .arg(method)
            .output()
            .unwrap()
    }

    /// `sigward --server` of alice, at a machine where nothing else is.
    pub(super) fn ask(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_sigward"))
            .args(arguments)
            .args(["--server", &self.url(""), "--home"])
            .arg(self.home.path("nowhere"))
            .arg("--token-key")
            .arg(self.file("alice.key"))
            .env("SIGWARD_CA", self.file("pki/ca.crt"))
            .output()
            .unwrap()
    }

    /// How many requests were refused so.
    pub(super) fn refused(&self, code: &str) -> f64 {
        let metrics = Metrics::read(self.signer.http_port()).unwrap();
        let labels = [("reason", code)];
        metrics
            .sum("sigward_bearer_tls_refused_requests_total", &labels)
            .unwrap_or(0.0)
    }

    /// sigward lives, and nothing that was refused here is on record.
    pub(super) fn assert_unharmed(&self) {
        assert!(self.signer.lives(), "{}", self.signer.log_tail());
        assert!(
            !self.signer.log().contains("panicked"),
            "{}",
            self.signer.log_tail()
        );
        let tail = self.signer.run(&["audit", "tail"]);
        assert!(!tail.contains("token_"), "{tail}");
    }
}

/// Undoes the percent-encoding of gRPC's messages.
fn plain(message: &str) -> String {
    let mut parts = message.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (code, rest) = part.split_at(2);
        format!(
            "{text}{}{rest}",
            char::from(u8::from_str_radix(code, 16).unwrap())
        )
    })
}

pub(super) fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}")
}
