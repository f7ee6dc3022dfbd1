//! `sigward.v1.HoldService`.

use std::time::Duration;

use sigward_policies::decision::{Failure, FailureCode, Refusal, RefusalCode};
use sigward_policies::holding::{Fact, Line, Scope};
use sigward_policies::model::id::{ChainId, Height, KeyName};
use sigward_policies::model::operation::Operation;
use sigward_proto::v1::hold_service_server::HoldService;
use sigward_proto::v1::{
    ClearStopLineRequest, ClearStopLineResponse, FreezeRequest, FreezeResponse, FreezeScope as AskedScope,
    Hold, HoldKind, ListHoldsRequest, ListHoldsResponse, SetStopLineRequest, SetStopLineResponse,
    UnfreezeRequest, UnfreezeResponse, freeze_scope,
};
use tonic::{Request, Response, Status};

use super::errors::status;
use super::gate::admitted;
use super::key::refuse;
use super::petition::petitioning;
use super::serve::Services;
use super::target::Target;
use crate::admin::{FreezeScope, NamedHold, StopScope};
use crate::authz::Sight;

#[tonic::async_trait]
impl HoldService for Services {
    async fn freeze(&self, request: Request<FreezeRequest>) -> Result<Response<FreezeResponse>, Status> {
        let (call, request) = admitted(request)?;
        let scope = scope(request.scope).map_err(refuse)?;
        let may = self.may(call, of_scope(&scope)).await?;
        self.gate
            .open(&may)
            .freeze(may.who(), &scope, &request.reason)
            .await
            .map_err(|refused| self.not_taken(may.who(), Operation::Freeze.as_str(), refused))?;
        let holds = self.in_force_after(&may.sight()).await?;
        Ok(Response::new(FreezeResponse { holds }))
    }

    async fn unfreeze(
        &self,
        request: Request<UnfreezeRequest>,
    ) -> Result<Response<UnfreezeResponse>, Status> {
        let (call, claims, request) = petitioning(request)?;
        let scope = scope(request.scope).map_err(refuse)?;
        let (may, petition) = self.may_once(call, claims, of_scope(&scope)).await?;
        self.gate
            .open(&may)
            .unfreeze(&petition, &scope, &request.reason)
            .await
            .map_err(self.told(&petition))?;
        let holds = self.in_force_after(&may.sight()).await?;
        Ok(Response::new(UnfreezeResponse { holds }))
    }

    async fn set_stop_line(
        &self,
        request: Request<SetStopLineRequest>,
    ) -> Result<Response<SetStopLineResponse>, Status> {
        let (call, request) = admitted(request)?;
        let line = line(&request.chain_id, &request.key).map_err(refuse)?;
        let height = Height::new(request.height).map_err(refuse)?;
        let may = self.may(call, of_line(&line, &[&line.chain])).await?;
        self.gate
            .open(&may)
            .set_stop_line(may.who(), &line, height, &request.reason)
            .await
            .map_err(|refused| self.not_taken(may.who(), Operation::StopLineSet.as_str(), refused))?;
        let holds = self.in_force_after(&may.sight()).await?;
        Ok(Response::new(SetStopLineResponse { holds }))
    }

    async fn clear_stop_line(
        &self,
        request: Request<ClearStopLineRequest>,
    ) -> Result<Response<ClearStopLineResponse>, Status> {
        let (call, claims, request) = petitioning(request)?;
        let line = line(&request.chain_id, &request.key).map_err(refuse)?;
        let (may, petition) = self
            .may_once(call, claims, of_line(&line, &[&line.chain]))
            .await?;
        self.gate
            .open(&may)
            .clear_stop_line(&petition, &line, &request.reason)
            .await
            .map_err(self.told(&petition))?;
        let holds = self.in_force_after(&may.sight()).await?;
        Ok(Response::new(ClearStopLineResponse { holds }))
    }

