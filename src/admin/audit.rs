//! Acts on the audit chain: reading it, having it kept now, checking it. Whoever reads it is in it.
//!
//! *Invariant:* the record of a reading is durable before the first record is read; a reading ends before its own record.

use std::path::PathBuf;

use sigward_policies::decision::{Failure, FailureCode, Refused};
use sigward_policies::model::algorithm::PublicKey;
use tokio::sync::mpsc;

use super::Admin;
use super::act::Act;
use crate::audit::{self, Asker, Checkpoint, Evidence, KeepError, Search, Standing, Turn, Verification};
use crate::backstage::{READING, WORKING};
use crate::store::{AuditRecord, Batch};

/// What somebody reads the chain for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// To look at it, and perhaps to follow it.
    Tail,
    /// To find something.
    Query,
    /// To take it elsewhere.
    Export,
}

/// How the chain is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Where everything stands.
    pub standing: Standing,
    /// The last checkpoint.
    pub last: Option<Checkpoint>,
    /// The key that checkpoints are signed with; none while its seal is away.
    pub key: Option<PublicKey>,
}

impl Admin {
    /// Records that `who` reads the chain, and says where it ended before that.
    pub async fn begin_reading(&self, who: &Asker, reading: Reading, detail: &str) -> Result<u64, Refused> {
        let act = match reading {
            Reading::Tail => Act::AuditTail,
            Reading::Query => Act::AuditQuery,
            Reading::Export => Act::AuditExport,
        };
        let last = self.audit_head();
        self.read_by(who, act, detail).await?;
        Ok(last)
    }

    /// Sends the records `from` to `to` that `search` takes, wherever they are, at most `most`; ends early when nobody listens.
    pub async fn read_records(
        &self,
        (from, to): (u64, u64),
        search: Search,
        most: u64,
        send: mpsc::Sender<AuditRecord>,
    ) -> Result<(), Refused> {
        let history = self.archive.history().clone();
        let mut left = most;
        let store = self.store.clone();
        self.work(&READING, move || {
            history.each(store.as_ref(), from, to, |record| {
                if left > 0 && search.takes(&record) {
                    left = left.saturating_sub(1);
                    return send.blocking_send(record).is_ok() && left > 0;
                }
                left > 0 && !send.is_closed()
            })
        })
        .await?
    }

    /// Up to `limit` records from sequence `from` on that are in the database: for whoever follows.
    pub async fn audit(&self, from: u64, limit: usize) -> Result<Vec<AuditRecord>, Refused> {
        self.read(move |store| store.audit(from, limit)).await
    }

    /// How many audit records there are.
    pub fn audit_head(&self) -> u64 {
        self.store.health().audit_records
    }

    /// Recomputes the chain from its beginning and compares it with its checkpoints, and with `anchor`. `tell` hears how far it is, and
    /// says whether to go on.
    pub async fn audit_verify(
        &self,
        who: &Asker,
        anchor: Option<PathBuf>,
        key: Option<PublicKey>,
        mut tell: impl FnMut(u64, u64) -> bool + Send + 'static,
    ) -> Result<Verification, Refused> {
        self.read_by(who, Act::AuditVerify, "").await?;
        let history = self.archive.history().clone();
        let evidence = Evidence {
            folder: history.folder,
            anchor,
            stay: history.stay,
            key,
            expected: Some(self.archive.expects()),
        };
        let store = self.store.clone();
        self.work(&WORKING, move || {
            audit::verify_telling(store.as_ref(), &evidence, &mut tell)
        })
        .await?
    }

    /// Signs a checkpoint and writes a segment of whatever is in none.
    pub async fn audit_keep_now(&self, who: &Asker) -> Result<Turn, Refused> {
        self.read_by(who, Act::AuditExport, "segments").await?;
        let archive = self.archive.clone();
        self.work(&WORKING, move || archive.turn_now(&|| false).map_err(failed))
            .await?
    }

    /// How the chain is kept.
    pub async fn audit_kept(&self) -> Result<Kept, Refused> {
        let archive = self.archive.clone();
        self.read(move |_| {
            Ok(Kept {
                standing: archive.standing().map_err(failed)?,
                last: archive.last(),
                key: archive.public_key().ok(),
            })
        })
        .await
    }

    async fn read_by(&self, who: &Asker, act: Act, detail: &str) -> Result<(), Refused> {
        let entry = self.entry_of(who, act, None, None, detail);
        crate::store::commit(self.store.as_ref(), Batch::record(vec![entry]))
            .await
            .map(|_| ())
    }
}

fn failed(error: KeepError) -> Refused {
    match error {
        KeepError::Store(refused) => refused,
        other => Failure::new(FailureCode::AuditNotKept, other.to_string()).into(),
    }
}
