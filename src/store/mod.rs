//! The store: what must outlive the process, behind one trait with one way to write.
//!
//! A [`Batch`] is committed whole or not at all, together with its audit records; several batches may share one durable commit.
//! Nobody hears of a batch, repeats included, before it, and the witness after it, are on disk.
//!
//! *Invariants:* a watermark never goes down; a commit whose outcome is unknown fails everything until a restart has compared the
//! store with its witness; a guard row is written only by the pure rule's word inside the transaction.

use sigward_policies::decision::{Refusal, Refused};
use sigward_policies::double_sign::{Beginning, GuardRow};
use sigward_policies::holding::{Hold, Holds, Note, Place};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, Height, StoreId};
use sigward_policies::model::key::{BackupMark, Key, VersionState};
use sigward_policies::model::payload::Consensus;
use sigward_policies::proof::{Receipt, Stopped, ToCommit};

mod api_key;
mod approval;
pub(crate) mod encoding;
mod error;
mod filesystem;
#[cfg(fuzzing)]
pub mod fuzzing;
mod holding;
mod invariant;
mod ledger;
mod lock;
pub mod record;
mod redo;
pub mod reserve;
pub mod row;
pub mod space;
pub mod sqlite;
pub(crate) mod unrecorded;
mod weight;
pub mod witness;

pub use api_key::{ApiKeyChange, MAX_API_KEY_LIFE, StoredApiKey};
pub use approval::{About, ApprovalChange, ApprovalId, End, MAX_WAIT, MAX_WHAT, StoredApproval, Use};
pub use encoding::DecodeError;
pub use error::{OpenCode, OpenError};
pub use filesystem::{FileSystem, file_system};
pub use holding::MAX_HOLD_REASON;
pub use record::{AuditEntry, AuditHead, AuditRecord, Context, Form, Outcome};
pub use sqlite::{Options, SqliteStore};

/// What a store is asked to make durable, whole or not at all.
#[derive(Debug, Default)]
pub struct Batch {
    /// A signature on its way out.
    pub signature: Option<ToCommit<Consensus>>,
    /// Changes to keys, guard rows and holds.
    pub changes: Vec<Change>,
    /// What the audit chain says of it. In a batch with a signature: exactly one.
    pub entries: Vec<AuditEntry>,
}

/// A change to a key, a guard row or a hold.
#[derive(Clone, Debug)]
pub enum Change {
    /// A new key; refuses a name or public key that is known already, destroyed ones included.
    AddKey(Key),
    /// Another state for a key version.
    SetKeyState {
        /// The key.
        public_key: PublicKey,
        /// Its new state.
        state: VersionState,
    },
    /// Marks that the key, or the right to sign with it, has left. One-way.
    MarkExported {
        /// The key.
        public_key: PublicKey,
    },
    /// Notes that a backup holds the key; an older one than is known changes nothing.
    MarkBackedUp {
        /// The key.
        public_key: PublicKey,
        /// The backup.
        backup: BackupMark,
    },
    /// Begins a guard row, or joins a state into it (`double_sign::merge`).
    Begin {
        /// The key.
        public_key: PublicKey,
        /// The chain.
        chain: ChainId,
        /// What is known of its past there.
        beginning: Beginning,
        /// Whether the configuration says that the key is shared by several chains.
        sharing: Sharing,
    },
    /// Lets heights up to `until` be jumped to.
    Allow {
        /// The key.
        public_key: PublicKey,
        /// The chain.
        chain: ChainId,
        /// The last height allowed.
        until: Height,
    },
    /// Takes back what `Allow` allowed.
    Disallow {
        /// The key.
        public_key: PublicKey,
        /// The chain.
        chain: ChainId,
    },
    /// Puts a hold in force. One that is in force already stays with its note, unless it is a stop line at another height.
    Hold(Hold),
    /// Lifts the hold of a place; refuses where there is none, and to lift a rebinding.
    Lift {
        /// What it is about.
        place: Place,
        /// Who lifts it, when and why.
        note: Note,
    },
    /// A chain has another id now: stops the row of `from` for ever, and begins one of `to` at the watermark of `from` or at
    /// `above`, whichever is higher.
    Rebind {
        /// The key.
        public_key: PublicKey,
        /// The old id.
        from: ChainId,
        /// The new id.
        to: ChainId,
        /// The last height that may have been signed for the new id already.
        above: Option<Height>,
        /// Who, when and why.
        note: Note,
    },
    /// Closes every height up to `height`, unless the row is beyond it.
    CloseTo {
        /// The key.
        public_key: PublicKey,
        /// The chain.
        chain: ChainId,
        /// The last closed height.
        height: Height,
    },
    /// Ends signing with the key on the chain: it was moved out.
    Stop {
        /// The key.
        public_key: PublicKey,
        /// The chain.
        chain: ChainId,
    },
    /// A request for approval is made, answered, used up or ended.
    Approval(Box<ApprovalChange>),
    /// An API key is made, or revoked.
    ApiKey(Box<ApiKeyChange>),
}

