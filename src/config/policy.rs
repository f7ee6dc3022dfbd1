//! `[policy]`: where the document is that says who may what, and how it is read. What it says is judged in `policies`.
//!
//! *Invariant:* a document is taken whole with the digest of the very bytes that were judged, or not at all.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use sigward_policies::authz::{DocumentError, MAX_DOCUMENT, Policy, PolicyVersion};

use super::error::{ConfigCode, ConfigError, Place};
use super::file::{What, read};
use super::raw::RawPolicy;
use super::validate::Source;

/// `[policy]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PolicyConfig {
    /// The document; none: the built-in rules are all there are.
    pub file: Option<PathBuf>,
    /// What it denies is let through, and logged.
    pub dry_run: bool,
}

const DOCUMENT: What = What {
    max_bytes: MAX_DOCUMENT,
    invalid: ConfigCode::PolicyInvalid,
    missing: ConfigCode::PolicyMissing,
    unreadable: ConfigCode::PolicyUnreadable,
    no_file: (
        "there is no policy here",
        "put the document there, correct `file` in [policy], or take the line out; policies/examples has some to begin with",
    ),
    other_kind: "put a file there, or name another one",
    everybody: "choose who may what",
    small: "a policy is small; see that this is the right file",
};

/// The policy that a configuration names, if it names one.
pub fn load_policy(config: &PolicyConfig) -> Result<Option<Policy>, ConfigError> {
    config.file.as_deref().map(read_policy).transpose()
}

/// Reads a document, and judges it.
pub fn read_policy(path: &Path) -> Result<Policy, ConfigError> {
    read(path, &DOCUMENT)
        .and_then(|text| {
            let version = PolicyVersion(Sha256::digest(&text).into());
            Policy::parse(&text, version).map_err(refused)
        })
        .map_err(|error| error.in_file(path))
}

pub(super) fn policy(raw: &RawPolicy, source: &Source<'_>) -> Result<PolicyConfig, ConfigError> {
    let file = match &raw.file {
        None => None,
        file => Some(source.path(file.as_ref(), "policy.file", "policy.toml")?),
    };
    let dry_run = raw.dry_run.as_ref().is_some_and(|dry_run| *dry_run.as_ref());
    match (&raw.dry_run, &file) {
        (Some(value), None) if dry_run => Err(source.bad(
            value,
            "policy.dry_run",
            "there is no document to try out",
            "name it with file = \"policy.toml\", or take this line out",
        )),
        _ => Ok(PolicyConfig { file, dry_run }),
    }
}

fn refused(error: DocumentError) -> ConfigError {
    let mut refused = ConfigError::new(ConfigCode::PolicyInvalid, error.message, error.advice);
    refused.place = error.place.map(|place| Place {
        line: place.line,
        column: place.column,
    });
    refused.key = error.field;
    refused
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_known_by_the_digest_of_its_bytes() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/examples");
        let file = folder.join("auditor.toml");
        let digest: [u8; 32] = Sha256::digest(std::fs::read(&file).unwrap()).into();
        let version = read_policy(&file).unwrap().version();
        assert_eq!(version, PolicyVersion(digest));
        assert_eq!(
            (version.to_string().len(), format!("{version:#}").len()),
            (12, 64)
        );
    }

    #[test]
    fn each_way_of_not_being_a_policy_has_its_code_and_says_what_to_do() {
        let missing = read_policy(Path::new("/nonexistent/policy.toml"))
            .unwrap_err()
            .to_string();
        assert!(
            missing.starts_with("policy_missing: /nonexistent/policy.toml: "),
            "{missing}"
        );
        let folder = read_policy(Path::new(env!("CARGO_MANIFEST_DIR")))
            .unwrap_err()
            .to_string();
        assert!(folder.starts_with("policy_unreadable: "), "{folder}");
        let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/one-node.toml");
        let invalid = read_policy(&other).unwrap_err().to_string();
        assert!(
            invalid.starts_with("policy_invalid: ") && invalid.contains("one-node.toml:"),
            "{invalid}"
        );
    }
}
