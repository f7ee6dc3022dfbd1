//! The configuration: what in it is a risk, and the policy that it names.

use super::count;
use super::finding::{Check, Finding};
use crate::config::{self, Config};

pub(super) fn risks(config: &Config) -> Vec<Finding> {
    config
        .warnings()
        .into_iter()
        .map(|warning| {
            Finding::warning(
                Check::ConfigRisk,
                warning,
                "docs/operating.md tells when it may stay so",
            )
        })
        .collect()
}

/// The document that says who may what, where the configuration names one.
pub(super) fn policy(config: &Config) -> Vec<Finding> {
    let Some(file) = &config.policy.file else {
        return Vec::new();
    };
    let about = file.display().to_string();
    match config::read_policy(file) {
        Ok(policy) => {
            let rules = count(policy.rules().len(), "rule");
            let ok = Finding::ok(
                Check::ConfigPolicy,
                format!("{rules}, version {}", policy.version()),
            );
            let warning = |warning: &sigward_policies::authz::Warning| {
                let remedy = "docs/policy.md tells what each warning means";
                Finding::warning(Check::ConfigPolicy, warning.to_string(), remedy).about(&about)
            };
            let warnings = policy.warnings().iter().map(warning);
            std::iter::once(ok.about(&about)).chain(warnings).collect()
        }
        Err(error) => {
            let text = error.to_string();
            let (fact, remedy) = text.split_once('\n').unwrap_or((&text, "sigward policy check"));
            vec![Finding::failure(Check::ConfigPolicy, fact.trim(), remedy.trim())]
        }
    }
}
