//! API keys, met by what programs use that have nothing else: curl and grpcurl with one header; by whoever finds one in a log; and by an
//! operator who takes one back.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::stage::{EMPTY, Stage, bearer, said};

#[cfg(feature = "failpoints")]
mod dying;
mod making;
mod showing;

/// Before a key is stored, after that, and after one was revoked; nobody has heard of it.
pub(crate) const POINTS: &[&str] = &[
    "admin_api_key_made",
    "admin_api_key_stored",
    "admin_api_key_revoked",
];

const WHO_AM_I: &str = "/sigward.v1.StatusService/WhoAmI";

impl Stage {
    /// Makes a key; its secret.
    fn api_key(&self, name: &str) -> String {
        let made = self.signer.json(&["api-key", "create", name, "--json"]);
        made["secret"].as_str().unwrap().to_owned()
    }

    /// Who somebody is with this key: the status of gRPC, and its message.
    fn shows(&self, key: &str) -> (String, String) {
        self.call(WHO_AM_I, EMPTY, &[&bearer(key)])
    }

    /// `sigward whoami --server` with this key.
    fn whoami(&self, key: &Path, more: &[&str]) -> Output {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sigward"));
        command
            .args(["whoami", "--server", &self.url(""), "--home"])
            .arg(self.home.path("nowhere"))
            .arg("--api-key")
            .arg(key)
            .args(more)
            .env("SIGWARD_CA", self.file("pki/ca.crt"));
        command.output().unwrap()
    }

    fn policy(&self, text: &str) {
        std::fs::write(self.file("policy.toml"), text).unwrap();
        self.signer.configure(|config| {
            let policy = [("file".to_owned(), "policy.toml".into())].into_iter().collect();
            config.insert("policy".to_owned(), toml::Value::Table(policy));
        });
    }
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}
