//! The collector of traces, where the configuration has one: the files that it names. It is not dialled.

use super::finding::{Check, Finding};
use crate::config::Config;
use crate::otlp;

pub(super) fn judge(config: &Config) -> Option<Finding> {
    let to = config.otlp.as_ref()?;
    let found = match otlp::check(to) {
        Ok(()) => Finding::ok(
            Check::ConfigTraces,
            "its files are as they must be; nobody dialled it",
        ),
        Err(error) => {
            let text = error.to_string();
            let (fact, remedy) = text.split_once('\n').unwrap_or((&text, "docs/tracing.md"));
            Finding::failure(Check::ConfigTraces, fact.trim(), remedy.trim())
        }
    };
    Some(found.about(to.endpoint.to_string()))
}
