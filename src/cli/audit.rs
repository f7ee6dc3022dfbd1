//! `sigward audit`: read the chain of records, check that nothing in it was altered, and have it kept.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use sigward_policies::model::trace::TraceId;
use sigward_proto::v1::audit_service_client::AuditServiceClient;
use sigward_proto::v1::verify_response::Said;
use sigward_proto::v1::{
    Decision, KeepRequest, QueryRequest, Record, ShowCheckpointRequest, TailRequest, VerifyRequest,
};
use tonic::transport::Channel;

use super::client::{at_once, explain, following, with_services};
use super::exit::{CheckFailed, WrongUsage};
use super::out_file;
use super::output::Output;
use super::remote;

mod record;

use record::{describe, line, word};

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
        /// Go on printing records as they are written: by a daemon, which must run
        #[arg(long, short)]
        follow: bool,
    },
    /// Print the records that have all of what is asked for, wherever they are
    #[command(after_help = "\
Examples:
  sigward audit query --chain my-chain-1 --height 100..200
  sigward audit query --subject 'uid:*' --from 2026-11-01T00:00:00Z --json
  sigward audit query --operation 'sign.*' --decision denied
  sigward audit query --rule '(no rule)' --decision denied     what a policy denied without naming it
  sigward audit query --trace 0af7651916cd43dd8448eb211c80319c")]
    Query(Filters),
    /// Take records elsewhere: to a file as JSON lines, or into segments and a checkpoint now
    #[command(after_help = "\
Examples:
  sigward audit export                           writes what is in no segment into one, and signs a checkpoint
  sigward audit export --to november.jsonl --from 2026-11-01T00:00:00Z --to-time 2026-12-01T00:00:00Z")]
    Export {
        /// The file to make; nothing is overwritten, and it is there only when it is whole. Without it, segments are written in the
        /// audit folder, and nothing can be chosen
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        #[command(flatten)]
        filters: Filters,
    },
    /// Recompute the chain from its beginning, over segments, database and checkpoints; exits with 4 at the first record that does
    /// not fit
    #[command(after_help = "\
Without an anchor, records that were cut off at the end together with the state's own witness and checkpoints do not show. With
--server there is none: no path is taken from another machine.

Examples:
  sigward audit verify
  sigward audit verify --anchor /mnt/other/sigward.anchor --public-key 3b6a27bc…")]
    Verify {
        /// A file of checkpoints that was kept elsewhere, on the signer's machine
        #[arg(long, value_name = "FILE")]
        anchor: Option<PathBuf>,
        /// The key that checkpoints must be signed with [default: the key of the first]
        #[arg(long, value_name = "HEX")]
        public_key: Option<String>,
    },
    /// Show the last checkpoint, the key it is signed with, and where the records are
    Checkpoint,
}

/// What a record must have.
#[derive(PartialEq, Eq, Debug, Default, clap::Args)]
pub(super) struct Filters {
    /// Who asked; `uid:*` for all that begin so
    #[arg(long)]
    subject: Option<String>,
    /// What was asked, such as key.create; `sign.*` for all that begin so
    #[arg(long)]
    operation: Option<String>,
    /// The public key in hex, or its beginning
    #[arg(long, value_name = "HEX")]
    key: Option<String>,
    /// The chain id
    #[arg(long, value_name = "CHAIN")]
    chain: Option<String>,
    /// The rule that decided; `ops-*` for all that begin so, `(no rule)` where none of the policy is about it (denied, or allowed
    /// otherwise), `(built-in)` where no policy had a say
    #[arg(long)]
    rule: Option<String>,
    /// The trace of the request: 32 hexadecimal digits
    #[arg(long, value_name = "HEX", value_parser = trace)]
    trace: Option<TraceId>,
    /// How it ended: allowed, replayed, denied or failed
    #[arg(long, value_parser = PossibleValuesParser::new(DECISIONS.map(word)).map(|text| decision(&text)), hide_possible_values = true)]
    decision: Option<Decision>,
    /// Not before this time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<jiff::Timestamp>,
    /// Before this time
    #[arg(long = "to-time", value_name = "TIME", value_parser = time)]
    before: Option<jiff::Timestamp>,
    /// Heights FROM..TO, both ends included, or one
    #[arg(long, value_name = "RANGE", value_parser = heights)]
    height: Option<(i64, i64)>,
    /// At most this many records, from the oldest on; 0 for all
    #[arg(long, default_value_t = 0)]
    limit: u64,
}

