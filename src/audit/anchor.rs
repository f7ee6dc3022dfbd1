//! Anchors: places outside of the state that are told of every checkpoint: a file (better: on another machine's disk, append-only), the
//! system's log, a webhook. What they hold shows what the state alone cannot: that its end was cut off.
//!
//! The checkpoints in the state are the queue: durable, in order, and as long as it takes. A file gets all it lacks; the others get at
//! most the last [`MOST`], as each checkpoint covers all that came before it.
//!
//! *Invariants:* an anchor that is away costs no signature and no memory; it is behind, and says so. What others append to one is passed
//! over: it is neither believed nor in the way of ours.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::checkpoint::Checkpoint;
use super::ledger::{CheckpointFile, Whose};
use crate::chain;
use crate::store::AuditHead;

/// Most checkpoints that are sent at once to an anchor that was away.
pub(super) const MOST: usize = 64;
/// How long a webhook may take.
const IN_TIME: Duration = Duration::from_secs(10);
/// RFC 5424, 6.2.1: facility 13 (log audit), severity 5 (notice).
const PRIORITY: u8 = 13 * 8 + 5;

/// A place that is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Anchor {
    /// A file, to which lines are appended.
    File(PathBuf),
    /// The datagram socket of the system's log.
    Syslog(PathBuf),
    /// A URL, to which each line is POSTed.
    Webhook(String),
}

/// Why an anchor was not told.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotTold {
    /// It does not take anything now.
    #[error("{0}")]
    Away(String),
    /// It holds a checkpoint of ours that our own file has not: numbers began anew here, and the next would be taken for ones it has.
    #[error(
        "audit_checkpoint_missing: it was told of our checkpoint {number}, over record {sequence}, and the state's own file of checkpoints \
         has no such line: it was cut or begun anew. Bring that file back; if it is lost, move the anchor aside and keep it: it is the \
         evidence (docs/audit.md)"
    )]
    Missing {
        /// The checkpoint.
        number: u64,
        /// What it was signed over.
        sequence: u64,
    },
}

impl From<io::Error> for NotTold {
    fn from(cause: io::Error) -> Self {
        Self::Away(cause.to_string())
    }
}

impl Anchor {
    /// What it is called in metrics and messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Syslog(_) => "syslog",
            Self::Webhook(_) => "webhook",
        }
    }

    /// Tells it of every checkpoint of `whose` in `local`, up to the number `durable`, that it has not been told of; `told` is the last it
    /// has, where somebody remembers. Says which is the last one now.
    ///
    /// One that is being written is not told of: were it lost with the power, the anchor would know of one more than the state.
    pub async fn bring(
        &self,
        local: &CheckpointFile,
        whose: Whose,
        durable: u64,
        told: Option<Checkpoint>,
    ) -> Result<Option<Checkpoint>, NotTold> {
        if whose.key.is_none() {
            // None was signed yet, and what the anchor holds may be anybody's.
            return Ok(told);
        }
        match self {
            Self::File(path) => {
                let (path, local) = (path.clone(), local.clone());
                let copied = tokio::task::spawn_blocking(move || {
                    copy(&local, &CheckpointFile::at(path), &whose, durable, told)
                });
                copied.await.map_err(|error| NotTold::Away(error.to_string()))?
            }
            Self::Syslog(_) | Self::Webhook(_) => {
                let after = told.as_ref().map_or(0, |told| told.number);
                is_here(local, told.as_ref())?;
                let mut waiting = local.tail(MOST)?;
                waiting.retain(|made| whose.wrote(made) && made.number > after && made.number <= durable);
                if told.is_none() {
                    // Nobody remembers what it has: the newest is enough.
                    waiting = waiting.split_off(waiting.len().saturating_sub(1));
                }
                let mut last = told;
                for made in waiting {
                    match self {
                        Self::Syslog(socket) => to_syslog(socket, &made)?,
                        Self::Webhook(url) => to_webhook(url, &made).await.map_err(NotTold::Away)?,
                        Self::File(_) => {}
                    }
                    last = Some(made);
                }
                Ok(last)
            }
        }
    }
}

