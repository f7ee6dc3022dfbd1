//! `sigward audit`: read the chain of records, and check that nothing in it was altered.

use std::path::Path;

use serde_json::{Value, json};
use sigward_proto::v1::audit_service_client::AuditServiceClient;
use sigward_proto::v1::{Decision, Record, TailRequest, VerifyRequest};

use super::client::{at_once, explain, with_services};
use super::exit::CheckFailed;
use super::output::{Output, one_line};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print records, oldest first
    Tail {
        /// First record to print [default: the last LINES ones]
        #[arg(long, value_name = "SEQUENCE")]
        from: Option<u64>,
        /// How many of the records that exist; 0 prints them all
        #[arg(long, short = 'n', default_value_t = 20, value_name = "LINES")]
        lines: u32,
        /// Go on printing records as they are written
        #[arg(long, short)]
        follow: bool,
    },
    /// Recompute the chain from its beginning; exits with 4 at the first record that does not fit
    Verify,
}

pub(super) fn run(command: Command, home: &Path, output: &Output) -> anyhow::Result<()> {
    match command {
        Command::Tail { from, lines, follow } => at_once(home, async |channel| {
            let limit = if lines == 0 { u32::MAX } else { lines };
            let from_sequence = if lines == 0 { from.or(Some(1)) } else { from };
            let request = TailRequest {
                from_sequence,
                limit,
                follow,
            };
            let mut records = AuditServiceClient::new(channel)
                .tail(request)
                .await
                .map_err(explain)?
                .into_inner();
            while let Some(reply) = records.message().await.map_err(explain)? {
                if let Some(record) = reply.record {
                    output.result(&describe(&record), line(&record));
                }
                if output.has_failed() {
                    break;
                }
            }
            Ok(())
        }),
        Command::Verify => {
            let found = with_services(home, async |channel| {
                let reply = AuditServiceClient::new(channel)
                    .verify(VerifyRequest {})
                    .await
                    .map_err(explain)?;
                Ok(reply.into_inner())
            })?;
            output.result(
                &json!({
                    "records": found.records,
                    "head_hash": hex::encode(&found.head_hash),
                    "first_broken": found.first_broken,
                    "message": found.message,
                }),
                &found.message,
            );
            match found.first_broken {
                None => Ok(()),
                Some(sequence) => Err(CheckFailed(format!(
                    "audit_chain_broken: record {sequence} does not fit the chain"
                ))
                .into()),
            }
        }
    }
}

/// A timestamp as RFC 3339 in UTC.
pub(super) fn rfc3339(time: &prost_types::Timestamp) -> String {
    jiff::Timestamp::new(time.seconds, time.nanos)
        .map_or_else(|_| "unknown".to_owned(), |time| time.to_string())
}

fn describe(record: &Record) -> Value {
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
    })
}

fn line(record: &Record) -> String {
    let time = record.time.as_ref().map(rfc3339).unwrap_or_default();
    let times = if record.count > 1 {
        format!(" ×{}", record.count)
    } else {
        String::new()
    };
    format!(
        "{:>8} {time:27} {:8} {:24} {} {} {}{times}",
        record.sequence,
        word(record.decision()),
        one_line(&record.operation),
        one_line(&record.subject),
        place(record),
        one_line(&record.reason),
    )
}

/// Where it happened: the chain, and the position on it where there is one.
fn place(record: &Record) -> String {
    let parts = [&record.chain_id, &record.position];
    let known = parts.into_iter().filter(|part| !part.is_empty());
    known.map(|part| one_line(part)).collect::<Vec<_>>().join(" ")
}

const fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Unspecified => "unknown",
        Decision::Allowed => "allowed",
        Decision::Replayed => "replayed",
        Decision::Denied => "denied",
        Decision::Failed => "failed",
    }
}
