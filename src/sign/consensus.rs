//! The way of a consensus request, from the listener to the reply.
//!
//! *Invariant:* every path to a reply goes through `release`, which takes a [`Verified`] and a [`Receipt`] of this very request.
//! A request that is given up on half-way releases nothing: what was under way finishes in the provider and the store, which
//! own their tokens, and the position stays taken if it was committed.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sigward_hsm::error::ProviderError;
use sigward_hsm::verify::VerifyError;
use sigward_policies::authz::{KeyFacts, Question, Ruling, Verdict};
use sigward_policies::decision::{Failure, FailureCode, Refusal, RefusalCode, Refused};
use sigward_policies::double_sign::Slot;
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::authentication::Authentication;
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::ChainId;
use sigward_policies::model::operation::Operation;
use sigward_policies::model::payload::Consensus;
use sigward_policies::model::trace::TraceId;
use sigward_policies::proof::{
    self, ConsensusReply, Joined, Mismatch, Payload, Receipt, Received, RequestId, SignOrder, ToCommit,
    ToVerify, Unreleased, Verified,
};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use self::course::{Course, Outcome};
use super::LiveLimits;
use crate::audit::{self, Asked, Asker};
use crate::authz::{Authorizer, Mode, Policies};
use crate::clock::Clock;
use crate::crash::crash_point;
use crate::guard;
use crate::keyring::ConsensusKey;
use crate::store::{self, Batch, Context, Store};
use crate::telemetry::activity::Activity;
use crate::telemetry::metrics::{ChainMetrics, Served, SignMetrics, Stage};
use crate::telemetry::spans::Spans;
use crate::telemetry::trace;

/// A node waits 5 s for a reply before it drops the connection (CometBFT `privval/signer_endpoint.go`): answer before that.
pub const DEADLINE: Duration = Duration::from_secs(4);

/// Everything that one node's connection needs to have its chain's key sign.
pub struct ChainSigner {
    /// Who asks through this connection.
    pub caller: Caller,
    /// The chain, as configured.
    pub chain: ChainId,
    /// The chain's key.
    pub key: ConsensusKey,
    /// The key's guard row on the chain.
    pub slot: Slot,
    /// The guard's settings for the chain.
    pub limits: LiveLimits,
    /// The rules in force.
    pub authorizer: Arc<Authorizer>,
    /// The policy in force: it can take from a node what the configuration gives it, and give it nothing.
    pub policies: Arc<Policies>,
    /// The key, as rules speak of it.
    pub facts: KeyFacts,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Denials on their way to the audit chain.
    pub denials: Arc<audit::Denials>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Metrics of requests.
    pub metrics: Arc<SignMetrics>,
    /// Metrics of the chain.
    pub chain_metrics: Arc<ChainMetrics>,
    /// What the connection has done lately.
    pub activity: Activity,
    /// Where what becomes of its requests is told, to those who collect traces.
    pub spans: Spans,
}

impl fmt::Debug for ChainSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainSigner")
            .field("caller", &self.caller)
            .field("chain", &self.chain)
            .finish_non_exhaustive()
    }
}

impl ChainSigner {
    /// The public key that signs here.
    pub fn public_key(&self) -> &PublicKey {
        &self.key.key.version.public_key
    }

    /// Counts and records a request that was refused before it had a payload; hands the refusal on to the caller.
    pub fn refuse_at_edge(&self, refusal: Refusal) -> Refused {
        let refused = Refused::Denied(refusal);
        self.metrics.refused(None, &refused);
        self.chain_metrics.refused(None, &refused);
        let mut course = Course::begin(self, trace::mint());
        course.end(self, None, &Outcome::Refused(&refused));
        let asked = Asked::act(
            &self.asker(&course),
            "sign.cometbft",
            Some(*self.public_key()),
            Some(self.chain.clone()),
        );
        self.record(asked, &refused);
        refused
    }

    /// Judges, signs, verifies and records `payload`, within [`DEADLINE`], in a trace of its own.
    pub async fn sign(&self, payload: Consensus) -> Result<ConsensusReply, Refused> {
        let trace = trace::mint();
        let span = tracing::info_span!("sign", %trace);
        self.sign_in(payload, trace).instrument(span).await
    }

