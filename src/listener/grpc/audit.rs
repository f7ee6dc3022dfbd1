//! `sigward.v1.AuditService`.

use std::pin::Pin;
use std::time::Duration;

use sigward_proto::v1::audit_service_server::AuditService;
use sigward_proto::v1::{Decision, Record, TailRequest, TailResponse, VerifyRequest, VerifyResponse};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::errors::status;
use super::serve::Services;
use crate::audit::Verification;
use crate::store::{AuditRecord, Outcome};

/// Records read from the store at a time: short enough that no vote waits for a reader.
const PAGE: usize = 200;
/// How often a follower looks for new records.
const FOLLOW: Duration = Duration::from_millis(200);
/// Records sent when nobody says how many.
const DEFAULT_LIMIT: u32 = 20;

#[tonic::async_trait]
impl AuditService for Services {
    type TailStream = Pin<Box<dyn Stream<Item = Result<TailResponse, Status>> + Send>>;

    async fn tail(&self, request: Request<TailRequest>) -> Result<Response<Self::TailStream>, Status> {
        let request = request.into_inner();
        let limit = if request.limit == 0 {
            DEFAULT_LIMIT
        } else {
            request.limit
        };
        let last = self.admin.audit_head();
        let from = request
            .from_sequence
            .unwrap_or_else(|| last.saturating_sub(u64::from(limit)).saturating_add(1));
        let (send, receive) = mpsc::channel(PAGE);
        tokio::spawn(
            self.clone()
                .read(from.max(1), u64::from(limit), request.follow, send),
        );
        Ok(Response::new(Box::pin(ReceiverStream::new(receive))))
    }

    async fn verify(&self, _request: Request<VerifyRequest>) -> Result<Response<VerifyResponse>, Status> {
        let found = self.admin.audit_verify().await.map_err(status)?;
        Ok(Response::new(VerifyResponse {
            records: found.records,
            head_hash: if found.head.sequence == 0 {
                Vec::new()
            } else {
                found.head.hash.to_vec()
            },
            first_broken: found.first_broken.as_ref().map(|broken| broken.sequence),
            message: describe(&found),
        }))
    }
}

impl Services {
    /// Sends records from `next` on: `left` of those that exist, then, for a follower, those to come.
    async fn read(
        self,
        mut next: u64,
        mut left: u64,
        follow: bool,
        send: mpsc::Sender<Result<TailResponse, Status>>,
    ) {
        loop {
            let records = if left == 0 {
                Ok(Vec::new())
            } else {
                self.admin.audit(next, PAGE).await
            };
            let records = match records {
                Ok(records) => records,
                Err(refused) => {
                    let _gone = send.send(Err(status(refused))).await;
                    return;
                }
            };
            let exhausted = records.is_empty();
            for record in records {
                if left == 0 {
                    break;
                }
                next = record.sequence.saturating_add(1);
                left = left.saturating_sub(1);
                if send
                    .send(Ok(TailResponse {
                        record: Some(to_wire(&record)),
                    }))
                    .await
                    .is_err()
                {
                    return;
                }
            }
            if exhausted || left == 0 {
                if !follow {
                    return;
                }
                left = u64::MAX;
                tokio::select! {
                    () = send.closed() => return,
                    () = tokio::time::sleep(FOLLOW) => {}
                }
            }
        }
    }
}

/// What was found, and what it does not prove.
fn describe(found: &Verification) -> String {
    match &found.first_broken {
        Some(broken) => format!(
            "record {} does not fit the chain: {}",
            broken.sequence, broken.what
        ),
        None => format!(
            "{} records fit the chain, which ends where the witness says; records cut off together with the witness would not show",
            found.records
        ),
    }
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
    }
}
