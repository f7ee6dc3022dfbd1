//! Keeping the audit chain while the daemon runs: the keeper's turn once a second, and an anchor told whenever there is something new.
//!
//! *Invariant:* nothing here stands in the way of a signature. What fails is tried again, is in the metrics and in `/readyz`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sigward_hsm::software::CheckpointKey;
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::StoreId;
use tokio::task::JoinSet;

use super::parts::{Parts, space_limits};
use crate::audit::{
    Anchor, Archive, Checkpoint, CheckpointFile, History, Keeper, NotTold, Settings, Stay, Whose,
    compare_with_anchor, latest,
};
use crate::clock::{Clock, SystemClock};
use crate::config::{AuditConfig, Config};
use crate::shutdown::Shutdown;
use crate::store::{SqliteStore, Store};
use crate::telemetry::metrics::AuditMetrics;
use crate::telemetry::readiness::{Check, Readiness, Weight};

const TICK: Duration = Duration::from_secs(1);
/// Longest pause before an anchor is tried again.
const LONGEST: Duration = Duration::from_secs(60);

/// The archive of `store`. Refuses a store that is older than a file which speaks of it.
///
/// Of such a file, the lines of our own key are believed, and no others: whoever may append to it must not be able to keep us from starting.
/// Our key is the one in the key folder, by what its file says, as its seal may be away. Where there is none, it is that of the first
/// line of this store in the state's own file; where there is no such line either, that of the first in the anchor itself: it may be
/// all that is left to say that this is a copy of the state from before its first checkpoint.
pub(super) fn open(
    config: &Config,
    store: &Arc<SqliteStore>,
    arena: &sigward_hsm::secret::Arena,
    kek: &Arc<sigward_hsm::envelope::LateKek>,
) -> anyhow::Result<Archive> {
    let settings = settings(config);
    let history = History {
        folder: Some(settings.folder.clone()),
        stay: Stay::default(),
    };
    let keeper = Keeper::new(
        store.clone(),
        Arc::new(SystemClock),
        settings,
        history.stay.clone(),
        known_key(config, store.id()),
    )?;
    let whose = keeper.whose();
    let records = store.health().audit_records;
    let place = |sequence: u64| {
        let found = store.audit(sequence, 1).ok()?.into_iter().next()?;
        (found.sequence == sequence).then(|| found.head())
    };
    let anchors = config.audit.anchor_file.iter().map(CheckpointFile::at);
    for file in std::iter::once(keeper.checkpoints().clone()).chain(anchors) {
        match compare_with_anchor(&file, &whose, records, place) {
            Ok(fits) => fits.map_err(|behind| anyhow::anyhow!("{behind}\n{WHAT_TO_DO}"))?,
            // An anchor that cannot be read proves nothing; that it cannot is told by its own check.
            Err(cause) => tracing::warn!("cannot read {}: {cause}", file.path().display()),
        }
    }
    let (keys, id, arena, kek) = (config.keys.dir.clone(), store.id(), arena.clone(), kek.clone());
    let open_key = Box::new(move || {
        CheckpointKey::open_or_make(&keys, id, &arena, kek.clone(), SystemClock.unix_seconds())
    });
    Ok(Archive::new(history, keeper, open_key))
}

/// The public half of our key. A folder that cannot be read is told by the check of the chain, once the key is needed.
fn known_key(config: &Config, store: StoreId) -> Option<PublicKey> {
    let known = CheckpointKey::public_half(&config.keys.dir, store);
    known.unwrap_or_else(|error| {
        tracing::warn!("cannot read the key of checkpoints: {error}");
        None
    })
}

const WHAT_TO_DO: &str = "put the newer state back; if it is lost: `sigward state adopt --above HEIGHT`, then move the anchor aside and keep it: \
                          it is the evidence (docs/audit.md)";

fn settings(config: &Config) -> Settings {
    let AuditConfig {
        folder,
        segment_records,
        segment_age,
        retention,
        segments_for,
        segments_bytes,
        checkpoint_records,
        checkpoint_age,
        anchor_file: _,
        anchor_syslog: _,
        anchor_webhook: _,
    } = config.audit.clone();
    Settings {
        folder,
        state: config.store.dir.clone(),
        segment_records,
        segment_age,
        retention,
        segments_for,
        segments_bytes,
        checkpoint_records,
        checkpoint_age,
        space: space_limits(&config.store),
    }
}

/// The anchors of the configuration.
fn anchors(config: &AuditConfig) -> Vec<Anchor> {
    let file = config.anchor_file.clone().map(Anchor::File);
    let syslog = config.anchor_syslog.clone().map(Anchor::Syslog);
    let webhook = config.anchor_webhook.as_ref();
    let webhook = webhook.map(|url| Anchor::Webhook(url.as_str().to_owned()));
    [file, syslog, webhook].into_iter().flatten().collect()
}