impl Filters {
    fn request(self, export: bool) -> QueryRequest {
        let wire = |time: jiff::Timestamp| prost_types::Timestamp {
            seconds: time.as_second(),
            nanos: time.subsec_nanosecond(),
        };
        QueryRequest {
            subject: self.subject.unwrap_or_default(),
            operation: self.operation.unwrap_or_default(),
            key: self.key.unwrap_or_default().to_ascii_lowercase(),
            chain_id: self.chain.unwrap_or_default(),
            decision: self.decision.unwrap_or_default().into(),
            from_time: self.from.map(wire),
            to_time: self.before.map(wire),
            from_height: self.height.map(|(from, _)| from),
            to_height: self.height.map(|(_, to)| to),
            limit: self.limit,
            export,
            rule: self.rule.unwrap_or_default(),
            trace_id: self
                .trace
                .map(|trace| trace.as_bytes().to_vec())
                .unwrap_or_default(),
        }
    }
}

/// How what was asked ends.
const DECISIONS: [Decision; 4] = [
    Decision::Allowed,
    Decision::Replayed,
    Decision::Denied,
    Decision::Failed,
];

fn decision(text: &str) -> Decision {
    DECISIONS
        .into_iter()
        .find(|decision| word(*decision) == text)
        .unwrap_or_default()
}

fn trace(text: &str) -> Result<TraceId, String> {
    TraceId::parse(&text.to_ascii_lowercase())
        .ok_or_else(|| "write the 32 hexadecimal digits of its id".to_owned())
}

fn time(text: &str) -> Result<jiff::Timestamp, String> {
    text.parse()
        .map_err(|_| "write a time as 2026-11-21T18:00:00Z".to_owned())
}

fn heights(text: &str) -> Result<(i64, i64), String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str, absent: i64| match text {
        "" => Ok(absent),
        text => text
            .parse()
            .map_err(|_| "write heights as 100..200, 100.. or 100".to_owned()),
    };
    Ok((number(from, 0)?, number(to, i64::MAX)?))
}

pub(super) fn run(command: Command, home: &Path, output: &Output) -> anyhow::Result<()> {
    match command {
        Command::Tail { from, lines, follow } => tail(from, lines, follow, home, output),
        Command::Query(filters) => with_services(home, async |channel| {
            query(channel, filters.request(false), |record| {
                output.result(&describe(record), line(record));
                Ok(!output.has_failed())
            })
            .await
        }),
        Command::Export { to: None, filters } if filters != Filters::default() => Err(WrongUsage(
            "to choose records, name the file they go to: --to FILE; without it, all that are in no segment are written into one"
                .to_owned(),
        )
        .into()),
        Command::Export { to: None, filters: _ } => {
            with_services(home, async |channel| keep(channel, output).await)
        }
        Command::Export {
            to: Some(file),
            filters,
        } => export(&file, filters, home, output),
        Command::Verify { anchor, public_key } => verify(anchor, public_key.as_deref(), home, output),
        Command::Checkpoint => with_services(home, async |channel| checkpoint(channel, output).await),
    }
}

fn tail(from: Option<u64>, lines: u32, follow: bool, home: &Path, output: &Output) -> anyhow::Result<()> {
    let limit = if lines == 0 { u32::MAX } else { lines };
    let from_sequence = if lines == 0 { from.or(Some(1)) } else { from };
    let request = TailRequest {
        from_sequence,
        limit,
        follow,
    };
    let act = async move |channel: Channel| {
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
    };
    match follow {
        true => following(home, act),
        false => at_once(home, act),
    }
}

/// Gives each record that fits to `each`, until it says that it has enough.
async fn query(
    channel: Channel,
    request: QueryRequest,
    mut each: impl FnMut(&Record) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let mut records = AuditServiceClient::new(channel)
        .query(request)
        .await
        .map_err(explain)?
        .into_inner();
    while let Some(reply) = records.message().await.map_err(explain)? {
        if let Some(record) = reply.record
            && !each(&record)?
        {
            break;
        }
    }
    Ok(())
}

