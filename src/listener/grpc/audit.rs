//! `sigward.v1.AuditService`.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::algorithm::{Algorithm, PublicKey};
use sigward_policies::model::authentication::Authentication;
use sigward_policies::model::operation::Operation;
use sigward_policies::model::trace::TraceId;
use sigward_proto::v1 as wire;
use sigward_proto::v1::audit_service_server::AuditService;
use sigward_proto::v1::verify_response::Said;
use sigward_proto::v1::{
    Decision, KeepRequest, KeepResponse, QueryRequest, QueryResponse, Record, ShowCheckpointRequest,
    ShowCheckpointResponse, TailRequest, TailResponse, VerifyOutcome, VerifyProgress, VerifyRequest,
    VerifyResponse,
};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::admission::From;
use super::errors::status;
use super::gate::admitted;
use super::key::refuse;
use super::passing::pass;
use super::serve::Services;
use super::target::Target;
use crate::admin::{Admin, Reading};
use crate::audit::{Search, Verification};
use crate::store::{AuditRecord, Outcome};

/// Records read from the store at a time: short enough that no vote waits for a reader.
const PAGE: usize = 200;
/// How often a follower looks for new records.
const FOLLOW: Duration = Duration::from_millis(200);
/// How often somebody who has the chain verified hears how far it is.
const TELL: Duration = Duration::from_millis(200);
/// Records sent when nobody says how many.
const DEFAULT_LIMIT: u32 = 20;

type Sender = mpsc::Sender<Result<TailResponse, Status>>;

#[tonic::async_trait]
impl AuditService for Services {
    type TailStream = Pin<Box<dyn Stream<Item = Result<TailResponse, Status>> + Send>>;
    type VerifyStream = Pin<Box<dyn Stream<Item = Result<VerifyResponse, Status>> + Send>>;
    type QueryStream = Pin<Box<dyn Stream<Item = Result<QueryResponse, Status>> + Send>>;

    async fn tail(&self, request: Request<TailRequest>) -> Result<Response<Self::TailStream>, Status> {
        let (call, request) = admitted(request)?;
        let may = self.may(call, Target::Nothing).await?;
        let limit = if request.limit == 0 {
            DEFAULT_LIMIT
        } else {
            request.limit
        };
        let detail = if request.follow { "follow" } else { "" };
        let last = self
            .gate
            .open(&may)
            .begin_reading(may.who(), Reading::Tail, detail)
            .await
            .map_err(status)?;
        let from = request
            .from_sequence
            .unwrap_or_else(|| last.saturating_sub(u64::from(limit)).saturating_add(1));
        let (send, receive) = mpsc::channel(PAGE);
        let admin = self.gate.open(&may).clone();
        tokio::spawn(read(
            admin,
            (from.max(1), last),
            u64::from(limit),
            request.follow,
            send,
        ));
        Ok(Response::new(Box::pin(ReceiverStream::new(receive))))
    }

    async fn query(&self, request: Request<QueryRequest>) -> Result<Response<Self::QueryStream>, Status> {
        let (call, request) = admitted(request)?;
        // To take it elsewhere is more than to look for something.
        let (call, reading) = if request.export {
            (call.rather(Operation::AuditExport), Reading::Export)
        } else {
            (call, Reading::Query)
        };
        let may = self.may(call, Target::Nothing).await?;
        let most = if request.limit == 0 {
            u64::MAX
        } else {
            request.limit
        };
        let search = search(request)?;
        let last = self
            .gate
            .open(&may)
            .begin_reading(may.who(), reading, "")
            .await
            .map_err(status)?;
        let (send, receive) = mpsc::channel(PAGE);
        let admin = self.gate.open(&may).clone();
        tokio::spawn(async move {
            let (found, records) = mpsc::channel(PAGE);
            let reading = admin.read_records((1, last), search, most, found);
            let passing = pass(records, &send, |record| QueryResponse {
                record: Some(to_wire(&record)),
            });
            let (read, passed) = tokio::join!(reading, passing);
            if let Err(refused) = passed.and(read) {
                let _gone = send.send(Err(status(refused))).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receive))))
    }

    async fn verify(&self, request: Request<VerifyRequest>) -> Result<Response<Self::VerifyStream>, Status> {
        let is_elsewhere = request.extensions().get::<From>().is_some();
        let (call, request) = admitted(request)?;
        let may = self.may(call, Target::Nothing).await?;
        let anchor = (!request.anchor.is_empty()).then(|| PathBuf::from(&request.anchor));
        if anchor.is_some() && is_elsewhere {
            // Whoever may read the chain may not have files of the signer opened.
            let what = "an anchor is a file on the signer's machine, and no path is taken from elsewhere: run `sigward audit verify --anchor FILE` there, or verify without an anchor";
            return Err(refuse(Refusal::new(RefusalCode::AnchorRefused, what)));
        }
        if anchor.as_ref().is_some_and(|path| !path.is_absolute()) {
            let what = "an anchor is named by its absolute path";
            return Err(refuse(Refusal::new(RefusalCode::InvalidParameters, what)));
        }
        let key = match request.public_key.as_slice() {
            [] => None,
            raw => Some(PublicKey::new(Algorithm::Ed25519, raw).map_err(refuse)?),
        };
        let (admin, who) = (self.gate.open(&may).clone(), may.who().clone());
        let (send, receive) = mpsc::channel(4);
        // It takes as long as it takes: no call that answers once does.
        tokio::spawn(async move {
            let tell = telling(send.clone());
            let found = admin.audit_verify(&who, anchor, key, tell).await;
            let outcome = found.map_err(status).map(|found| VerifyResponse {
                said: Some(Said::Outcome(outcome(&found))),
            });
            let _gone = send.send(outcome).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receive))))
    }

    async fn keep(&self, request: Request<KeepRequest>) -> Result<Response<KeepResponse>, Status> {
        let (call, _) = admitted(request)?;
        let may = self.may(call, Target::Nothing).await?;
        let kept = self
            .gate
            .open(&may)
            .audit_keep_now(may.who())
            .await
            .map_err(status)?;
        Ok(Response::new(KeepResponse {
            segments: kept.segments,
            checkpoint: kept.checkpoint.map(|made| made.line()).unwrap_or_default(),
        }))
    }

    async fn show_checkpoint(
        &self,
        request: Request<ShowCheckpointRequest>,
    ) -> Result<Response<ShowCheckpointResponse>, Status> {
        let (call, _) = admitted(request)?;
        let may = self.may(call, Target::Nothing).await?;
        let kept = self.gate.open(&may).audit_kept().await.map_err(status)?;
        let last = kept.last.as_ref();
        Ok(Response::new(ShowCheckpointResponse {
            checkpoint: last.map(|last| last.line()).unwrap_or_default(),
            number: last.map_or(0, |last| last.number),
            sequence: kept.standing.vouched,
            public_key: kept.key.map(|key| key.as_bytes().to_vec()).unwrap_or_default(),
            records: kept.standing.records,
            exported: kept.standing.exported,
            base: kept.standing.base,
        }))
    }
}