/// Whether a key may serve more than one chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    /// One chain for its whole life.
    OneChain,
    /// `shared = true` on this chain. Sharing takes it on every chain of the key.
    Shared,
}

/// What a commit yields.
#[derive(Debug)]
pub struct Receipts {
    /// For the signature of the batch.
    pub signature: Option<Receipt<Consensus>>,
    /// The commit that holds the batch.
    pub commit: u64,
}

/// Called once, when the outcome of a batch is known and, if it is good, durable.
pub type Done = Box<dyn FnOnce(Result<Receipts, Refused>) + Send>;

/// A guard row as the store holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredRow {
    /// The key.
    pub public_key: PublicKey,
    /// The chain.
    pub chain: ChainId,
    /// Whether the key is shared by several chains.
    pub sharing: Sharing,
    /// How far it has come.
    pub row: GuardRow,
}

/// What memory follows.
#[derive(Clone, Debug)]
pub struct Followed {
    /// Every hold in force.
    pub holds: Holds,
    /// Every guard row.
    pub rows: Vec<StoredRow>,
    /// Every API key there ever was, by name.
    pub api_keys: Vec<StoredApiKey>,
}

/// How a store is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    /// Why it refuses, if it does.
    pub failed: Option<String>,
    /// Commits so far.
    pub commit: u64,
    /// Records in the audit chain.
    pub audit_records: u64,
}

/// A store. `commit` may do a lone batch on the caller's thread, one sync long; the reads belong on a blocking thread.
pub trait Store: Send + Sync + 'static {
    /// The identity of the store.
    fn id(&self) -> StoreId;

    /// Commits `batch`; calls `done` once it is durable, from the store's thread or, for a lone batch, before this returns.
    fn commit(&self, batch: Batch, done: Done);

    /// Every key, destroyed ones included, by name.
    fn keys(&self) -> Result<Vec<Key>, Refused>;

    /// Every hold in force.
    fn holds(&self) -> Result<Holds, Refused>;

    /// Every request for approval that is kept, the oldest first.
    fn approvals(&self) -> Result<Vec<StoredApproval>, Refused> {
        Ok(Vec::new())
    }

    /// Every API key there ever was, by name.
    fn api_keys(&self) -> Result<Vec<StoredApiKey>, Refused> {
        Ok(Vec::new())
    }

    /// SHA-256 of what an act is about, as it is now: what a request for its approval is bound to.
    fn state_of(&self, about: &About) -> Result<[u8; 32], Refused> {
        let _ = about;
        Err(stopped())
    }

    /// Every guard row.
    fn rows(&self) -> Result<Vec<StoredRow>, Refused>;

    /// What memory has to follow once something was committed. Never refused for want of room, as an act that was committed would then be
    /// in force here and not there. Whoever asks does so one at a time.
    fn followed(&self) -> Result<Followed, Refused> {
        Ok(Followed {
            holds: self.holds()?,
            rows: self.rows()?,
            api_keys: self.api_keys()?,
        })
    }

    /// Up to `limit` (at most 1,000) audit records from sequence `from` on, in order: fewer where a signature comes to wait for the
    /// reading, but none only where none is left.
    fn audit(&self, from: u64, limit: usize) -> Result<Vec<AuditRecord>, Refused>;

    /// Where the records that are still here begin: the place of the last one that was forgotten.
    fn audit_base(&self) -> Result<AuditHead, Refused> {
        Ok(AuditHead::genesis(&self.id()))
    }

    /// Forgets up to `most` of the oldest records, none beyond `kept` and never the last one, and says where they begin now.
    /// `kept` is the last record that the caller has made durable elsewhere; a store whose record has another hash refuses.
    ///
    /// Not a [`Batch`]: nothing is added or changed, the chain ends where it did, and no answer rests on it.
    fn forget_audit(&self, kept: &AuditHead, most: usize) -> Result<AuditHead, Refused> {
        let _ = (kept, most);
        self.audit_base()
    }

    /// How the store is. Never blocks on a commit.
    fn health(&self) -> Health;
}