fn export(file: &Path, filters: Filters, home: &Path, output: &Output) -> anyhow::Result<()> {
    let mut into = out_file::Unfinished::begin(file, 0o600)?;
    let mut count = 0_u64;
    with_services(home, async |channel| {
        query(channel, filters.request(true), |record| {
            writeln!(into, "{}", describe(record))
                .with_context(|| format!("file_io: cannot write {}", file.display()))?;
            count = count.saturating_add(1);
            Ok(true)
        })
        .await
    })?;
    into.finish()?;
    output.result(
        &json!({ "file": file, "records": count }),
        format!(
            "{count} record{} in {}",
            if count == 1 { "" } else { "s" },
            file.display()
        ),
    );
    Ok(())
}

async fn keep(channel: Channel, output: &Output) -> anyhow::Result<()> {
    let kept = AuditServiceClient::new(channel)
        .keep(KeepRequest {})
        .await
        .map_err(explain)?
        .into_inner();
    output.result(
        &json!({ "segments": kept.segments, "checkpoint": kept.checkpoint }),
        format!(
            "{} segment{} written\n{}",
            kept.segments,
            if kept.segments == 1 { "" } else { "s" },
            kept.checkpoint
        ),
    );
    Ok(())
}

async fn checkpoint(channel: Channel, output: &Output) -> anyhow::Result<()> {
    let kept = AuditServiceClient::new(channel)
        .show_checkpoint(ShowCheckpointRequest {})
        .await
        .map_err(explain)?
        .into_inner();
    let key = hex::encode(&kept.public_key);
    let last = if kept.checkpoint.is_empty() {
        "no checkpoint yet"
    } else {
        &kept.checkpoint
    };
    output.result(
        &json!({
            "checkpoint": kept.checkpoint,
            "number": kept.number,
            "sequence": kept.sequence,
            "public_key": key,
            "records": kept.records,
            "exported": kept.exported,
            "base": kept.base,
        }),
        format!(
            "{last}\npublic key  {}\nrecords     {}: in segments up to {}, in the database from {}",
            if key.is_empty() {
                "away, with its seal"
            } else {
                &key
            },
            kept.records,
            kept.exported,
            kept.base.saturating_add(1),
        ),
    );
    Ok(())
}

fn verify(
    anchor: Option<PathBuf>,
    public_key: Option<&str>,
    home: &Path,
    output: &Output,
) -> anyhow::Result<()> {
    let public_key = public_key
        .map(|text| hex::decode(text).ok().filter(|key| key.len() == 32))
        .map(|key| {
            key.ok_or_else(|| {
                WrongUsage(
                    "--public-key: write the 64 hexadecimal digits that `sigward audit checkpoint` shows"
                        .to_owned(),
                )
            })
        })
        .transpose()?
        .unwrap_or_default();
    if anchor.is_some() {
        // It names a file of the signer's machine, which takes no path from elsewhere.
        remote::only_here("`audit verify --anchor`")?;
    }
    let anchor = anchor.map(std::path::absolute).transpose()?;
    let anchor = anchor.map(|path| path.to_string_lossy().into_owned());
    let request = VerifyRequest {
        anchor: anchor.unwrap_or_default(),
        public_key,
    };
    let found = with_services(home, async |channel| {
        let asked = AuditServiceClient::new(channel).verify(request).await;
        let mut stream = asked.map_err(explain)?.into_inner();
        let bar = bar(output);
        while let Some(said) = stream.message().await.map_err(explain)? {
            match said.said {
                Some(Said::Progress(progress)) => {
                    bar.set_length(progress.of);
                    bar.set_position(progress.records);
                }
                Some(Said::Outcome(outcome)) => {
                    bar.finish_and_clear();
                    return Ok(outcome);
                }
                None => {}
            }
        }
        anyhow::bail!("sigward ended before it was through with the chain; nothing is known of it")
    })?;
    output.result(
        &json!({
            "records": found.records,
            "head_hash": hex::encode(&found.head_hash),
            "exported": found.exported,
            "checkpoints": found.checkpoints,
            "vouched": found.vouched,
            "public_key": hex::encode(&found.public_key),
            "anchored": found.anchored,
            "removed": found.removed,
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

/// Shown to people who wait; scripts see nothing of it.
fn bar(output: &Output) -> ProgressBar {
    if output.is_json() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos} of {len} records, {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// A timestamp as RFC 3339 in UTC.
pub(super) fn rfc3339(time: &prost_types::Timestamp) -> String {
    jiff::Timestamp::new(time.seconds, time.nanos)
        .map_or_else(|_| "unknown".to_owned(), |time| time.to_string())
}