/// Sends a word of how far it is, now and then; one that does not take it misses it. Says whether anybody listens.
fn telling(
    send: mpsc::Sender<Result<VerifyResponse, Status>>,
) -> impl FnMut(u64, u64) -> bool + Send + 'static {
    let mut told = Instant::now();
    move |records, of| {
        if told.elapsed() >= TELL {
            told = Instant::now();
            let progress = Some(Said::Progress(VerifyProgress { records, of }));
            let _full = send.try_send(Ok(VerifyResponse { said: progress }));
        }
        !send.is_closed()
    }
}

fn outcome(found: &Verification) -> VerifyOutcome {
    let last = found.last_checkpoint.as_ref();
    VerifyOutcome {
        records: found.records,
        head_hash: if found.head.sequence == 0 {
            Vec::new()
        } else {
            found.head.hash.to_vec()
        },
        first_broken: found.first_broken.as_ref().map(|broken| broken.sequence),
        message: describe(found),
        exported: found.exported,
        checkpoints: found.checkpoints,
        vouched: last.map_or(0, |last| last.head.sequence),
        public_key: last.map(|last| last.key.as_bytes().to_vec()).unwrap_or_default(),
        anchored: found.anchored.map(|(_, sequence)| sequence),
        removed: found.removed,
    }
}

/// Sends the records `from` to `last`, `limit` of them, then, for a follower, those to come.
async fn read(admin: Arc<Admin>, (from, last): (u64, u64), limit: u64, follow: bool, send: Sender) {
    let (found, records) = mpsc::channel(PAGE);
    let reading = admin.read_records((from, last), Search::default(), limit, found);
    let passing = pass(records, &send, |record| TailResponse {
        record: Some(to_wire(&record)),
    });
    let (read, passed) = tokio::join!(reading, passing);
    if let Err(refused) = passed.and(read) {
        let _gone = send.send(Err(status(refused))).await;
        return;
    }
    let mut next = last.max(from.saturating_sub(1)).saturating_add(1);
    if !follow {
        return;
    }
    loop {
        let records = match admin.audit(next, PAGE).await {
            Ok(records) => records,
            Err(refused) => {
                let _gone = send.send(Err(status(refused))).await;
                return;
            }
        };
        let idle = records.is_empty();
        for record in records {
            next = record.sequence.saturating_add(1);
            let record = Some(to_wire(&record));
            if send.send(Ok(TailResponse { record })).await.is_err() {
                return;
            }
        }
        if idle {
            tokio::select! {
                () = send.closed() => return,
                () = tokio::time::sleep(FOLLOW) => {}
            }
        }
    }
}

