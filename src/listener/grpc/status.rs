//! `sigward.v1.StatusService`: gathers what the parts of a daemon know of themselves.
//!
//! *Invariant:* asking costs signing nothing: watermarks come from the guard's memory, sizes from a thread that may block.

use std::path::PathBuf;
use std::sync::Arc;

use sigward_policies::double_sign::{GuardRow, Watermark as Mark};
use sigward_policies::holding::Conditions;
use sigward_policies::model::id::{ChainId, Height};
use sigward_proto::v1::status_service_server::StatusService;
use sigward_proto::v1::{
    ChainStatus, CheckStatus, GetStatusRequest, GetStatusResponse, HeightCounts, HeightStatus, Instance,
    LatencyStatus, NodeStatus, RefusalCount, StoreStatus, Watermark, WhoAmIRequest, WhoAmIResponse,
};
use tonic::{Request, Response, Status};

use super::errors::status;
use super::gate::admitted;
use super::looking::Looking;
use super::serve::Services;
use crate::telemetry::metrics::{ChainSeen, Disk, NodeSeen, Quantiles, StateFiles};
use crate::telemetry::readiness::{CheckReport, Weight};
use crate::telemetry::{Metrics, Readiness};

mod shown;

/// What is known only where signatures are served, or only of files.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Metrics and readiness of the daemon; `None` without one.
    pub daemon: Option<(Arc<Metrics>, Readiness)>,
    /// The database.
    pub database: PathBuf,
    /// The witness.
    pub witness: PathBuf,
    /// The commit this was built from.
    pub commit: &'static str,
}

#[tonic::async_trait]
impl StatusService for Services {
    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Result<Response<WhoAmIResponse>, Status> {
        Services::who_am_i(self, request)
    }

    async fn get(&self, request: Request<GetStatusRequest>) -> Result<Response<GetStatusResponse>, Status> {
        let (call, _) = admitted(request)?;
        let sight = self.may_look(call)?;
        let admin = self.gate.look(&sight);
        let watched = self.watched.as_ref();
        let disk = disk(watched).await;
        let daemon = watched.and_then(|watched| watched.daemon.as_ref());
        let report = daemon.map(|(_, readiness)| readiness.report());
        let (sign, commit) = daemon.map(|(metrics, _)| metrics.latency()).unzip();
        let mut chains = match daemon {
            Some((metrics, _)) => configured(admin, Some(metrics)),
            None => all(admin).await?,
        };
        let mut checks: Vec<_> = report
            .as_ref()
            .map(|report| report.checks.iter().cloned().map(check).collect())
            .unwrap_or_default();
        if let Some(register) = self.register_for(&sight).await? {
            shown::retain(&sight, &register, &mut chains, &mut checks);
        }
        Ok(Response::new(GetStatusResponse {
            instance: Some(self.instance(admin, daemon.map(|(metrics, _)| metrics.as_ref()))),
            ready: report.as_ref().is_some_and(|report| report.ready),
            checks,
            chains,
            store: Some(store_status(admin, disk)),
            sign: sign.map(latency),
            commit: commit.map(latency),
        }))
    }
}

