//! A signer with all three doors: certificates (a client `admin`), tokens (issuers `ci` and `alice`), and tokens on loopback.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use crate::support::grpcurl::{grpcurl, shows};
use crate::support::home::Home;
use crate::support::poll;
use crate::support::ports::free_port;
pub(super) use crate::support::process::said;
use crate::support::signer::Signer;

pub(super) const STATUS: &str = "/sigward.v1.StatusService/Get";
pub(super) const LIST: &str = "/sigward.v1.KeyService/List";
const AUDIENCE: &str = "https://signer";
const POLICY: &str = "version = 1\n\
    [[rule]]\nid = \"look\"\neffect = \"allow\"\nsubjects = [\"dns:admin\", \"jwt:ci/deploy\"]\noperations = [\"status.read\", \"key.list\", \"key.show\", \"key.import\", \"key.backup\", \"state.show\", \"hold.list\", \"node.list\", \"provider.list\", \"approval.list\", \"audit.read\", \"api_key.create\"]\n";

/// A way in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Door {
    Certificate,
    Token,
    Plain,
}

pub(super) struct Stage {
    pub(super) signer: Signer,
    pub(super) home: Home,
    ports: [u16; 3],
}

/// What came back: the status of HTTP, all headers, and JSON.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Value,
}

impl Answer {
    /// The stable code of an error.
    pub(super) fn reason(&self) -> &str {
        self.body["details"][0]["debug"]["reason"]
            .as_str()
            .unwrap_or_default()
    }

    pub(super) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

pub(super) fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}")
}

impl Stage {
    /// Configured; nothing runs yet.
    pub(super) fn new() -> Self {
        let home = Home::new();
        let signer = Signer::init(&home);
        signer.run(&["pki", "init"]);
        signer.run(&["pki", "server", "--name", "localhost", "--ip", "127.0.0.1"]);
        signer.run(&["pki", "client", "admin"]);
        let folder = signer.home().display().to_string();
        for name in ["ci", "alice"] {
            signer.run(&["token", "keygen", name, "--out", &folder]);
        }
        let ports = [free_port(), free_port(), free_port()];
        let listen = format!(
            "address = '127.0.0.1:{}'\ncertificate = 'pki/server/server.crt'\nprivate_key = 'pki/server/server.key'\n\
             client_ca = 'pki/ca.crt'\ncrl = 'pki/crl.pem'\n\
             [bearer]\naddress = '127.0.0.1:{}'\ncertificate = 'pki/server/server.crt'\nprivate_key = 'pki/server/server.key'\n\
             audience = '{AUDIENCE}'\nissuer = [{{name = 'ci', key_file = 'ci.pub'}}, {{name = 'alice', key_file = 'alice.pub'}}]\n\
             [plain]\naddress = '127.0.0.1:{}'\n",
            ports[0], ports[1], ports[2]
        );
        signer.configure(|config| {
            config.insert("listen".to_owned(), listen.parse::<toml::Table>().unwrap().into());
        });
        Self { signer, home, ports }
    }

    /// Serving, and past the seconds in which it takes no token.
    pub(super) fn serving() -> Self {
        let mut stage = Self::new();
        stage.signer.start();
        let taken = poll(Duration::from_secs(60), || {
            (stage.call(Door::Token, STATUS, "{}", &[]).status == 200).then_some(())
        });
        assert!(taken.is_some(), "{}", stage.signer.log_tail());
        stage
    }

    /// Lets `admin` and `ci/deploy` look at everything, and import keys, if that could come from outside.
    pub(super) fn allow_looking(&self) {
        std::fs::write(self.file("policy.toml"), POLICY).unwrap();
        self.signer.configure(|config| {
            let policy = [("file".to_owned(), "policy.toml".into())].into_iter().collect();
            config.insert("policy".to_owned(), toml::Value::Table(policy));
        });
        self.signer.run(&["reload"]);
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.signer.home().join(name)
    }

    pub(super) const fn port(&self, door: Door) -> u16 {
        match door {
            Door::Certificate => self.ports[0],
            Door::Token => self.ports[1],
            Door::Plain => self.ports[2],
        }
    }

