//! `sigward freeze`, `unfreeze`, `stop-line`, `holds`: hold signing back, and let it go on.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use sigward_proto::v1::hold_service_client::HoldServiceClient;
use sigward_proto::v1::{
    ClearStopLineRequest, FreezeRequest, FreezeScope, Hold, HoldKind, ListHoldsRequest, SetStopLineRequest,
    UnfreezeRequest, freeze_scope::Scope,
};

use super::approvals::Given;
use super::client::{at_once, explain};
use super::output::{Output, one_line};

/// What a freeze covers.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct What {
    /// Every key on every chain
    #[arg(long)]
    all: bool,
    /// Every key on this chain
    #[arg(long, value_name = "CHAIN_ID")]
    chain: Option<String>,
    /// This key on every chain
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct FreezeArgs {
    #[command(flatten)]
    what: What,
    /// Why, for whoever comes after you; it never goes to a node
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct UnfreezeArgs {
    #[command(flatten)]
    what: What,
    /// Why it is safe to sign again
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    given: Given,
}

/// Where a stop line runs.
#[derive(Debug, clap::Args)]
pub(super) struct Line {
    /// The chain
    #[arg(long, value_name = "CHAIN_ID")]
    chain: String,
    /// One key only
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    key: String,
    /// Why
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum StopLine {
    /// Sign nothing at or above a height; replaces a higher stop line that is there
    Set {
        #[command(flatten)]
        line: Line,
        /// The first height that is not signed
        #[arg(long, value_name = "HEIGHT")]
        at: i64,
    },
    /// Take a stop line away
    Clear {
        #[command(flatten)]
        line: Line,
        #[command(flatten)]
        given: Given,
    },
    /// Show the stop lines in force
    List,
}

impl What {
    fn scope(self) -> FreezeScope {
        let scope = match (self.chain, self.key) {
            (Some(chain), _) => Scope::ChainId(chain),
            (None, Some(key)) => Scope::Key(key),
            (None, None) => Scope::All(self.all),
        };
        FreezeScope { scope: Some(scope) }
    }
}

/// `sigward freeze`.
pub(super) fn freeze(args: FreezeArgs, home: &Path, output: &Output) -> anyhow::Result<()> {
    let request = FreezeRequest {
        scope: Some(args.what.scope()),
        reason: args.reason,
    };
    let holds = at_once(home, async |channel| {
        let reply = HoldServiceClient::new(channel).freeze(request).await;
        Ok(reply.map_err(explain)?.into_inner().holds)
    })?;
    show(&holds, output);
    Ok(())
}

/// `sigward unfreeze`.
pub(super) fn unfreeze(args: UnfreezeArgs, home: &Path, output: &Output) -> anyhow::Result<()> {
    let request = UnfreezeRequest {
        scope: Some(args.what.scope()),
        reason: args.reason,
    };
    let request = args.given.under(request, home)?;
    let holds = at_once(home, async |channel| {
        let reply = HoldServiceClient::new(channel).unfreeze(request).await;
        Ok(reply.map_err(explain)?.into_inner().holds)
    })?;
    show(&holds, output);
    Ok(())
}

/// `sigward stop-line`.
pub(super) fn stop_line(command: StopLine, home: &Path, output: &Output) -> anyhow::Result<()> {
    let holds = match command {
        StopLine::Set { line, at } => {
            let request = SetStopLineRequest {
                chain_id: line.chain,
                key: line.key,
                height: at,
                reason: line.reason,
            };
            at_once(home, async |channel| {
                let reply = HoldServiceClient::new(channel).set_stop_line(request).await;
                Ok(reply.map_err(explain)?.into_inner().holds)
            })?
        }
        StopLine::Clear { line, given } => {
            let request = ClearStopLineRequest {
                chain_id: line.chain,
                key: line.key,
                reason: line.reason,
            };
            let request = given.under(request, home)?;
            at_once(home, async |channel| {
                let reply = HoldServiceClient::new(channel).clear_stop_line(request).await;
                Ok(reply.map_err(explain)?.into_inner().holds)
            })?
        }
        StopLine::List => {
            let mut holds = in_force(home)?;
            holds.retain(|hold| hold.kind() == HoldKind::StopLine);
            holds
        }
    };
    show(&holds, output);
    Ok(())
}

/// `sigward holds`.
pub(super) fn list(home: &Path, output: &Output) -> anyhow::Result<()> {
    show(&in_force(home)?, output);
    Ok(())
}

fn in_force(home: &Path) -> anyhow::Result<Vec<Hold>> {
    at_once(home, async |channel| {
        let reply = HoldServiceClient::new(channel)
            .list_holds(ListHoldsRequest {})
            .await;
        Ok(reply.map_err(explain)?.into_inner().holds)
    })
}

pub(super) fn show(holds: &[Hold], output: &Output) {
    if output.is_json() {
        output.line(Value::Array(holds.iter().map(describe).collect()));
        return;
    }
    if holds.is_empty() {
        output.line("Nothing is held back.");
    }
    for hold in holds {
        output.line(line(hold));
    }
}

const fn word(kind: HoldKind) -> &'static str {
    match kind {
        HoldKind::Freeze => "freeze",
        HoldKind::StopLine => "stop_line",
        HoldKind::Drained => "drained",
        HoldKind::Rebound => "rebound",
        HoldKind::Unspecified => "unknown",
    }
}

fn describe(hold: &Hold) -> Value {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "kind": word(hold.kind()),
        "key": some(&hold.key),
        "chain_id": some(&hold.chain_id),
        "node": some(&hold.node),
        "height": (hold.height != 0).then_some(hold.height),
        "new_chain_id": some(&hold.new_chain_id),
        "reason": hold.reason,
        "by": hold.by,
        "at": hold.at.as_ref().map(super::audit::rfc3339),
    })
}

fn line(hold: &Hold) -> String {
    let of_key = if hold.key.is_empty() {
        String::new()
    } else {
        format!(" key {}", hold.key)
    };
    let mut text = match hold.kind() {
        HoldKind::Freeze if !hold.chain_id.is_empty() => format!("FROZEN chain {}", hold.chain_id),
        HoldKind::Freeze if !hold.key.is_empty() => format!("FROZEN{of_key}"),
        HoldKind::Freeze => "FROZEN everything".to_owned(),
        HoldKind::StopLine => format!(
            "STOP LINE chain {}{of_key}: nothing at or above {}",
            hold.chain_id, hold.height
        ),
        HoldKind::Drained => format!("DRAINED node {}/{}", hold.chain_id, hold.node),
        HoldKind::Rebound => format!(
            "REBOUND{of_key}: {} is {} now, and closed",
            hold.chain_id, hold.new_chain_id
        ),
        HoldKind::Unspecified => "unknown".to_owned(),
    };
    let at = hold.at.as_ref().map(super::audit::rfc3339).unwrap_or_default();
    let _infallible = write!(text, "  by {} at {at}", one_line(&hold.by));
    if !hold.reason.is_empty() {
        let _infallible = write!(text, ": {}", one_line(&hold.reason));
    }
    text
}