/// Appends what the anchor lacks.
fn copy(
    local: &CheckpointFile,
    anchor: &CheckpointFile,
    whose: &Whose,
    durable: u64,
    told: Option<Checkpoint>,
) -> Result<Option<Checkpoint>, NotTold> {
    let mut last = told;
    if last.is_none() || anchor.recent_of(whose)? != last {
        last = anchor.last_of(whose)?;
    }
    is_here(local, last.as_ref())?;
    let after = last.as_ref().map_or(0, |last| last.number);
    let recent = local.tail(MOST)?;
    let covered = recent
        .first()
        .is_none_or(|first| first.number <= after.saturating_add(1));
    let mut failed = None;
    let mut append = |made: Checkpoint| match anchor.append(&made) {
        Ok(()) => {
            last = Some(made);
            true
        }
        Err(error) => {
            failed = Some(error);
            false
        }
    };
    let lacks = |made: &Checkpoint| whose.wrote(made) && made.number > after && made.number <= durable;
    if covered {
        let _all = recent.into_iter().filter(lacks).all(append);
    } else {
        local.each(|read| match read {
            Ok(made) if lacks(&made) => append(made),
            _ => true,
        })?;
    }
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(last),
    }
}

/// The last that an anchor has must be one of ours: then all before it are, as each names the one before.
fn is_here(local: &CheckpointFile, told: Option<&Checkpoint>) -> Result<(), NotTold> {
    match told {
        Some(told) if !local.holds(told)? => Err(NotTold::Missing {
            number: told.number,
            sequence: told.head.sequence,
        }),
        _ => Ok(()),
    }
}

/// One message of RFC 5424 in a datagram, as RFC 5426 has it, to the socket of this machine.
fn to_syslog(socket: &Path, made: &Checkpoint) -> io::Result<()> {
    let time = jiff::Timestamp::from_microsecond(made.time_micros)
        .map_or_else(|_| "-".to_owned(), |time| format!("{time:.6}"));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let plain = |c: char| c.is_ascii_graphic();
    let host: String = host.trim().chars().filter(|c| plain(*c)).take(255).collect();
    let host = if host.is_empty() { "-" } else { &host };
    let message = format!(
        "<{PRIORITY}>1 {time} {host} sigward {} checkpoint - {}",
        std::process::id(),
        made.line()
    );
    let from = UnixDatagram::unbound()?;
    from.set_nonblocking(true)?;
    from.send_to(message.as_bytes(), socket)?;
    Ok(())
}

async fn to_webhook(url: &str, made: &Checkpoint) -> Result<(), String> {
    let body = format!("{}\n", made.line());
    match tokio::time::timeout(IN_TIME, chain::post(url, "text/plain", body)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {IN_TIME:?}")),
    }
}

/// Why a store must not be used: something outside knows better than it how far it had come.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Behind {
    /// It ends earlier.
    #[error(
        "audit_behind_anchor: the audit chain ends at record {here}, and checkpoint {number} in {} was signed at record {there}: an older copy of the state",
        anchor.display()
    )]
    Older {
        /// Where the chain ends.
        here: u64,
        /// The checkpoint.
        number: u64,
        /// What it says.
        there: u64,
        /// Where it is.
        anchor: PathBuf,
    },
    /// It says something else.
    #[error(
        "audit_differs_from_anchor: record {sequence} is not the one that checkpoint {number} in {} was signed over",
        anchor.display()
    )]
    Other {
        /// Which record.
        sequence: u64,
        /// The checkpoint.
        number: u64,
        /// Where it is.
        anchor: PathBuf,
    },
}