    pub(super) fn url(&self, door: Door, path: &str) -> String {
        let scheme = if door == Door::Plain { "http" } else { "https" };
        format!("{scheme}://localhost:{}{path}", self.port(door))
    }

    /// A token for a request.
    pub(super) fn token_of(&self, who: &str, method: &str, path: &str, body: &[u8]) -> String {
        let file = self.home.path("signed-body");
        std::fs::write(&file, body).unwrap();
        let issuer = who.split('/').next().unwrap();
        let (key, file) = (self.file(&format!("{issuer}.key")), file.display().to_string());
        let key = key.to_str().unwrap();
        let token = self.signer.run(&[
            "token",
            "sign",
            "--key",
            key,
            "--as",
            who,
            "--audience",
            AUDIENCE,
            method,
            path,
            &file,
        ]);
        token.trim().to_owned()
    }

    pub(super) fn token(&self, path: &str, body: &str) -> String {
        self.token_of("ci/deploy", "POST", path, body.as_bytes())
    }

    /// curl, with what this door asks for besides tokens.
    pub(super) fn curl(&self, door: Door, more: &[&str]) -> Output {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "30", "--cacert"])
            .arg(self.file("pki/ca.crt"));
        if door == Door::Certificate {
            curl.arg("--cert").arg(self.file("pki/clients/admin.crt"));
            curl.arg("--key").arg(self.file("pki/clients/admin.key"));
        }
        curl.args(more).output().unwrap()
    }

    /// A request by curl, whatever it is; the answer must be JSON.
    pub(super) fn send(&self, door: Door, path: &str, more: &[&str]) -> Answer {
        let url = self.url(door, path);
        let mut arguments = vec!["-i"];
        arguments.extend(more);
        arguments.push(&url);
        let output = self.curl(door, &arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let read = || {
            let (head, body) = text.split_once("\r\n\r\n")?;
            let status = head.split(' ').nth(1)?.parse().ok()?;
            let body = serde_json::from_str(body).ok()?;
            let head = head.to_lowercase();
            Some(Answer { status, head, body })
        };
        read().unwrap_or_else(|| panic!("{more:?}: {}\n{}", said(&output), self.signer.log_tail()))
    }

    /// A procedure in JSON, with a token where the door asks for one.
    pub(super) fn call(&self, door: Door, path: &str, body: &str, more: &[&str]) -> Answer {
        let token = (door != Door::Certificate).then(|| bearer(&self.token(path, body)));
        let file = self.home.path("json-body");
        std::fs::write(&file, body).unwrap();
        let data = format!("@{}", file.display());
        let mut arguments = vec![
            "-X",
            "POST",
            "-H",
            "content-type: application/json",
            "-H",
            "expect:",
            "--data-binary",
            &data,
        ];
        if let Some(token) = &token {
            arguments.extend(["-H", token]);
        }
        arguments.extend(more);
        self.send(door, path, &arguments)
    }

    /// grpcurl with our protos, as `admin`.
    pub(super) fn grpcurl(&self, method: &str, message: &str) -> Output {
        let mut grpcurl = grpcurl(&self.file("pki/ca.crt"));
        shows(&mut grpcurl, &self.file("pki/clients/admin.crt"));
        grpcurl.args(["-format-error", "-d", message]);
        grpcurl.arg(format!("localhost:{}", self.port(Door::Certificate)));
        grpcurl.arg(method).output().unwrap()
    }

    /// Bytes at the plain door, and everything that comes back until it ends the connection.
    pub(super) fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // It may have ended the connection already.
        let _cut = stream.write_all(bytes);
        let mut all = Vec::new();
        let _reset = stream.read_to_end(&mut all);
        String::from_utf8_lossy(&all).into_owned()
    }

    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port(Door::Plain))).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        stream
    }

    /// sigward lives, and answers whoever behaves.
    pub(super) fn assert_unharmed(&self) {
        assert!(self.signer.lives(), "{}", self.signer.log_tail());
        assert!(
            !self.signer.log().contains("panicked"),
            "{}",
            self.signer.log_tail()
        );
        assert_eq!(self.call(Door::Plain, STATUS, "{}", &[]).status, 200);
    }
}