/// Starts the keeper, and one task an anchor.
pub(super) fn keep(
    parts: &Parts,
    config: &Config,
    metrics: &AuditMetrics,
    readiness: &Readiness,
    shutdown: &Shutdown,
    tasks: &mut JoinSet<()>,
) {
    let archive = parts.admin.archive.clone();
    let check = readiness.check(
        "audit",
        Weight::Required,
        "everything is signed and recorded, and the database grows: see docs/audit.md",
    );
    let keeping = Keeping {
        archive: archive.clone(),
        metrics: metrics.clone(),
        check,
        latest: (config.audit.checkpoint_age, config.audit.segment_age),
    };
    for anchor in anchors(&config.audit) {
        let telling = Telling {
            covered: archive.waits_for_anchor(),
            archive: archive.clone(),
            metrics: metrics.clone(),
            check: readiness.check(
                format!("audit anchor {}", anchor.name()),
                Weight::Told,
                "checkpoints wait in the state folder and are sent when it is back",
            ),
            anchor,
        };
        tasks.spawn(telling.run(shutdown.clone()));
    }
    // Last: the keeper knows of every anchor before its first turn.
    tasks.spawn(keeping.run(shutdown.clone()));
}

struct Keeping {
    archive: Arc<Archive>,
    metrics: AuditMetrics,
    check: Check,
    /// How old the first record without a checkpoint, and without a segment, may get.
    latest: (Duration, Duration),
}

impl Keeping {
    async fn run(self, shutdown: Shutdown) {
        let mut failing = false;
        while !shutdown.has_begun() {
            let (archive, ending) = (self.archive.clone(), shutdown.clone());
            let turn = tokio::task::spawn_blocking(move || {
                let done = archive.turn(&|| ending.has_begun());
                (done, Self::lags(&archive))
            });
            let wrong = match turn.await {
                Ok((done, lags)) => self.judge(done.err().map(|error| error.to_string()), lags),
                Err(panicked) => Some(panicked.to_string()),
            };
            match &wrong {
                None if failing => tracing::info!("the audit chain is kept again"),
                Some(why) if !failing => tracing::error!(alarm = true, "the audit chain is not kept: {why}"),
                _ => {}
            }
            failing = wrong.is_some();
            match wrong {
                None => self.check.good(),
                Some(why) => self.check.fail(why),
            }
            tokio::select! {
                () = shutdown.begun() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Tells the metrics; what is wrong, if anything is.
    fn judge(&self, failed: Option<String>, lags: Option<(Duration, Duration, u64, u64)>) -> Option<String> {
        let Some((checkpoint, segment, exported, base)) = lags else {
            return Some(failed.unwrap_or_else(|| "segments or store cannot be read".to_owned()));
        };
        self.metrics.lags("checkpoint", checkpoint);
        self.metrics.lags("segment", segment);
        self.metrics.kept(exported, base);
        let late = |lag: Duration, due: Duration| lag > latest(due);
        failed
            .or_else(|| {
                late(checkpoint, self.latest.0)
                    .then(|| format!("no checkpoint for {} s", checkpoint.as_secs()))
            })
            .or_else(|| {
                late(segment, self.latest.1).then(|| format!("no segment for {} s", segment.as_secs()))
            })
    }

    fn lags(archive: &Archive) -> Option<(Duration, Duration, u64, u64)> {
        let standing = archive.standing().ok()?;
        let checkpoint = archive.lag_behind(standing.vouched).ok()?;
        let segment = archive.lag_behind(standing.exported).ok()?;
        Some((checkpoint, segment, standing.exported, standing.base))
    }
}

struct Telling {
    archive: Arc<Archive>,
    metrics: AuditMetrics,
    check: Check,
    anchor: Anchor,
    /// How far it was told, for the keeper.
    covered: Arc<AtomicU64>,
}

impl Telling {
    async fn run(self, shutdown: Shutdown) {
        let mut told = None;
        let (mut asked, mut missing) = (false, false);
        let mut pause = TICK;
        while !shutdown.has_begun() {
            let (last, whose) = self.last().await.unzip();
            let last = last.flatten();
            let durable = last.as_ref().map_or(0, |last| last.number);
            let behind =
                last.as_ref().map(|last| last.number) != told.as_ref().map(|told: &Checkpoint| told.number);
            if let Some(whose) = whose
                && (behind || !asked)
            {
                let bring = self
                    .anchor
                    .bring(self.archive.checkpoints(), whose, durable, told.clone());
                let brought = tokio::select! {
                    () = shutdown.begun() => return,
                    brought = bring => brought,
                };
                match brought {
                    Ok(now) => {
                        (told, asked, pause) = (now, true, TICK);
                        missing = false;
                        self.check.good();
                    }
                    Err(why) => {
                        let anchor = self.anchor.name();
                        match &why {
                            NotTold::Away(why) => {
                                tracing::warn!(anchor, "an anchor does not take checkpoints: {why}");
                            }
                            NotTold::Missing { .. } if missing => {}
                            NotTold::Missing { .. } => {
                                tracing::error!(alarm = true, anchor, "an anchor is told no more: {why}");
                            }
                        }
                        missing = matches!(why, NotTold::Missing { .. });
                        self.check.fail(why.to_string());
                        pause = pause.saturating_mul(2).min(LONGEST);
                    }
                }
            }
            let has = told.as_ref().map_or(0, |told| told.head.sequence);
            self.covered.store(has, Ordering::Relaxed);
            let archive = self.archive.clone();
            if let Ok(Ok(lag)) = tokio::task::spawn_blocking(move || archive.lag_behind(has)).await {
                self.metrics.lags(self.anchor.name(), lag);
            }
            tokio::select! {
                () = shutdown.begun() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// The last checkpoint, and whose count.
    async fn last(&self) -> Option<(Option<Checkpoint>, Whose)> {
        let archive = self.archive.clone();
        tokio::task::spawn_blocking(move || (archive.last(), archive.whose()))
            .await
            .ok()
    }
}