    async fn sign_in(&self, payload: Consensus, trace: TraceId) -> Result<ConsensusReply, Refused> {
        let (operation, message) = (payload.operation(), *payload.message());
        let asked = Some((operation, message.position()));
        let mut course = Course::begin(self, trace);
        let way = self.way(payload, &mut course);
        let outcome = match tokio::time::timeout(DEADLINE, way).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(Failure::new(
                FailureCode::DeadlineExceeded,
                format!("no signature within {} s", DEADLINE.as_secs()),
            )
            .into()),
        };
        match outcome {
            Ok((reply, repeat)) => {
                let served = if repeat { Served::Replayed } else { Served::Signed };
                course.end(self, asked, &Outcome::Served(served));
                self.metrics.served(operation, served);
                let height = message.position().height;
                self.chain_metrics
                    .signed(operation, height, served, self.clock.unix_micros());
                if !repeat {
                    self.activity.signed();
                }
                Ok(reply)
            }
            Err(refused) => {
                course.end(self, asked, &Outcome::Refused(&refused));
                self.metrics.refused(Some(operation), &refused);
                self.chain_metrics
                    .refused(Some(message.position().height), &refused);
                let asker = self.asker(&course);
                let asked = Asked::message(&asker, self.public_key(), &self.chain, operation, &message);
                self.record(asked, &refused);
                Err(refused)
            }
        }
    }

    fn asker(&self, course: &Course) -> Asker {
        Asker {
            caller: self.caller.clone(),
            context: in_context(course),
        }
    }

    /// Whether no rule of the policy denies it to this node. What decides goes to `ruling`.
    fn not_denied(&self, operation: Operation, ruling: &mut Option<Ruling>) -> Result<(), Refusal> {
        let Some(in_force) = self.policies.snapshot() else {
            *ruling = Some(Ruling::BuiltIn);
            return Ok(());
        };
        let policy = in_force.policy.version();
        let question = Question {
            subject: &self.caller,
            operation,
            key: Some(&self.facts),
            chain: Some(&self.chain),
            from: None,
            now: self.clock.unix_seconds(),
        };
        let rule = match in_force.policy.judge(&question) {
            Verdict::Deny { rule: Some(rule) } => rule,
            // What the configuration gives, a rule may confirm and need not.
            Verdict::Allow { rule, .. } => {
                *ruling = Some(Ruling::Rule { policy, rule });
                return Ok(());
            }
            Verdict::Deny { rule: None } => {
                *ruling = Some(Ruling::NoRule { policy });
                return Ok(());
            }
        };
        let message = format!("rule {rule} denies {operation} to {}", self.caller);
        if in_force.mode == Mode::DryRun {
            *ruling = Some(Ruling::BuiltIn);
            tracing::warn!(policy = %in_force.policy.version(), "policy, dry run: it would be refused: {message}");
            return Ok(());
        }
        *ruling = Some(Ruling::Rule { policy, rule });
        Err(Refusal::new(RefusalCode::NotPermitted, message))
    }

    fn record(&self, asked: Asked, refused: &Refused) {
        let entry = audit::of_refusal(asked, refused, self.clock.unix_micros());
        self.denials.note(self.store.as_ref(), entry);
    }

    async fn way(&self, payload: Consensus, course: &mut Course) -> Result<(ConsensusReply, bool), Refused> {
        let operation = payload.operation();
        let (rules, limits) = (self.authorizer.snapshot(), self.limits.now());
        let received = Received::new(
            RequestId::mint(),
            self.caller.clone(),
            *self.public_key(),
            self.chain.clone(),
            rules.generation(),
            payload,
        );

        let judging = Instant::now();
        course.ruling = Some(Ruling::BuiltIn);
        let permit = rules.judge(&received).into_result()?;
        self.not_denied(operation, &mut course.ruling)?;
        let context = in_context(course);
        course.judged(judging);
        let cleared = guard::clear(&self.slot, &received, limits, self.clock.unix_seconds())
            .await
            .into_result()?;
        let joined = proof::join(received, permit, cleared).map_err(mismatch)?;
        course.took(self, operation, Stage::Guard, judging);

        match joined {
            Joined::Order(order) => {
                let signing = Instant::now();
                let unreleased = self.have_signed(order).await?;
                course.took(self, operation, Stage::Provider, signing);
                crash_point!("sign_before_commit");
                let to_commit = unreleased.to_commit();
                let repeat = to_commit.is_repeat();
                let (verified, receipt) = self
                    .prove(
                        (operation, course),
                        unreleased.to_verify().map_err(mismatch)?,
                        to_commit,
                        context,
                    )
                    .await?;
                crash_point!("sign_before_release");
                let released = unreleased.release(verified, receipt).map_err(mismatch)?;
                Ok((released.into_reply(), repeat))
            }
            Joined::Stored(stored) => {
                let (verified, receipt) = self
                    .prove(
                        (operation, course),
                        stored.to_verify().map_err(mismatch)?,
                        stored.to_commit(),
                        context,
                    )
                    .await?;
                Ok((
                    stored.release(verified, receipt).map_err(mismatch)?.into_reply(),
                    true,
                ))
            }
        }
    }

    /// Hands the order to the provider. A software key signs before this returns; a token calls back from its own thread.
    async fn have_signed(&self, order: SignOrder<Consensus>) -> Result<Unreleased<Consensus>, Refused> {
        let (tell, told) = oneshot::channel();
        self.key.signer.submit(
            &self.key.handle,
            order,
            Box::new(move |outcome| {
                let _given_up = tell.send(outcome);
            }),
        );
        match told.await {
            Ok(Ok(unreleased)) => Ok(unreleased),
            Ok(Err(error)) => Err(provider_failed(&error)),
            Err(_dropped) => {
                Err(Failure::new(FailureCode::ProviderUnavailable, "the provider gave no answer").into())
            }
        }
    }

    /// Commits and verifies side by side: the store's thread writes while this one checks the signature.
    async fn prove(
        &self,
        (operation, course): (Operation, &mut Course),
        to_verify: ToVerify,
        to_commit: ToCommit<Consensus>,
        context: Context,
    ) -> Result<(Verified, Receipt<Consensus>), Refused> {
        let committing = Instant::now();
        let batch = if store::unrecorded::is() {
            Batch {
                signature: Some(to_commit),
                ..Batch::default()
            }
        } else {
            let entry = audit::of_commit(
                &to_commit,
                self.key.key.version.version,
                context,
                self.clock.unix_micros(),
            );
            Batch::sign(to_commit, entry)
        };
        let (tell, told) = oneshot::channel();
        self.store.commit(
            batch,
            Box::new(move |outcome| {
                let _given_up = tell.send(outcome);
            }),
        );

        let verifying = Instant::now();
        let verified = self.key.verifier.check(to_verify);
        course.took(self, operation, Stage::Verify, verifying);

        let receipts = told.await.map_err(|_dropped| store::stopped())?;
        course.took(self, operation, Stage::Commit, committing);
        // The commit counts even if the check fails: the position is burnt, and the alarm is raised below.
        let verified = verified.map_err(|error| verification_failed(&error))?;
        let receipt = receipts?.signature.ok_or_else(|| {
            Failure::new(
                FailureCode::StoreUnavailable,
                "the store gave no receipt for a signature",
            )
        })?;
        Ok((verified, receipt))
    }
}

