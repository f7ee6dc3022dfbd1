//! Requests and how long each stage of them took: `sign_requests_total`, `sign_duration_seconds`.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use sigward_policies::decision::{RefusalCode, Refused};
use sigward_policies::model::operation::Operation;
use sigward_policies::model::payload::Step;

use super::labels::{RequestLabels, StageLabels};
use super::latency::Latency;

/// Upper bounds in seconds, 50 µs to 1 s. The next above 10 ms is where an operator should look (celestia-core #3035).
pub(super) const SECONDS: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_15, 0.000_2, 0.000_3, 0.000_5, 0.000_75, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0,
];

/// By which protocol a request came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proto {
    /// A node's socket.
    Privval,
    /// gRPC.
    Grpc,
}

/// A part of the way of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Who asks.
    Authn,
    /// Whether they may.
    Authz,
    /// The rule, and waiting for the position.
    Guard,
    /// The key.
    Provider,
    /// The check of the signature.
    Verify,
    /// Commit and witness.
    Commit,
    /// From received to released.
    Total,
}

/// How a request that got its signature was served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Served {
    /// A key signed.
    Signed,
    /// The stored signature.
    Replayed,
}

impl Proto {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Privval => "privval",
            Self::Grpc => "grpc",
        }
    }
}

impl Stage {
    /// Its name in metrics and spans.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authn => "authn",
            Self::Authz => "authz",
            Self::Guard => "guard",
            Self::Provider => "provider",
            Self::Verify => "verify",
            Self::Commit => "commit",
            Self::Total => "total",
        }
    }
}

/// The short word for what nodes ask, which dashboards know; the name that rules use for anything else.
const fn op(operation: Operation) -> &'static str {
    match operation.consensus_step() {
        Some(step) => step.as_str(),
        None => operation.as_str(),
    }
}

/// `denied`: they may not ask this; `refused`: the guard said no; `failed`: we are at fault.
pub const fn result(refused: &Refused) -> &'static str {
    use RefusalCode as C;
    match refused {
        Refused::Failed(_) => "failed",
        Refused::Denied(refusal) => match refusal.code {
            C::NoSignState
            | C::KeyStopped
            | C::DoubleSignConflict
            | C::HeightRegression
            | C::RoundRegression
            | C::StepRegression
            | C::HeightClosed
            | C::HeightJump
            | C::RoundJump
            | C::ExtensionConflict => "refused",
            _ => "denied",
        },
    }
}

type Seconds = Family<StageLabels, Histogram, fn() -> Histogram>;

#[derive(Debug)]
pub(super) struct SignFamilies {
    pub(super) total: Latency,
    requests: Family<RequestLabels, Counter>,
    seconds: Seconds,
}

impl SignFamilies {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let requests = Family::default();
        let seconds = Seconds::new_with_constructor(|| Histogram::new(SECONDS));
        registry.register(
            "sign_requests",
            "Requests for a signature: ok, replayed, denied (may not ask), refused (the guard said no), failed (sigward)",
            requests.clone(),
        );
        registry.register_with_unit(
            "sign_duration",
            "Time in each stage of a request",
            Unit::Seconds,
            seconds.clone(),
        );
        Self {
            total: Latency::default(),
            requests,
            seconds,
        }
    }

    pub(super) fn handles(&self, proto: Proto) -> SignMetrics {
        SignMetrics {
            proto,
            total: self.total.clone(),
            requests: self.requests.clone(),
            proposal: self.operation(proto, Operation::SignProposal),
            prevote: self.operation(proto, Operation::SignPrevote),
            precommit: self.operation(proto, Operation::SignPrecommit),
        }
    }

    fn operation(&self, proto: Proto, operation: Operation) -> OperationHandles {
        let served = |result| {
            self.requests.get_or_create_owned(&RequestLabels {
                proto: proto.as_str(),
                op: op(operation),
                result,
                reason: "",
            })
        };
        let stage = |stage: Stage| {
            self.seconds.get_or_create_owned(&StageLabels {
                op: op(operation),
                stage: stage.as_str(),
            })
        };
        OperationHandles {
            signed: served("ok"),
            replayed: served("replayed"),
            authn: stage(Stage::Authn),
            authz: stage(Stage::Authz),
            guard: stage(Stage::Guard),
            provider: stage(Stage::Provider),
            verify: stage(Stage::Verify),
            commit: stage(Stage::Commit),
            total: stage(Stage::Total),
        }
    }
}

/// Handles for the requests of one protocol. Clone it per connection, or share it.
#[derive(Clone, Debug)]
pub struct SignMetrics {
    proto: Proto,
    total: Latency,
    requests: Family<RequestLabels, Counter>,
    proposal: OperationHandles,
    prevote: OperationHandles,
    precommit: OperationHandles,
}

#[derive(Clone, Debug)]
struct OperationHandles {
    signed: Counter,
    replayed: Counter,
    authn: Histogram,
    authz: Histogram,
    guard: Histogram,
    provider: Histogram,
    verify: Histogram,
    commit: Histogram,
    total: Histogram,
}

impl SignMetrics {
    /// Notes how long a stage took.
    pub fn took(&self, operation: Operation, stage: Stage, time: Duration) {
        if stage == Stage::Total {
            self.total.observe(time);
        }
        let Some(handles) = self.of(operation) else {
            return;
        };
        let histogram = match stage {
            Stage::Authn => &handles.authn,
            Stage::Authz => &handles.authz,
            Stage::Guard => &handles.guard,
            Stage::Provider => &handles.provider,
            Stage::Verify => &handles.verify,
            Stage::Commit => &handles.commit,
            Stage::Total => &handles.total,
        };
        histogram.observe(time.as_secs_f64());
    }

    /// Counts a request that got its signature.
    pub fn served(&self, operation: Operation, served: Served) {
        let Some(handles) = self.of(operation) else {
            return;
        };
        match served {
            Served::Signed => handles.signed.inc(),
            Served::Replayed => handles.replayed.inc(),
        };
    }

    /// Counts one that got none; no operation where not even that could be read. The slow way: labels are looked up.
    pub fn refused(&self, operation: Option<Operation>, refused: &Refused) {
        self.requests
            .get_or_create(&RequestLabels {
                proto: self.proto.as_str(),
                op: operation.map_or("unknown", op),
                result: result(refused),
                reason: refused.code(),
            })
            .inc();
    }

    /// None for what is no consensus signature: its latency is not told here.
    const fn of(&self, operation: Operation) -> Option<&OperationHandles> {
        match operation.consensus_step() {
            Some(Step::Propose) => Some(&self.proposal),
            Some(Step::Prevote) => Some(&self.prevote),
            Some(Step::Precommit) => Some(&self.precommit),
            None => None,
        }
    }
}