    async fn list_holds(
        &self,
        request: Request<ListHoldsRequest>,
    ) -> Result<Response<ListHoldsResponse>, Status> {
        let (call, _) = admitted(request)?;
        let sight = self.may_look(call)?;
        let holds = self.in_force(&sight).await?;
        Ok(Response::new(ListHoldsResponse { holds }))
    }
}

/// How often what came of an act is asked for where the store is busy, and the pause between.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

impl Services {
    /// What is in force after an act: it is done, whether or not the store has room at once for whoever asks what came of it.
    async fn in_force_after(&self, sight: &Sight) -> Result<Vec<Hold>, Status> {
        let is_busy = |status: &Status| status.message().starts_with(FailureCode::Busy.as_str());
        for _ in 0..TRIES {
            match self.in_force(sight).await {
                Err(refused) if is_busy(&refused) => tokio::time::sleep(PAUSE).await,
                told => return told,
            }
        }
        let why = "it is done, and on record; what is held back now could not be read: ask `sigward holds` in a second";
        Err(status(Failure::new(FailureCode::Busy, why).into()))
    }

    async fn in_force(&self, sight: &Sight) -> Result<Vec<Hold>, Status> {
        let holds = self.holds_in(sight).await?;
        Ok(holds.into_iter().map(to_wire).collect())
    }
}

const fn of_line<'a>(line: &'a StopScope, chain: &'a [&'a ChainId]) -> Target<'a> {
    match &line.key {
        Some(key) => Target::KeyOn(key, chain),
        None => Target::Chain(&line.chain),
    }
}

const fn of_scope(scope: &FreezeScope) -> Target<'_> {
    match scope {
        FreezeScope::All => Target::Everything,
        FreezeScope::Chain(chain) => Target::Chain(chain),
        FreezeScope::Key(key) => Target::Keys(std::slice::from_ref(key)),
    }
}

fn scope(asked: Option<AskedScope>) -> Result<FreezeScope, Refusal> {
    use freeze_scope::Scope as Asked;
    match asked.and_then(|asked| asked.scope) {
        Some(Asked::All(true)) => Ok(FreezeScope::All),
        Some(Asked::ChainId(chain)) => Ok(FreezeScope::Chain(ChainId::new(&chain)?)),
        Some(Asked::Key(key)) => Ok(FreezeScope::Key(KeyName::new(&key)?)),
        Some(Asked::All(false)) | None => Err(Refusal::new(
            RefusalCode::InvalidParameters,
            "say what: all, a chain or a key",
        )),
    }
}

fn line(chain: &str, key: &str) -> Result<StopScope, Refusal> {
    Ok(StopScope {
        chain: ChainId::new(chain)?,
        key: if key.is_empty() {
            None
        } else {
            Some(KeyName::new(key)?)
        },
    })
}

fn to_wire(named: NamedHold) -> Hold {
    let NamedHold { key, hold } = named;
    let mut wire = Hold {
        key: key.map(|key| key.to_string()).unwrap_or_default(),
        reason: hold.note.reason,
        by: hold.note.by,
        at: Some(prost_types::Timestamp {
            seconds: hold.note.at.0,
            nanos: 0,
        }),
        ..Hold::default()
    };
    let kind = match hold.fact {
        Fact::Freeze(scope) => {
            if let Scope::Chain(chain) = scope {
                wire.chain_id = chain.to_string();
            }
            HoldKind::Freeze
        }
        Fact::StopLine(Line::Chain(chain) | Line::Row(_, chain), height) => {
            wire.chain_id = chain.to_string();
            wire.height = height.value();
            HoldKind::StopLine
        }
        Fact::Drained(chain, node) => {
            wire.chain_id = chain.to_string();
            wire.node = node.to_string();
            HoldKind::Drained
        }
        Fact::Rebound(_, from, to) => {
            wire.chain_id = from.to_string();
            wire.new_chain_id = to.to_string();
            HoldKind::Rebound
        }
    };
    wire.set_kind(kind);
    wire
}