impl Services {
    fn instance(&self, admin: Looking<'_>, daemon: Option<&Metrics>) -> Instance {
        Instance {
            serving: daemon.is_some(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: self
                .watched
                .as_ref()
                .map_or("unknown", |watched| watched.commit)
                .to_owned(),
            store_id: admin.store_id(),
            started_at: daemon.map(|metrics| seconds(metrics.running().1.0)),
            now: Some(micros(admin.clock().unix_micros())),
        }
    }
}

fn configured(admin: Looking<'_>, metrics: Option<&Arc<Metrics>>) -> Vec<ChainStatus> {
    let holds = admin.guard().holds();
    let one = |chain: &crate::admin::ConfiguredChain| {
        let key = admin.keyring().find(&chain.key).ok();
        let version = key.as_ref().map(|key| &key.key.version);
        let slot = version.and_then(|version| admin.guard().slot(&version.public_key, &chain.id));
        let mut status = ChainStatus {
            chain_id: chain.id.to_string(),
            key: chain.key.to_string(),
            address: version
                .map(|version| version.address.to_string())
                .unwrap_or_default(),
            configured: true,
            ..ChainStatus::default()
        };
        if let Some(slot) = slot {
            guarded(&mut status, &slot.row());
        }
        held(
            &mut status,
            version.map_or_else(
                || holds.conditions_of_any(&chain.id),
                |version| holds.conditions(&version.public_key, &chain.id),
            ),
        );
        if let Some(metrics) = metrics {
            seen(
                &mut status,
                &metrics.chain_seen(&chain.id),
                metrics.nodes_seen(&chain.id),
            );
        }
        status
    };
    admin.chains().iter().map(one).collect()
}

/// The configured chains, and whatever else the store holds a watermark of.
async fn all(admin: Looking<'_>) -> Result<Vec<ChainStatus>, Status> {
    let mut chains = configured(admin, None);
    let holds = admin.guard().holds();
    let known = |chain: &ChainId, key: &str| {
        admin
            .chains()
            .iter()
            .any(|other| other.id == *chain && other.key.as_str() == key)
    };
    for named in admin.states(None, None).await.map_err(status)? {
        if known(&named.row.chain, named.key.as_str()) {
            continue;
        }
        let mut other = ChainStatus {
            chain_id: named.row.chain.to_string(),
            key: named.key.to_string(),
            ..ChainStatus::default()
        };
        guarded(&mut other, &named.row.row);
        held(
            &mut other,
            holds.conditions(&named.row.public_key, &named.row.chain),
        );
        chains.push(other);
    }
    Ok(chains)
}

fn store_status(admin: Looking<'_>, disk: Disk) -> StoreStatus {
    let health = admin.store_health();
    StoreStatus {
        healthy: health.failed.is_none(),
        failed: health.failed.unwrap_or_default(),
        commits: health.commit,
        audit_records: health.audit_records,
        database_bytes: disk.database,
        wal_bytes: disk.log,
        witness_bytes: disk.witness,
        free_bytes: disk.free_bytes,
        free_inodes: disk.free_inodes,
    }
}

async fn disk(watched: Option<&Watched>) -> Disk {
    let Some(watched) = watched else {
        return Disk::default();
    };
    let files = StateFiles {
        database: watched.database.clone(),
        witness: watched.witness.clone(),
    };
    tokio::task::spawn_blocking(move || files.measure())
        .await
        .unwrap_or_default()
}

fn guarded(status: &mut ChainStatus, row: &GuardRow) {
    let mut mark = Watermark {
        height: row.watermark.height(),
        ..Watermark::default()
    };
    mark.kind = match &row.watermark {
        Mark::Fresh => "fresh",
        Mark::Closed { .. } => "closed",
        Mark::Signed(last) => {
            mark.round = last.position.round.value();
            last.position.step.as_str().clone_into(&mut mark.step);
            status.last_signed_at = Some(seconds(row.touched.0));
            "signed"
        }
    }
    .to_owned();
    if row.stopped {
        "exported".clone_into(&mut mark.kind);
    }
    status.watermark = Some(mark);
}

/// What operators hold back, by the guard's own word.
fn held(status: &mut ChainStatus, now: Conditions) {
    status.frozen = now.frozen.is_some();
    status.stop_line = now.stop_line.map(Height::value);
}

fn seen(status: &mut ChainStatus, chain: &ChainSeen, nodes: Vec<NodeSeen>) {
    let height = |(height, marks): &(i64, crate::telemetry::metrics::Marks)| HeightStatus {
        height: *height,
        proposal: marks.proposal,
        prevote: marks.prevote,
        precommit: marks.precommit,
        refused: marks.refused,
    };
    status.heights = chain.heights.iter().map(height).collect();
    status.passed = Some(HeightCounts {
        signed: chain.signed,
        refused: chain.refused,
        unfinished: chain.unfinished,
        skipped: chain.skipped,
    });
    let refusal = |(reason, count): (&&'static str, &u64)| RefusalCount {
        reason: (*reason).to_owned(),
        count: *count,
    };
    status.refusals = chain.refusals.iter().map(refusal).collect();
    status.nodes = nodes.into_iter().map(node).collect();
    // To the microsecond; the row knows seconds only.
    if let Some(last) = chain.last_signature {
        status.last_signed_at = Some(micros(last));
    }
}

fn node(seen: NodeSeen) -> NodeStatus {
    NodeStatus {
        name: seen.node,
        link: seen.link.map(|link| link.as_str().to_owned()).unwrap_or_default(),
        connected_since: seen.connected_since.map(micros),
        reconnects: seen.reconnects,
        positions_won: seen.positions,
        drained: seen.drained,
    }
}

fn check(report: CheckReport) -> CheckStatus {
    CheckStatus {
        name: report.name,
        required: report.weight == Weight::Required,
        failing: report.failing.unwrap_or_default(),
        remedy: report.advice,
    }
}

const fn latency(read: Quantiles) -> LatencyStatus {
    LatencyStatus {
        count: read.count,
        p50_seconds: read.p50,
        p99_seconds: read.p99,
    }
}

const fn seconds(since_1970: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: since_1970,
        nanos: 0,
    }
}

fn micros(since_1970: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: since_1970.div_euclid(1_000_000),
        nanos: i32::try_from(since_1970.rem_euclid(1_000_000) * 1_000).unwrap_or(0),
    }
}
