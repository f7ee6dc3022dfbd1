//! `sigward approvals`: what waits for others, and what they say to it; and `--approval`, with which an act goes on.

use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;
use sigward_proto::v1::approval_service_client::ApprovalServiceClient;
use sigward_proto::v1::{Approval, ApproveRequest, ListApprovalsRequest, RejectRequest, ShowApprovalRequest};
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;

use super::client::{at_once, explain};
use super::exit::{RefusedByRule, WrongUsage};
use super::output::{Output, one_line};
use crate::listener::grpc::{APPROVAL, WAIT};

mod show;

use show::{describe, line, text};

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
An act for which a rule of the policy has `approvals = 2` does nothing at first. It prints the id of a request and ends with 3:
  ada$  sigward unfreeze --all --reason \"node-2 is rebuilt\"
        sigward: approval_required: unfreeze waits for 2 of 2 approvals: request 3f2a…
  bob$  sigward approvals show 3f2a…            what exactly, who asks, since when
  bob$  sigward approvals approve 3f2a…
  cyd$  sigward approvals approve 3f2a…
  ada$  sigward unfreeze --all --reason \"node-2 is rebuilt\" --approval 3f2a…

Each of them shows a certificate of their own (--server, docs/tls.md): nobody approves what they asked for, or twice. The last command
must be the first one, to the letter. An approval is good for one act, for an hour, for the policy and the state that were there when it
was asked for. docs/approvals.md tells the whole of it.")]
pub(super) enum Command {
    /// List what waits for approval, or for the act after it
    List {
        /// Those that were used, rejected or have expired, too
        #[arg(long)]
        all: bool,
    },
    /// Show one request: what exactly is to be done, who asks, who has said what
    Show {
        #[command(flatten)]
        which: Which,
    },
    /// Say yes to what somebody else asks; prints what was agreed to
    ///
    ///   sigward approvals show 3f2ad0c1b2e34f5a9f0e1d2c3b4a5968
    ///   sigward approvals approve 3f2ad0c1b2e34f5a9f0e1d2c3b4a5968
    #[command(verbatim_doc_comment)]
    Approve {
        #[command(flatten)]
        which: Which,
        /// Only if its digest is this one, as `show` printed it
        #[arg(long, value_name = "HEX")]
        digest: Option<String>,
        /// Why; it is put on record
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// Say no, which ends it; or take back what you asked for yourself
    Reject {
        #[command(flatten)]
        which: Which,
        /// Why; it is put on record
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
    },
}

/// A request.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Its id, or as many of its first digits as tell it from the others (4 at least)
    #[arg(value_name = "ID")]
    id: String,
}

/// What an act rests on besides the right to it.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "If a rule wants approvals (see `sigward approvals --help`)")]
pub(super) struct Given {
    /// The request that others have approved: its id, or as many of its first digits as tell it from the others (4 at least)
    #[arg(long, value_name = "ID")]
    approval: Option<String>,
    /// How long a request may wait if this makes one: 1 to 24 hours [default: 1]
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u8).range(1..=24), conflicts_with = "approval")]
    approval_hours: Option<u8>,
}

impl Given {
    /// `message`, resting on it.
    pub(super) fn under<T>(&self, message: T, home: &Path) -> anyhow::Result<Request<T>> {
        let mut request = Request::new(message);
        if let Some(id) = &self.approval {
            let id = match Written::read(id)? {
                Written::Whole(id) => id,
                Written::Begun(id) => {
                    let all = at_once(home, async |channel| list(channel, true).await);
                    let all = all.context(
                        "--approval was given by its first digits, and those are looked up: write all 32",
                    )?;
                    the_one(all, &id)?.id
                }
            };
            request
                .metadata_mut()
                .insert(APPROVAL, MetadataValue::try_from(id)?);
        }
        if let Some(hours) = self.approval_hours {
            let seconds = u32::from(hours).saturating_mul(3600);
            request.metadata_mut().insert(WAIT, MetadataValue::from(seconds));
        }
        Ok(request)
    }
}

