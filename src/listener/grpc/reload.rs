//! `sigward.v1.ReloadService`.

use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_proto::v1::reload_service_server::ReloadService;
use sigward_proto::v1::{ConfigChange, ConfigChangeEffect, ConfigChangeKind, ReloadRequest, ReloadResponse};
use tonic::{Request, Response, Status};

use super::admission::From;
use super::errors::status;
use super::key::refuse;
use super::petition::petitioning;
use super::serve::Services;
use super::target::Target;
use crate::admin::live::{ReloadError, ReloadMode, Reloaded, Reloader};
use crate::config::diff::{Change, Effect, Entry, Subject};

#[tonic::async_trait]
impl ReloadService for Services {
    async fn reload(&self, request: Request<ReloadRequest>) -> Result<Response<ReloadResponse>, Status> {
        let from = request.extensions().get::<From>().map(|from| from.0);
        let (call, claims, request) = petitioning(request)?;
        let may = self.may(call, Target::Nothing).await?;
        let mode = match request.dry_run {
            true => ReloadMode::DryRun,
            false => ReloadMode::Apply,
        };
        let live = self.live.clone().ok_or_else(|| {
            refuse(Refusal::new(
                RefusalCode::NotServing,
                "no sigward serves here, so there is nothing to reload: the next start reads the file. `sigward config check` judges it now",
            ))
        })?;
        let by = Reloader {
            who: may.who().clone(),
            from,
            approval: claims.approval,
            wait: claims.wait,
        };
        match live.reload(by, mode).await {
            Ok(reloaded) => Ok(Response::new(to_wire(&reloaded))),
            Err(ReloadError::Refused(refused)) => Err(status(refused)),
            Err(ReloadError::Config(error)) => Err(Status::failed_precondition(error.to_string())),
        }
    }
}

fn to_wire(reloaded: &Reloaded) -> ReloadResponse {
    ReloadResponse {
        changes: reloaded.diff.entries().iter().map(change).collect(),
        applied: reloaded.mode == ReloadMode::Apply,
        generation: reloaded.generation.0,
        warnings: reloaded.warnings.clone(),
        config_sha256: reloaded.sha256.to_vec(),
    }
}

fn change(entry: &Entry) -> ConfigChange {
    let (chain_id, node) = match &entry.subject {
        Subject::Setting | Subject::Provider(_) => (String::new(), String::new()),
        Subject::Chain(chain) => (chain.to_string(), String::new()),
        Subject::Node(chain, node) => (chain.to_string(), node.to_string()),
    };
    let mut wire = ConfigChange {
        chain_id,
        node,
        text: entry.to_string(),
        ..ConfigChange::default()
    };
    match &entry.change {
        Change::Added(what) => {
            wire.new.clone_from(what);
            wire.set_kind(ConfigChangeKind::Added);
        }
        Change::Removed(what) => {
            wire.old.clone_from(what);
            wire.set_kind(ConfigChangeKind::Removed);
        }
        Change::Set {
            name,
            old,
            new,
            effect,
        } => {
            wire.setting = (*name).to_owned();
            wire.old.clone_from(old);
            wire.new.clone_from(new);
            wire.set_kind(ConfigChangeKind::Set);
            wire.set_effect(match effect {
                Effect::Live => ConfigChangeEffect::Live,
                Effect::Tightens => ConfigChangeEffect::Tightens,
                // What loosens is refused before it comes here; whoever sees it anyhow must not take it for done.
                Effect::Loosens | Effect::NeedsRestart => ConfigChangeEffect::NeedsRestart,
            });
        }
    }
    wire
}
