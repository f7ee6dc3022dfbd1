//! The course of one request: what decided about it, and, where its trace is followed, when each stage of it was.
//!
//! The stages are those of `/metrics`, by the same readings of the clock. `authz` alone is told by spans only: in the metrics it is part of
//! `guard`, as a reading of the clock for it would be paid by every vote.

use std::time::{Duration, Instant};

use sigward_policies::authz::Ruling;
use sigward_policies::decision::Refused;
use sigward_policies::model::caller::Caller;
use sigward_policies::model::operation::Operation;
use sigward_policies::model::payload::Position;
use sigward_policies::model::trace::TraceId;

use super::ChainSigner;
use crate::telemetry::metrics::{Served, Stage, result};
use crate::telemetry::spans::{Began, Fault, Report, StageSpan, Value};
use crate::telemetry::trace;

/// What a refusal is told as that came before a payload was read.
const AT_THE_EDGE: &str = "sign.cometbft";

/// What became of a request.
pub(super) enum Outcome<'a> {
    Served(Served),
    Refused(&'a Refused),
}

/// One request, on its way.
pub(super) struct Course {
    pub(super) trace: TraceId,
    /// What decided: known as soon as the rules were asked, whatever becomes of the request.
    pub(super) ruling: Option<Ruling>,
    began: Instant,
    followed: Option<Followed>,
}

struct Followed {
    unix_micros: i64,
    stages: Vec<StageSpan>,
}

impl Course {
    /// Begins now.
    pub(super) fn begin(signer: &ChainSigner, trace: TraceId) -> Self {
        let followed = signer.spans.follow_vote(trace).then(|| Followed {
            unix_micros: signer.clock.unix_micros(),
            stages: Vec::with_capacity(6),
        });
        Self {
            trace,
            ruling: None,
            began: Instant::now(),
            followed,
        }
    }

    /// A stage that began at `began` has ended. Says when it did, where somebody is told.
    pub(super) fn took(&mut self, signer: &ChainSigner, operation: Operation, stage: Stage, began: Instant) {
        let took = began.elapsed();
        signer.metrics.took(operation, stage, took);
        self.passed(stage, began, took);
    }

    /// The rules were asked, from `judging` on; the rest until `took(…, Stage::Guard, …)` is the guard.
    pub(super) fn judged(&mut self, judging: Instant) {
        if self.followed.is_some() {
            self.passed(Stage::Authz, judging, judging.elapsed());
        }
    }

    fn passed(&mut self, stage: Stage, began: Instant, took: Duration) {
        let Some(followed) = &mut self.followed else {
            return;
        };
        // The guard's time begins where that of the rules ended.
        let judged = followed.stages.last().filter(|_| stage == Stage::Guard);
        let span = match judged {
            Some(judged) => StageSpan {
                name: stage.as_str(),
                began: began + judged.took,
                took: took.saturating_sub(judged.took),
            },
            None => StageSpan {
                name: stage.as_str(),
                began,
                took,
            },
        };
        followed.stages.push(span);
    }

    /// It has ended: notes how long it took, and tells of it.
    pub(super) fn end(
        &mut self,
        signer: &ChainSigner,
        asked: Option<(Operation, Position)>,
        outcome: &Outcome<'_>,
    ) {
        let took = self.began.elapsed();
        if let Some((operation, _)) = asked {
            signer.metrics.took(operation, Stage::Total, took);
        }
        let Some(mut followed) = self.followed.take() else {
            return;
        };
        if let (Outcome::Served(_), Some(last)) = (outcome, followed.stages.last()) {
            let began = last.began + last.took;
            followed.stages.push(StageSpan {
                name: "release",
                began,
                took: (self.began + took).saturating_duration_since(began),
            });
        }
        let (attributes, fault) = self.attributes(signer, asked, outcome);
        signer.spans.tell_vote(Report {
            trace: self.trace,
            span: trace::mint_span(),
            parent: None,
            name: asked.map_or(AT_THE_EDGE, |(operation, _)| operation.as_str()),
            began: Began {
                unix_micros: followed.unix_micros,
                at: self.began,
            },
            took,
            attributes,
            fault,
            stages: followed.stages,
        });
    }

    fn attributes(
        &self,
        signer: &ChainSigner,
        asked: Option<(Operation, Position)>,
        outcome: &Outcome<'_>,
    ) -> (Vec<(&'static str, Value)>, Fault) {
        let mut known = Vec::with_capacity(8);
        known.push(("sigward.protocol", Value::Word("privval")));
        known.push(("sigward.chain.id", Value::Chain(signer.chain.clone())));
        if let Caller::Node { node, .. } = &signer.caller {
            known.push(("sigward.node.name", Value::Node(node.clone())));
        }
        if let Some((_, position)) = asked {
            known.push(("sigward.type", Value::Word(position.step.as_str())));
            known.push(("sigward.height", Value::Number(position.height.value())));
            known.push(("sigward.round", Value::Number(position.round.value().into())));
        }
        if let Some(policy) = self.ruling.as_ref().and_then(Ruling::policy) {
            known.push(("sigward.policy.version", Value::Policy(policy)));
        }
        let (word, fault) = match outcome {
            Outcome::Served(Served::Signed) => ("ok", Fault::None),
            Outcome::Served(Served::Replayed) => ("replayed", Fault::None),
            Outcome::Refused(refused) => {
                known.push(("error.type", Value::Word(refused.code())));
                let fault = match refused {
                    Refused::Denied(_) => Fault::None,
                    Refused::Failed(_) => Fault::Ours,
                };
                (result(refused), fault)
            }
        };
        known.push(("sigward.outcome", Value::Word(word)));
        (known, fault)
    }
}
