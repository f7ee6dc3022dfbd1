//! A record, as it is shown.

use serde_json::{Value, json};
use sigward_proto::v1::{Decision, Record};

use super::rfc3339;
use crate::cli::output::one_line;

/// As `--json` has it.
pub(super) fn describe(record: &Record) -> Value {
    json!({
        "sequence": record.sequence,
        "time": record.time.as_ref().map(rfc3339),
        "subject": record.subject,
        "operation": record.operation,
        "key": record.key,
        "chain_id": record.chain_id,
        "position": record.position,
        "decision": word(record.decision()),
        "reason": record.reason,
        "count": record.count,
        "request_digest": hex::encode(&record.request_digest),
        "signature_digest": hex::encode(&record.signature_digest),
        "previous_hash": hex::encode(&record.previous_hash),
        "hash": hex::encode(&record.hash),
        "key_version": (record.key_version != 0).then_some(record.key_version),
        "authentication": record.authentication.as_ref().map(|proof| json!({
            "method": proof.method,
            "certificate_sha256": hex::encode(&proof.certificate_sha256),
            "credential": proof.credential,
        })),
        "ruling": record.ruling.as_ref().map(|ruling| json!({
            "rule": ruling.rule,
            "policy": hex::encode(&ruling.policy),
        })),
        "trace_id": hex::encode(&record.trace_id),
        "form": record.form,
    })
}

/// As a line of text.
pub(super) fn line(record: &Record) -> String {
    let time = record.time.as_ref().map(rfc3339).unwrap_or_default();
    let times = if record.count > 1 {
        format!(" ×{}", record.count)
    } else {
        String::new()
    };
    format!(
        "{:>8} {time:27} {:8} {:24} {} {} {}{}{times}",
        record.sequence,
        word(record.decision()),
        one_line(&record.operation),
        one_line(&record.subject),
        place(record),
        one_line(&record.reason),
        by_rule(record),
    )
}

/// The rule that decided, where there is one; the rest is in `--json`.
fn by_rule(record: &Record) -> String {
    match &record.ruling {
        Some(ruling) if ruling.rule != "(built-in)" => format!(" by {}", one_line(&ruling.rule)),
        _ => String::new(),
    }
}

/// Where it happened: the chain, and the position on it where there is one; of what is held back on no chain, the key, or everything.
fn place(record: &Record) -> String {
    // What was refused may name a chain or key that is not there, and then has none.
    let done = record.decision() == Decision::Allowed;
    if done && matches!(&*record.operation, "freeze" | "unfreeze") && record.chain_id.is_empty() {
        return match record.key.get(..8) {
            Some(beginning) => format!("key {}…", one_line(beginning)),
            None => "everything".to_owned(),
        };
    }
    let parts = [&record.chain_id, &record.position];
    let known = parts.into_iter().filter(|part| !part.is_empty());
    known.map(|part| one_line(part)).collect::<Vec<_>>().join(" ")
}

/// The word for a decision.
pub(super) const fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Unspecified => "unknown",
        Decision::Allowed => "allowed",
        Decision::Replayed => "replayed",
        Decision::Denied => "denied",
        Decision::Failed => "failed",
    }
}
