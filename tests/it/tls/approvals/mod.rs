//! Acts that need others: people with certificates of their own, a policy that has them wait for each other, and whoever tries to do
//! without.

mod acts;
mod attacks;
#[cfg(feature = "failpoints")]
pub(crate) mod dying;
mod policy;
mod story;
mod touched;

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use super::stage::{Stage, said};

pub(super) const KEY: &str = "val";
pub(super) const CHAIN: &str = "it-approvals-1";

/// Two of the others must approve what anybody of the team asks; everybody may look, and stop things.
const POLICY: &str = r#"
version = 1
[subjects]
team = ["dns:ada", "dns:bob", "dns:cyd", "dns:dan"]
[[rule]]
id = "together"
effect = "allow"
subjects = ["team"]
operations = ["unfreeze", "stop_line.clear", "state.allow", "state.export", "state.rebind"]
approvals = 2
[[rule]]
id = "everybody"
effect = "allow"
subjects = ["team"]
operations = ["approval.*", "freeze", "hold.list", "state.show", "state.import"]
[[rule]]
id = "out-of-the-house"
effect = "allow"
subjects = ["uid:*"]
operations = ["key.export", "key.backup"]
approvals = 1
[[rule]]
id = "no-such-way"
effect = "allow"
subjects = ["dns:ada"]
operations = ["key.create"]
approvals = 1
"#;

const UNFREEZE: [&str; 4] = ["unfreeze", "--all", "--reason", "the drill is over"];

/// A signer, and people who ask it from elsewhere.
pub(super) struct Team {
    pub(super) stage: Stage,
}

impl Team {
    pub(super) fn new() -> Self {
        let mut team = Self { stage: Stage::new() };
        let signer = &team.stage.signer;
        for name in ["ada", "bob", "cyd", "dan"] {
            signer.run(&["pki", "client", name]);
        }
        signer.create_key(KEY);
        signer.run(&["state", "init", "--key", KEY, "--chain", CHAIN, "--above", "100"]);
        team.write_policy(POLICY);
        signer.configure(|config| {
            let policy = [("file".to_owned(), "policy.toml".into())].into_iter().collect();
            config.insert("policy".to_owned(), toml::Value::Table(policy));
        });
        team.stage.signer.start();
        team
    }

    pub(super) fn write_policy(&self, text: &str) {
        std::fs::write(self.stage.signer.home().join("policy.toml"), text).unwrap();
    }

    /// `sigward --server`, as somebody with this certificate.
    pub(super) fn with(&self, certificate: &PathBuf, arguments: &[&str]) -> Output {
        std::process::Command::new(env!("CARGO_BIN_EXE_sigward"))
            .args(arguments)
            .args(["--server", &self.stage.url(""), "--home"])
            .arg(self.stage.home.path("nowhere"))
            .arg("--certificate")
            .arg(certificate)
            .env("SIGWARD_PRIVATE_KEY", certificate.with_extension("key"))
            .env("SIGWARD_CA", self.stage.pki("ca.crt"))
            .output()
            .unwrap()
    }

    pub(super) fn ask(&self, who: &str, arguments: &[&str]) -> Output {
        self.with(&self.stage.client(who), arguments)
    }

    /// The same, which must be done.
    pub(super) fn does(&self, who: &str, arguments: &[&str]) -> String {
        let output = self.ask(who, arguments);
        assert!(
            output.status.success(),
            "{who} {arguments:?}: {}\n{}",
            said(&output),
            self.stage.signer.log_tail()
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, which must be refused with this code.
    pub(super) fn refused(&self, who: &str, arguments: &[&str], code: &str) -> String {
        refused(&self.ask(who, arguments), &format!("{who} {arguments:?}"), code)
    }

    /// Asks for an act that waits: the id of its request.
    pub(super) fn waits(&self, who: &str, arguments: &[&str]) -> String {
        id_in(&self.refused(who, arguments, "approval_required"))
    }

    pub(super) fn approve(&self, who: &str, id: &str) {
        self.does(who, &["approvals", "approve", id]);
    }

    /// Two others agree.
    pub(super) fn approved(&self, id: &str) {
        self.approve("bob", id);
        self.approve("cyd", id);
    }

    pub(super) fn freeze(&self) {
        self.does("dan", &["freeze", "--all", "--reason", "a drill"]);
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.stage.signer.json(&["holds", "--json"]) != serde_json::json!([])
    }

    pub(super) fn request(&self, id: &str) -> Value {
        self.stage.signer.json(&["approvals", "show", id, "--json"])
    }

    pub(super) fn records(&self) -> String {
        self.stage.signer.run(&["audit", "tail", "--lines", "100"])
    }
}

/// Has the key `old` leave its first chain for these files.
pub(super) fn leaving<'a>(state: &'a str, key: &'a str) -> [&'a str; 10] {
    [
        "state",
        "export",
        "--key",
        "old",
        "--chain",
        "old-1",
        "--file",
        state,
        "--key-file",
        key,
    ]
}

/// The same arguments, resting on a request.
pub(super) fn under<'a>(arguments: &[&'a str], id: &'a str) -> Vec<&'a str> {
    let mut all = arguments.to_vec();
    all.extend(["--approval", id]);
    all
}

/// What a refusal said; it must have this code, and end with 3.
pub(super) fn refused(output: &Output, what: &str, code: &str) -> String {
    let text = said(output);
    assert_eq!(output.status.code(), Some(3), "{what}: {text}");
    assert!(text.contains(&format!("{code}: ")), "{what}: not {code}: {text}");
    text
}

pub(super) fn id_in(text: &str) -> String {
    let words = text
        .split_once("request ")
        .map(|(_, rest)| rest)
        .unwrap_or_default();
    let id: String = words.chars().take_while(char::is_ascii_hexdigit).collect();
    assert_eq!(id.len(), 32, "{text}");
    id
}
