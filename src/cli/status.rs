//! `sigward status`: the state of affairs, for people and for scripts. The JSON is documented in docs/monitoring.md and stable:
//! fields are added, never renamed or taken away.

use std::path::Path;

use serde_json::{Value, json};
use sigward_proto::v1::status_service_client::StatusServiceClient;
use sigward_proto::v1::{ChainStatus, GetStatusRequest, GetStatusResponse, HeightStatus, LatencyStatus};
use tonic::transport::Channel;

use super::audit::rfc3339;
use super::client::{at_once, explain};
use super::output::Output;
use super::top::render::{Style, Words, frame};

/// Wide enough for every line; nothing is cut in a pipe.
const WIDTH: usize = 110;

pub(super) fn run(home: &Path, output: &Output) -> anyhow::Result<()> {
    let status = at_once(home, get)?;
    if output.is_json() {
        output.line(json(&status));
    } else {
        let style = Style {
            words: Words::of_environment(),
            colour: false,
        };
        output.line(frame(&status, None, WIDTH, style).join("\n"));
    }
    must_serve(&status)
}

/// Without a daemon there is something to see, and nothing is well.
pub(super) fn must_serve(status: &GetStatusResponse) -> anyhow::Result<()> {
    let serving = status.instance.as_ref().is_some_and(|instance| instance.serving);
    anyhow::ensure!(
        serving,
        "no daemon is running with this home: nothing is signed\nstart it with `sigward serve`"
    );
    Ok(())
}

/// Asks for the state of affairs.
pub(super) async fn get(channel: Channel) -> anyhow::Result<GetStatusResponse> {
    let reply = StatusServiceClient::new(channel)
        .get(GetStatusRequest {})
        .await
        .map_err(explain)?;
    Ok(reply.into_inner())
}

fn json(status: &GetStatusResponse) -> Value {
    let instance = status.instance.clone().unwrap_or_default();
    let store = status.store.clone().unwrap_or_default();
    let checks = status.checks.iter().map(|check| {
        json!({
            "name": check.name,
            "required": check.required,
            "ok": check.failing.is_empty(),
            "reason": some(&check.failing),
            "what_to_do": (!check.failing.is_empty()).then_some(&check.remedy),
        })
    });
    json!({
        "serving": instance.serving,
        "ready": status.ready,
        "version": instance.version,
        "commit": instance.commit,
        "store_id": instance.store_id,
        "started_at": instance.started_at.as_ref().map(rfc3339),
        "uptime_seconds": uptime(status),
        "checks": checks.collect::<Vec<_>>(),
        "chains": status.chains.iter().map(chain).collect::<Vec<_>>(),
        "store": {
            "healthy": store.healthy,
            "reason": some(&store.failed),
            "commits": store.commits,
            "audit_records": store.audit_records,
            "database_bytes": store.database_bytes,
            "wal_bytes": store.wal_bytes,
            "witness_bytes": store.witness_bytes,
            "free_bytes": store.free_bytes,
            "free_inodes": store.free_inodes,
        },
        "latency": {
            "sign": status.sign.as_ref().map(latency),
            "commit": status.commit.as_ref().map(latency),
        },
    })
}

fn chain(chain: &ChainStatus) -> Value {
    let refusals: serde_json::Map<_, _> = chain
        .refusals
        .iter()
        .map(|refusal| (refusal.reason.clone(), refusal.count.into()))
        .collect();
    let nodes = chain.nodes.iter().map(|node| {
        json!({
            "name": node.name,
            "link": some(&node.link),
            "connected": node.connected_since.is_some(),
            "connected_since": node.connected_since.as_ref().map(rfc3339),
            "reconnects": node.reconnects,
            "positions_won": node.positions_won,
            "drained": node.drained,
        })
    });
    json!({
        "chain_id": chain.chain_id,
        "key": chain.key,
        "address": some(&chain.address),
        "configured": chain.configured,
        "watermark": chain.watermark.as_ref().map(|mark| json!({
            "kind": mark.kind, "height": mark.height, "round": mark.round, "step": some(&mark.step),
        })),
        "last_signed_at": chain.last_signed_at.as_ref().map(rfc3339),
        "frozen": chain.frozen,
        "stop_line": chain.stop_line,
        "passed_heights": chain.passed.as_ref().map(|passed| json!({
            "signed": passed.signed, "refused": passed.refused, "unfinished": passed.unfinished, "skipped": passed.skipped,
        })),
        "last_heights": chain.heights.iter().map(height).collect::<Vec<_>>(),
        "refusals": refusals,
        "nodes": nodes.collect::<Vec<_>>(),
    })
}

fn height(height: &HeightStatus) -> Value {
    json!({
        "height": height.height,
        "proposal": height.proposal,
        "prevote": height.prevote,
        "precommit": height.precommit,
        "refused": height.refused,
    })
}

fn latency(latency: &LatencyStatus) -> Value {
    json!({ "count": latency.count, "p50_seconds": latency.p50_seconds, "p99_seconds": latency.p99_seconds })
}

/// An empty text is none.
fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// How long the daemon has run, by its own clock.
pub(super) fn uptime(status: &GetStatusResponse) -> Option<i64> {
    let instance = status.instance.as_ref()?;
    Some(instance.now.as_ref()?.seconds - instance.started_at.as_ref()?.seconds)
}