fn search(request: QueryRequest) -> Result<Search, Status> {
    let outcome = match request.decision() {
        Decision::Unspecified => None,
        Decision::Allowed => Some(Outcome::Allowed),
        Decision::Replayed => Some(Outcome::Replayed),
        Decision::Denied => Some(Outcome::Denied),
        Decision::Failed => Some(Outcome::Failed),
    };
    let text = |text: String| (!text.is_empty()).then_some(text);
    let micros = |time: prost_types::Timestamp| {
        time.seconds
            .saturating_mul(1_000_000)
            .saturating_add(i64::from(time.nanos) / 1_000)
    };
    let heights = match (request.from_height, request.to_height) {
        (None, None) => None,
        (from, to) => Some((from.unwrap_or(0), to.unwrap_or(i64::MAX))),
    };
    if heights.is_some_and(|(from, to)| from > to) {
        let what = "no height is in that range: its end is before its beginning";
        return Err(refuse(Refusal::new(RefusalCode::InvalidParameters, what)));
    }
    let trace = match request.trace_id.as_slice() {
        [] => None,
        bytes => {
            let id = bytes.try_into().ok().and_then(TraceId::new);
            let what = "the id of a trace has 16 bytes, not all of them zero";
            Some(id.ok_or_else(|| refuse(Refusal::new(RefusalCode::InvalidParameters, what)))?)
        }
    };
    Ok(Search {
        rule: text(request.rule),
        trace,
        subject: text(request.subject),
        operation: text(request.operation),
        key: text(request.key),
        chain: text(request.chain_id),
        outcome,
        from: request.from_time.map(micros),
        to: request.to_time.map(micros),
        heights,
    })
}

/// What was found, and what it does not prove.
fn describe(found: &Verification) -> String {
    let vouched = found
        .last_checkpoint
        .as_ref()
        .map_or(0, |last| last.head.sequence);
    if let Some(broken) = &found.first_broken {
        return format!(
            "record {} {}; up to record {vouched} the checkpoints vouch for what was read",
            broken.sequence, broken.what
        );
    }
    let signed = match found.checkpoints {
        0 => "no checkpoint vouches for them".to_owned(),
        1 => format!("1 checkpoint vouches for them up to {vouched}"),
        count => format!("{count} checkpoints vouch for them up to {vouched}"),
    };
    let cut = match found.anchored {
        Some((count, sequence)) => format!(
            "the anchor holds {count} checkpoint{} of this chain: nothing up to record {sequence} was cut off, what was cut off behind it would not show",
            if count == 1 { "" } else { "s" }
        ),
        None => "records cut off together with witness and checkpoints would not show; an anchor shows it (--anchor)".to_owned(),
    };
    let removed = match found.removed {
        0 => String::new(),
        last => {
            format!("; records 1 to {last} were removed with their segments, as a record of the chain says")
        }
    };
    format!(
        "{} records fit the chain{removed}, which ends where the witness says; {signed}; {cut}",
        found.records
    )
}

fn to_wire(record: &AuditRecord) -> Record {
    let entry = &record.entry;
    let decision = match entry.outcome {
        Outcome::Allowed => Decision::Allowed,
        Outcome::Replayed => Decision::Replayed,
        Outcome::Denied => Decision::Denied,
        Outcome::Failed => Decision::Failed,
    };
    Record {
        sequence: record.sequence,
        time: Some(prost_types::Timestamp {
            seconds: entry.time_micros.div_euclid(1_000_000),
            nanos: i32::try_from(entry.time_micros.rem_euclid(1_000_000))
                .unwrap_or(0)
                .saturating_mul(1_000),
        }),
        subject: entry.subject.clone(),
        operation: entry.operation.clone(),
        key: entry
            .key
            .map(|key| hex::encode(key.as_bytes()))
            .unwrap_or_default(),
        chain_id: entry.chain.as_ref().map(ToString::to_string).unwrap_or_default(),
        position: entry
            .position
            .map(|position| position.to_string())
            .unwrap_or_default(),
        decision: decision.into(),
        reason: entry.reason.clone(),
        request_digest: entry
            .request_digest
            .map(|digest| digest.to_vec())
            .unwrap_or_default(),
        signature_digest: entry
            .signature_digest
            .map(|digest| digest.to_vec())
            .unwrap_or_default(),
        previous_hash: record.previous_hash.to_vec(),
        hash: record.hash.to_vec(),
        count: entry.count,
        authentication: entry.context.authenticated.as_ref().map(proved_by),
        key_version: entry.key_version.unwrap_or(0),
        ruling: entry.context.ruling.as_ref().map(|ruling| wire::Ruling {
            rule: ruling.name().to_owned(),
            policy: ruling
                .policy()
                .map(|version| version.0.to_vec())
                .unwrap_or_default(),
        }),
        trace_id: entry
            .context
            .trace
            .map(|trace| trace.as_bytes().to_vec())
            .unwrap_or_default(),
        form: record.form.number().into(),
    }
}

fn proved_by(authenticated: &Authentication) -> wire::Authentication {
    let (certificate_sha256, credential) = match authenticated {
        Authentication::Certificate { sha256 } => (sha256.to_vec(), String::new()),
        Authentication::Token { key: id } | Authentication::ApiKey { id } => {
            (Vec::new(), id.as_str().to_owned())
        }
        Authentication::Service
        | Authentication::Dialled
        | Authentication::PeerCredentials
        | Authentication::ThisProcess => Default::default(),
    };
    wire::Authentication {
        method: authenticated.method().to_owned(),
        certificate_sha256,
        credential,
    }
}
