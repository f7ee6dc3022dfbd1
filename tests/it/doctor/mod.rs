//! `sigward doctor`: healthy beside real nodes without disturbing them, and each thing that is wrong called by its name.

mod chains;
mod home;
mod listen;
mod rpc;

use serde_json::Value;

use crate::support::signer::Signer;

/// All findings, and the exit code.
struct Seen {
    findings: Vec<Value>,
    code: Option<i32>,
}

fn doctor(signer: &Signer, arguments: &[&str]) -> Seen {
    let output = signer.attempt(&[&["doctor", "--json"], arguments].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let findings: Vec<Value> =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}\n{errors}"));
    assert!(!findings.is_empty());
    Seen {
        findings,
        code: output.status.code(),
    }
}

impl Seen {
    /// The worst status of a check; empty when it was not made.
    fn status(&self, check: &str) -> &str {
        ["failure", "warning", "note", "ok"]
            .into_iter()
            .find(|status| self.of(check).any(|finding| finding["status"] == *status))
            .unwrap_or_default()
    }

    fn of<'a>(&'a self, check: &'a str) -> impl Iterator<Item = &'a Value> {
        self.findings
            .iter()
            .filter(move |finding| finding["check"] == check)
    }

    /// The check has this status; every failure tells what to do, and the exit code is right.
    fn assert(&self, check: &str, status: &str) {
        assert_eq!(self.status(check), status, "{check}: {:#?}", self.findings);
        for finding in &self.findings {
            let bad = ["failure", "warning"].contains(&finding["status"].as_str().unwrap());
            assert!(!bad || finding["remedy"].is_string(), "{finding}");
        }
        let failed = self.findings.iter().any(|finding| finding["status"] == "failure");
        assert_eq!(
            self.code,
            Some(if failed { 4 } else { 0 }),
            "{:#?}",
            self.findings
        );
    }

    fn assert_no_failure(&self) {
        // How long the disk takes under the tests' own load says nothing.
        let failures: Vec<_> = self
            .findings
            .iter()
            .filter(|f| f["status"] == "failure" && f["check"] != "disk.fsync")
            .collect();
        assert!(failures.is_empty(), "{failures:#?}");
    }
}