/// Compares the end of a chain with the last of its checkpoints in a file. `place` looks up a record that is still in the database.
pub fn compare(
    anchor: &CheckpointFile,
    whose: &Whose,
    records: u64,
    place: impl FnOnce(u64) -> Option<AuditHead>,
) -> io::Result<Result<(), Behind>> {
    let Some(last) = anchor.last_of(whose)? else {
        return Ok(Ok(()));
    };
    let (number, anchor) = (last.number, anchor.path().to_owned());
    if last.head.sequence > records {
        return Ok(Err(Behind::Older {
            here: records,
            number,
            there: last.head.sequence,
            anchor,
        }));
    }
    match place(last.head.sequence) {
        Some(here) if here != last.head => Ok(Err(Behind::Other {
            sequence: last.head.sequence,
            number,
            anchor,
        })),
        _ => Ok(Ok(())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::audit::testing::{STORE, Signer, chain as records};

    use sigward_policies::model::id::StoreId;

    fn local(count: usize) -> (tempfile::TempDir, CheckpointFile, Vec<Checkpoint>) {
        let tmp = tempfile::tempdir().unwrap();
        let file = CheckpointFile::at(tmp.path().join("checkpoints"));
        let signer = Signer::new();
        let mut made: Vec<Checkpoint> = Vec::new();
        for record in records(STORE, count as u64) {
            let next = signer.sign(made.last(), record.head(), 5);
            file.append(&next).unwrap();
            made.push(next);
        }
        (tmp, file, made)
    }

    fn whose(made: &[Checkpoint]) -> Whose {
        Whose {
            store: STORE,
            key: Some(made[0].key),
        }
    }

    #[tokio::test]
    async fn a_file_gets_all_it_lacks_however_long_it_was_away() {
        let (tmp, file, made) = local(MOST + 20);
        let anchor = Anchor::File(tmp.path().join("anchor"));
        let some = anchor.bring(&file, whose(&made), 3, None).await.unwrap();
        assert_eq!(some.as_ref(), Some(&made[2]), "what is durable");
        for _ in 0..2 {
            let last = anchor.bring(&file, whose(&made), u64::MAX, None).await.unwrap();
            assert_eq!(last.as_ref(), made.last());
        }
        let there = std::fs::read(tmp.path().join("anchor")).unwrap();
        assert_eq!(there, std::fs::read(file.path()).unwrap());
        let gone = Anchor::File(tmp.path().join("no/such/folder/anchor"));
        gone.bring(&file, whose(&made), u64::MAX, None).await.unwrap_err();
    }

    #[tokio::test]
    async fn what_somebody_else_appends_to_one_neither_silences_it_nor_counts() {
        let (tmp, file, made) = local(5);
        let path = tmp.path().join("anchor");
        let anchor = Anchor::File(path.clone());
        let there = CheckpointFile::at(&path);
        for made in &made[..2] {
            there.append(made).unwrap();
        }
        // As ours in all but the key: of the highest number, and of more records than there are.
        let other = Signer::new();
        let mut forged: Vec<Checkpoint> = Vec::new();
        for _ in 0..4 {
            let head = AuditHead {
                sequence: 99_999,
                ..made[1].head
            };
            let next = other.sign(forged.last().or(made.last()), head, 5);
            there.append(&next).unwrap();
            forged.push(next);
        }
        assert_eq!(compare(&there, &whose(&made), 5, |_| None).unwrap(), Ok(()));
        assert_eq!(
            compare(&there, &Whose::any_of(STORE), 5, |_| None).unwrap(),
            Ok(())
        );
        let told = anchor.bring(&file, whose(&made), u64::MAX, None).await.unwrap();
        assert_eq!(told.as_ref(), made.last(), "and not what was forged");
        there.append(&forged[3]).unwrap();
        let told = anchor.bring(&file, whose(&made), u64::MAX, told).await.unwrap();
        assert_eq!(told.as_ref(), made.last());
        let mut ours = Vec::new();
        there
            .each(|read| {
                ours.extend(read.ok().filter(|made| made.key != forged[0].key));
                true
            })
            .unwrap();
        assert_eq!(ours, made);
        // Before a key is known, nobody's word is taken.
        let unknown = anchor.bring(&file, Whose::any_of(STORE), u64::MAX, None).await;
        assert_eq!(unknown.unwrap(), None);
    }

    #[tokio::test]
    async fn a_checkpoint_of_ours_that_we_have_not_is_told_and_nothing_is_taken_for_one_that_is_there() {
        let (tmp, file, made) = local(4);
        let path = tmp.path().join("anchor");
        let anchor = Anchor::File(path.clone());
        let told = anchor.bring(&file, whose(&made), u64::MAX, None).await.unwrap();
        let there = std::fs::read(&path).unwrap();
        let missing = |number| NotTold::Missing {
            number,
            sequence: number,
        };
        // Cut, and gone.
        let short = CheckpointFile::at(tmp.path().join("short"));
        for made in &made[..3] {
            short.append(made).unwrap();
        }
        let none = CheckpointFile::at(tmp.path().join("none"));
        for local in [&short, &none] {
            for told in [None, told.clone()] {
                let refused = anchor.bring(local, whose(&made), u64::MAX, told).await;
                assert_eq!(refused, Err(missing(4)));
            }
            let webhook = Anchor::Webhook("http://127.0.0.1:1/".to_owned());
            let refused = webhook.bring(local, whose(&made), u64::MAX, told.clone()).await;
            assert_eq!(refused, Err(missing(4)));
        }
        assert_eq!(std::fs::read(&path).unwrap(), there);
        // What is lost is lost: the anchor goes aside, and a new one has all that there is.
        std::fs::rename(&path, tmp.path().join("aside")).unwrap();
        let told = anchor.bring(&short, whose(&made), u64::MAX, told).await.unwrap();
        assert_eq!(told.as_ref(), Some(&made[2]));
    }

    #[tokio::test]
    async fn numbers_that_began_anew_under_the_same_key_are_told_however_far_they_come() {
        let tmp = tempfile::tempdir().unwrap();
        let signer = Signer::new();
        let of = |name: &str, time| {
            let file = CheckpointFile::at(tmp.path().join(name));
            let mut made: Vec<Checkpoint> = Vec::new();
            for record in records(STORE, 6) {
                let next = signer.sign(made.last(), record.head(), time);
                file.append(&next).unwrap();
                made.push(next);
            }
            (file, made)
        };
        let ((before, made), (anew, _)) = (of("before", 1), of("anew", 2));
        let anchor = Anchor::File(tmp.path().join("anchor"));
        anchor.bring(&before, whose(&made), u64::MAX, None).await.unwrap();
        let refused = anchor.bring(&anew, whose(&made), u64::MAX, None).await;
        assert!(
            matches!(refused, Err(NotTold::Missing { number: 6, .. })),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn syslog_gets_one_message_of_rfc_5424_for_each() {
        let (tmp, file, made) = local(3);
        let path = tmp.path().join("log");
        let socket = UnixDatagram::bind(&path).unwrap();
        let anchor = Anchor::Syslog(path.clone());
        let last = anchor
            .bring(&file, whose(&made), u64::MAX, Some(made[0].clone()))
            .await
            .unwrap();
        assert_eq!(last.as_ref(), made.last());
        for expected in &made[1..] {
            let mut buffer = [0; 2048];
            let count = socket.recv(&mut buffer).unwrap();
            let text = std::str::from_utf8(&buffer[..count]).unwrap();
            assert!(text.starts_with("<109>1 1970-01-01T00:00:00.000005Z "), "{text}");
            let (_, line) = text.split_once(" checkpoint - ").unwrap();
            assert_eq!(&Checkpoint::parse(line).unwrap(), expected);
        }
        drop(socket);
        anchor
            .bring(&file, whose(&made), u64::MAX, None)
            .await
            .unwrap_err();
    }

    #[test]
    fn a_chain_that_is_older_than_an_anchor_or_another_is_told() {
        let (_tmp, file, made) = local(9);
        let whose = whose(&made);
        let all = records(STORE, 9);
        let place = |sequence: u64| {
            all.get(usize::try_from(sequence).unwrap() - 1)
                .map(crate::store::AuditRecord::head)
        };
        assert_eq!(compare(&file, &whose, 9, place).unwrap(), Ok(()));
        assert_eq!(compare(&file, &whose, 12, place).unwrap(), Ok(()));
        assert_eq!(compare(&file, &whose, 9, |_| None).unwrap(), Ok(()));
        assert_eq!(
            compare(&file, &Whose::any_of(StoreId([3; 16])), 0, |_| None).unwrap(),
            Ok(())
        );
        assert!(matches!(
            compare(&file, &whose, 8, place).unwrap(),
            Err(Behind::Older {
                here: 8,
                there: 9,
                ..
            })
        ));
        let other = |sequence| {
            Some(AuditHead {
                sequence,
                hash: [0; 32],
            })
        };
        assert!(matches!(
            compare(&file, &whose, 9, other).unwrap(),
            Err(Behind::Other { sequence: 9, .. })
        ));
    }
}
