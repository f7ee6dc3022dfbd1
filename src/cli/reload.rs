//! `sigward reload`: the running daemon takes over `sigward.toml`, or says what that would do.

use std::path::Path;

use serde_json::{Value, json};
use sigward_proto::v1::reload_service_client::ReloadServiceClient;
use sigward_proto::v1::{ConfigChange, ConfigChangeEffect, ConfigChangeKind, ReloadRequest, ReloadResponse};

use super::approvals::Given;
use super::client::{explain, with_daemon};
use super::output::Output;

/// Take over a changed configuration without a restart; connections that the change does not concern stand
///
/// Adds, changes and removes chains and nodes, tightens the guard, changes the log's levels. A file with a mistake in it changes
/// nothing: what ran runs on, and /readyz says so until a good reload. What would loosen the guard refuses the whole file, because
/// that takes a restart; other settings that wait for one are named. SIGHUP does the same. A policy whose file has changed is taken over
/// by those who may `policy.write`; where a rule wants approvals for that, the reload waits for them.
///
///   sigward reload --dry-run        what would change
///   sigward reload                  do it
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    given: Given,
}

pub(super) fn run(args: &Args, home: &Path, output: &Output) -> anyhow::Result<()> {
    let request = ReloadRequest {
        dry_run: args.dry_run,
    };
    let request = args.given.under(request, home)?;
    let reply = with_daemon(home, async |channel| {
        let reply = ReloadServiceClient::new(channel).reload(request).await;
        Ok(reply.map_err(explain)?.into_inner())
    })?;
    output.result(&value(&reply), text(&reply));
    Ok(())
}

fn value(reply: &ReloadResponse) -> Value {
    let changes: Vec<_> = reply.changes.iter().map(change).collect();
    json!({
        "applied": reply.applied,
        "generation": reply.generation,
        "config_sha256": hex::encode(&reply.config_sha256),
        "changes": changes,
        "warnings": reply.warnings,
    })
}

fn change(change: &ConfigChange) -> Value {
    let kind = match change.kind() {
        ConfigChangeKind::Unspecified => "unknown",
        ConfigChangeKind::Added => "added",
        ConfigChangeKind::Removed => "removed",
        ConfigChangeKind::Set => "set",
    };
    let effect = match change.effect() {
        ConfigChangeEffect::Unspecified => None,
        ConfigChangeEffect::Live => Some("live"),
        ConfigChangeEffect::Tightens => Some("tightens"),
        ConfigChangeEffect::NeedsRestart => Some("needs_restart"),
    };
    let said = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    json!({
        "kind": kind,
        "chain": said(&change.chain_id),
        "node": said(&change.node),
        "setting": said(&change.setting),
        "old": said(&change.old),
        "new": said(&change.new),
        "effect": effect,
    })
}

fn text(reply: &ReloadResponse) -> String {
    let mut lines: Vec<_> = reply.changes.iter().map(|change| change.text.clone()).collect();
    // A setting that waits for a restart says so in its own line.
    let told = |warning: &&String| !lines.contains(warning);
    let warnings: Vec<_> = reply
        .warnings
        .iter()
        .filter(told)
        .map(|said| format!("! {said}"))
        .collect();
    lines.extend(warnings);
    let waits = |change: &ConfigChange| change.effect() == ConfigChangeEffect::NeedsRestart;
    let waiting = reply.changes.iter().filter(|change| waits(change)).count();
    if reply.applied && waiting > 0 {
        lines.push(match waiting == reply.changes.len() {
            true => "nothing was taken over: what differs waits for a restart, and `sigward status` says so"
                .to_owned(),
            false => "reloaded, but for what waits for a restart; `sigward status` says so".to_owned(),
        });
        return lines.join("\n");
    }
    lines.push(match (reply.applied, reply.changes.is_empty()) {
        (true, false) => "reloaded".to_owned(),
        (true, true) => "nothing differs from what runs".to_owned(),
        (false, false) => "nothing was changed; `sigward reload` does it".to_owned(),
        (false, true) => "nothing would change".to_owned(),
    });
    lines.join("\n")
}