impl Batch {
    /// A signature with its audit entry.
    pub fn sign(commit: ToCommit<Consensus>, entry: AuditEntry) -> Self {
        Self {
            signature: Some(commit),
            changes: Vec::new(),
            entries: vec![entry],
        }
    }

    /// An administrator's act: changes with the entry that records them.
    pub fn act(changes: Vec<Change>, entry: AuditEntry) -> Self {
        Self {
            signature: None,
            changes,
            entries: vec![entry],
        }
    }

    /// Nothing but records.
    pub fn record(entries: Vec<AuditEntry>) -> Self {
        Self {
            signature: None,
            changes: Vec::new(),
            entries,
        }
    }
}

/// Commits `batch` and waits for the outcome without blocking the runtime.
pub async fn commit(store: &dyn Store, batch: Batch) -> Result<Receipts, Refused> {
    let (tell, told) = tokio::sync::oneshot::channel();
    store.commit(
        batch,
        Box::new(move |outcome| {
            let _gone = tell.send(outcome);
        }),
    );
    told.await.unwrap_or_else(|_| Err(stopped()))
}

/// Proof that `key` signs no more on any chain: it has guard rows, and the store says of each that it is stopped.
///
/// Whoever lets a key leave holds its rows meanwhile, so that none of them resumes between the proof and the leaving.
pub(crate) fn proof_of_stop(store: &dyn Store, key: &PublicKey) -> Result<Stopped, Refused> {
    use sigward_policies::decision::RefusalCode;
    let rows = store.rows()?;
    let mut own = rows.iter().filter(|row| row.public_key == *key).peekable();
    let has_rows = own.peek().is_some();
    match own.find(|row| !row.row.stopped) {
        None if has_rows => {
            #[allow(clippy::disallowed_methods, reason = "this is the store")]
            let stopped = Stopped::asserted_by_store(*key);
            Ok(stopped)
        }
        None => Err(Refusal::new(
            RefusalCode::NoSignState,
            "the key has no sign state that could be stopped",
        )
        .into()),
        Some(row) => Err(Refusal::new(
            RefusalCode::KeyInUse,
            format!("the key still signs on {}", row.chain),
        )
        .into()),
    }
}

/// The store ended without an answer: the outcome is unknown, and unknown refuses.
pub(crate) fn stopped() -> Refused {
    use sigward_policies::decision::{Failure, FailureCode};
    Refused::Failed(Failure::new(
        FailureCode::StoreUnavailable,
        "the store has stopped",
    ))
}

/// Whether a key may get a row for another chain: one chain per key unless every row says `shared`.
pub(crate) fn may_share(rows: &[StoredRow], chain: &ChainId, sharing: Sharing) -> Result<(), Refusal> {
    use sigward_policies::decision::RefusalCode;
    let others: Vec<_> = rows.iter().filter(|row| row.chain != *chain).collect();
    let all_shared = sharing == Sharing::Shared && others.iter().all(|row| row.sharing == Sharing::Shared);
    match others.first() {
        Some(other) if !all_shared => Err(Refusal::new(
            RefusalCode::SharingRefused,
            format!(
                "this key belongs to {} already, and a key serves one chain, unless each of them said shared = true from the beginning; a chain that has another id now: `sigward state rebind`",
                other.chain
            ),
        )),
        _ => Ok(()),
    }
}