/// A node is known by being dialled, and by nothing else.
fn in_context(course: &Course) -> Context {
    Context {
        authenticated: Some(Authentication::Dialled),
        ruling: course.ruling.clone(),
        trace: Some(course.trace),
    }
}

fn mismatch(mismatch: Mismatch) -> Refused {
    tracing::error!(
        alarm = true,
        code = FailureCode::TokenMismatch.as_str(),
        "{mismatch}"
    );
    Failure::new(FailureCode::TokenMismatch, mismatch.to_string()).into()
}

fn provider_failed(error: &ProviderError) -> Refused {
    // A fault names its cause apart: the C function of a token, say.
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        said = format!("{said}: {source}");
        cause = source.source();
    }
    tracing::error!(
        alarm = true,
        code = error.code(),
        "the provider did not sign: {said}"
    );
    let code = match error {
        ProviderError::Fault { .. } => FailureCode::ProviderFault,
        _ => FailureCode::ProviderUnavailable,
    };
    Failure::new(code, said).into()
}

fn verification_failed(error: &VerifyError) -> Refused {
    let code = FailureCode::VerificationFailed;
    tracing::error!(
        alarm = true,
        code = code.as_str(),
        "a signature does not verify; its position is burnt: {error}"
    );
    Failure::new(
        code,
        "the provider made a signature that does not verify; the position is burnt",
    )
    .into()
}

#[cfg(test)]
mod cost;
mod course;
#[cfg(test)]
mod tests;