pub(super) fn run(command: Command, home: &Path, output: &Output) -> anyhow::Result<()> {
    match command {
        Command::List { all } => {
            let approvals = at_once(home, async |channel| list(channel, all).await)?;
            if output.is_json() {
                output.line(Value::Array(approvals.iter().map(describe).collect()));
                return Ok(());
            }
            if approvals.is_empty() {
                output.line("Nothing waits for approval.");
            }
            approvals.iter().for_each(|approval| output.line(line(approval)));
            Ok(())
        }
        Command::Show { which } => {
            let approval = at_once(home, async |channel| which.find(channel).await)?;
            output.result(&describe(&approval), text(&approval));
            Ok(())
        }
        Command::Approve {
            which,
            digest,
            reason,
        } => {
            let approval = at_once(home, async |channel| {
                let seen = which.find(channel.clone()).await?;
                let shown = hex::encode(&seen.digest);
                if digest.is_some_and(|wanted| !wanted.eq_ignore_ascii_case(&shown)) {
                    let why = format!(
                        "approval_void: the digest of {} is {shown}: it is another request than you saw",
                        seen.id
                    );
                    return Err(RefusedByRule(why).into());
                }
                let request = ApproveRequest {
                    id: seen.id,
                    digest: seen.digest,
                    reason,
                };
                let reply = ApprovalServiceClient::new(channel).approve(request).await;
                reply.map_err(explain)?.into_inner().approval.context(NOTHING)
            })?;
            output.result(&describe(&approval), text(&approval));
            Ok(())
        }
        Command::Reject { which, reason } => {
            let approval = at_once(home, async |channel| {
                let seen = which.find(channel.clone()).await?;
                let request = RejectRequest {
                    id: seen.id,
                    digest: seen.digest,
                    reason,
                };
                let reply = ApprovalServiceClient::new(channel).reject(request).await;
                reply.map_err(explain)?.into_inner().approval.context(NOTHING)
            })?;
            output.result(&describe(&approval), text(&approval));
            Ok(())
        }
    }
}

const NOTHING: &str = "the service returned no request";

async fn list(channel: Channel, all: bool) -> anyhow::Result<Vec<Approval>> {
    let reply = ApprovalServiceClient::new(channel)
        .list(ListApprovalsRequest { all })
        .await;
    Ok(reply.map_err(explain)?.into_inner().approvals)
}

/// An id as people write it.
#[derive(PartialEq, Eq, Debug)]
enum Written {
    Whole(String),
    /// Its first digits.
    Begun(String),
}

impl Written {
    fn read(text: &str) -> anyhow::Result<Self> {
        let id = text.trim().trim_end_matches('…').to_ascii_lowercase();
        match (id.len(), id.bytes().all(|b| b.is_ascii_hexdigit())) {
            (32, true) => Ok(Self::Whole(id)),
            (4..32, true) => Ok(Self::Begun(id)),
            _ => Err(WrongUsage(format!(
                "invalid_parameters: {:?} is no id of a request for approval: it has 32 hexadecimal digits, of which the first 4 may do\n`sigward approvals list` shows what waits",
                one_line(text)
            ))
            .into()),
        }
    }
}

/// The one request whose id begins so.
fn the_one(mut all: Vec<Approval>, id: &str) -> anyhow::Result<Approval> {
    all.retain(|approval| approval.id.starts_with(id));
    <[Approval; 1]>::try_from(all).map(|[only]| only).map_err(|several| {
        let why = format!(
            "approval_not_found: {} requests begin with {id}\n`sigward approvals list --all` shows those that are kept",
            several.len(),
        );
        RefusedByRule(why).into()
    })
}

impl Which {
    /// The request that is meant. Abbreviations are for eyes and hands; the service knows whole ids only.
    async fn find(self, channel: Channel) -> anyhow::Result<Approval> {
        let id = match Written::read(&self.id)? {
            Written::Whole(id) => id,
            Written::Begun(id) => return the_one(list(channel, true).await?, &id),
        };
        let reply = ApprovalServiceClient::new(channel)
            .show(ShowApprovalRequest { id })
            .await;
        reply.map_err(explain)?.into_inner().approval.context(NOTHING)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_be_begun_and_is_the_one_that_begins_so() {
        let id = "3f2ad0c1b2e34f5a9f0e1d2c3b4a5968";
        assert_eq!(Written::read(id).unwrap(), Written::Whole(id.to_owned()));
        for begun in ["3f2a", "3F2A…", " 3f2a "] {
            assert_eq!(Written::read(begun).unwrap(), Written::Begun("3f2a".to_owned()));
        }
        for bad in ["", "3f2", "zzzz", "3f2a d0c1", &format!("{id}0")] {
            assert!(Written::read(bad).unwrap_err().is::<WrongUsage>(), "{bad}");
        }
        let with = |id: &str| Approval {
            id: id.to_owned(),
            ..Approval::default()
        };
        let all = || vec![with(id), with("3f2b0000000000000000000000000000")];
        assert_eq!(the_one(all(), "3f2a").unwrap().id, id);
        assert!(the_one(all(), "3f2").unwrap_err().is::<RefusedByRule>());
        assert!(the_one(all(), "ffff").unwrap_err().is::<RefusedByRule>());
    }
}
