//! All guard rows, keys and holds in memory, and what a batch does to them: pure, without a database.
//!
//! The writer of a store owns the only connection, and the connection owns the database; so this is what its open transaction
//! would read, and judging here *is* judging there (tests and debug builds compare). It is a copy for as long as commits succeed:
//! after one that failed it is never used again.
//!
//! *Invariants:* a batch that is refused leaves nothing behind. A watermark never goes down: every row is compared with the one
//! it replaces before it may be written.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::double_sign::GuardRow;
use sigward_policies::holding::{self, Hold, Holds, Place};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ApiKeyName, ChainId, KeyName, StoreId, UnixSeconds};
use sigward_policies::model::key::{Key, VersionState};
use sigward_policies::model::payload::Consensus;
use sigward_policies::proof::ToCommit;

use super::api_key::StoredApiKey;
use super::approval::{ApprovalId, StoredApproval};
use super::holding::{StoredHold, encode_hold};
use super::invariant::{fit_note, fit_to_write};
use super::redo::Write;
use super::row::{Checksum, TableDigest, encode_guard, encode_key};
use super::{Change, StoredRow};

mod api_keys;
mod approvals;
mod change;
mod holds;

/// A row with its place in the table and its evidence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Kept<T> {
    /// Its number in the table.
    pub(crate) ordinal: i64,
    /// The row.
    pub(crate) value: T,
    /// Its checksum, as last written; `None` before the first time.
    pub(crate) checksum: Option<Checksum>,
}

/// What a batch came to, before it is durable.
#[derive(Debug)]
pub(crate) enum Judged {
    /// To be committed. With the signature, the row that its position took.
    Accepted(Option<(ToCommit<Consensus>, GuardRow)>),
    /// Refused; with the request and the row that refused it, so that memory can be told.
    Refused(Refused, Option<(ToCommit<Consensus>, GuardRow)>),
}

/// Why a signature is refused, and over which row, if there is one.
type Overruled = (Refused, Option<GuardRow>);

/// Keys and guard rows.
#[derive(Debug)]
pub(crate) struct Ledger {
    id: StoreId,
    digest: TableDigest,
    keys: BTreeMap<KeyName, Kept<Key>>,
    names: HashMap<PublicKey, KeyName>,
    rows: HashMap<PublicKey, Vec<Kept<StoredRow>>>,
    holds: BTreeMap<Place, Kept<StoredHold>>,
    approvals: BTreeMap<ApprovalId, Kept<StoredApproval>>,
    api_keys: BTreeMap<ApiKeyName, Kept<StoredApiKey>>,
    last_ordinal: i64,
    changed_rows: BTreeSet<i64>,
    changed: Vec<(PublicKey, ChainId)>,
    changed_keys: BTreeSet<KeyName>,
    changed_holds: BTreeSet<Place>,
    changed_approvals: BTreeSet<ApprovalId>,
    changed_api_keys: BTreeSet<ApiKeyName>,
}

/// What changed since the last time, table by table.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) keys: Vec<Write>,
    pub(crate) rows: Vec<Write>,
    pub(crate) holds: Vec<Write>,
    pub(crate) approvals: Vec<Write>,
    pub(crate) api_keys: Vec<Write>,
}

impl Ledger {
    /// The ledger of a store with these rows. A key or row that is there twice is an error: its name.
    pub(crate) fn load(
        id: StoreId,
        keys: Vec<Kept<Key>>,
        rows: Vec<Kept<StoredRow>>,
        holds: Vec<Kept<StoredHold>>,
        approvals: Vec<Kept<StoredApproval>>,
        api_keys: Vec<Kept<StoredApiKey>>,
    ) -> Result<Self, String> {
        let mut ledger = Self {
            id,
            digest: TableDigest::default(),
            keys: BTreeMap::new(),
            names: HashMap::new(),
            rows: HashMap::new(),
            holds: BTreeMap::new(),
            approvals: BTreeMap::new(),
            api_keys: BTreeMap::new(),
            last_ordinal: 0,
            changed_rows: BTreeSet::new(),
            changed: Vec::new(),
            changed_keys: BTreeSet::new(),
            changed_holds: BTreeSet::new(),
            changed_approvals: BTreeSet::new(),
            changed_api_keys: BTreeSet::new(),
        };
        for key in keys {
            ledger.note(key.ordinal, key.checksum);
            let name = key.value.name.clone();
            let twice = ledger
                .names
                .insert(key.value.version.public_key, name.clone())
                .is_some();
            if ledger.keys.insert(name.clone(), key).is_some() || twice {
                return Err(format!("key {name} is there twice"));
            }
        }
        for row in rows {
            ledger.note(row.ordinal, row.checksum);
            let StoredRow {
                public_key, chain, ..
            } = &row.value;
            if ledger.row(public_key, chain).is_some() {
                return Err(format!("the row of {public_key} on {chain} is there twice"));
            }
            ledger.rows.entry(*public_key).or_default().push(row);
        }
        for hold in holds {
            ledger.note(hold.ordinal, hold.checksum);
            let place = hold.value.hold.fact.place();
            if ledger.holds.insert(place.clone(), hold).is_some() {
                return Err(format!("{place} is there twice"));
            }
        }
        for approval in approvals {
            ledger.note(approval.ordinal, approval.checksum);
            let id = approval.value.id;
            if ledger.approvals.insert(id, approval).is_some() {
                return Err(format!("the request for approval {id} is there twice"));
            }
        }
        for key in api_keys {
            ledger.note(key.ordinal, key.checksum);
            let name = key.value.name.clone();
            if ledger.api_keys.insert(name.clone(), key).is_some() {
                return Err(format!("the API key {name} is there twice"));
            }
        }
        Ok(ledger)
    }

    fn note(&mut self, ordinal: i64, checksum: Option<Checksum>) {
        self.last_ordinal = self.last_ordinal.max(ordinal);
        if let Some(checksum) = checksum {
            self.digest.toggle(checksum);
        }
    }

    /// The evidence of everything in here, as last written.
    pub(crate) const fn digest(&self) -> &TableDigest {
        &self.digest
    }

    /// How many keys, guard rows and holds there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
            + self.holds.len()
            + self.approvals.len()
            + self.api_keys.len()
            + self.rows.values().map(Vec::len).sum::<usize>()
    }

    /// Every key, by name.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.keys.values().map(|kept| kept.value.clone()).collect()
    }

    /// Which version of its key a public key is; for records.
    pub(crate) fn version_of(&self, key: &PublicKey) -> Option<u32> {
        let kept = self.keys.get(self.names.get(key)?)?;
        Some(kept.value.version.version)
    }

    /// Every guard row, by key and chain.
    pub(crate) fn guard_rows(&self) -> Vec<StoredRow> {
        let mut rows: Vec<_> = self
            .rows
            .values()
            .flatten()
            .map(|kept| kept.value.clone())
            .collect();
        rows.sort_by(|a, b| (a.public_key.as_bytes(), &a.chain).cmp(&(b.public_key.as_bytes(), &b.chain)));
        rows
    }

    /// Every hold in force.
    pub(crate) fn holds(&self) -> Holds {
        Holds::new(self.in_force().cloned().collect())
    }

    /// Every hold there ever was, lifted ones included.
    pub(crate) fn kept_holds(&self) -> Vec<&StoredHold> {
        self.holds.values().map(|kept| &kept.value).collect()
    }

    fn in_force(&self) -> impl Iterator<Item = &Hold> {
        let stored = self.holds.values().map(|kept| &kept.value);
        stored.filter(|stored| !stored.lifted).map(|stored| &stored.hold)
    }

    fn row(&self, key: &PublicKey, chain: &ChainId) -> Option<&Kept<StoredRow>> {
        self.rows.get(key)?.iter().find(|kept| kept.value.chain == *chain)
    }

    /// Judges `batch` over everything before it in the same transaction, and takes it in if every part of it is allowed.
    pub(crate) fn judge(
        &mut self,
        signature: Option<ToCommit<Consensus>>,
        changes: Vec<Change>,
        now: UnixSeconds,
    ) -> Judged {
        let mut draft = Draft::default();
        let mut signed = None;
        if let Some(commit) = signature {
            match self.judge_signature(&commit) {
                Ok(row) => {
                    draft.rows.push(row.clone());
                    signed = Some((commit, row.row));
                }
                Err(overruled) => {
                    let (refused, row) = *overruled;
                    return Judged::Refused(refused, row.map(|row| (commit, row)));
                }
            }
        }
        for change in changes {
            if let Err(refused) = self.change(&mut draft, change, now) {
                return Judged::Refused(refused, None);
            }
        }
        self.take(draft);
        Judged::Accepted(signed)
    }

    /// The rule's last word on a signature: the row to write, or why not and over which row.
    fn judge_signature(&self, commit: &ToCommit<Consensus>) -> Result<StoredRow, Box<Overruled>> {
        let (key, chain) = (commit.claim().key(), commit.claim().chain());
        let Some(kept) = self.row(key, chain) else {
            return Err(Box::new((no_row(key, chain).into(), None)));
        };
        let known = &kept.value;
        let refuse = |refused: Refused| Box::new((refused, Some(known.row.clone())));
        match self.names.get(key).and_then(|name| self.keys.get(name)) {
            Some(kept) if kept.value.version.state == VersionState::Active => {}
            Some(kept) => {
                let state = kept.value.version.state;
                let no = Refusal::new(
                    RefusalCode::KeyStopped,
                    format!("the key is {state}; only active keys sign"),
                );
                return Err(refuse(no.into()));
            }
            None => return Err(refuse(unknown_key(key).into())),
        }
        let facts = || self.in_force().map(|hold| &hold.fact);
        holding::check_caller(facts(), commit.caller()).map_err(|no| refuse(no.into()))?;
        let conditions = holding::conditions(facts(), key, chain);
        let row = commit
            .apply(&known.row, &conditions)
            .map_err(|no| refuse(no.into()))?;
        let row = StoredRow { row, ..known.clone() };
        fit_to_write(Some(&known.row), &row).map_err(refuse)?;
        Ok(row)
    }

    fn take(&mut self, draft: Draft) {
        for key in draft.keys {
            self.names.insert(key.version.public_key, key.name.clone());
            self.changed_keys.insert(key.name.clone());
            match self.keys.get_mut(&key.name) {
                Some(kept) => kept.value = key,
                None => {
                    self.last_ordinal += 1;
                    let kept = Kept {
                        ordinal: self.last_ordinal,
                        value: key,
                        checksum: None,
                    };
                    self.keys.insert(kept.value.name.clone(), kept);
                }
            }
        }
        for row in draft.rows {
            let rows = self.rows.entry(row.public_key).or_default();
            let place = (row.public_key, row.chain.clone());
            let ordinal = if let Some(kept) = rows.iter_mut().find(|kept| kept.value.chain == row.chain) {
                // A repeat writes nothing but its record.
                if kept.value == row {
                    continue;
                }
                kept.value = row;
                kept.ordinal
            } else {
                self.last_ordinal += 1;
                rows.push(Kept {
                    ordinal: self.last_ordinal,
                    value: row,
                    checksum: None,
                });
                self.last_ordinal
            };
            if self.changed_rows.insert(ordinal) {
                self.changed.push(place);
            }
        }
        for hold in draft.holds {
            let place = hold.hold.fact.place();
            self.changed_holds.insert(place.clone());
            match self.holds.get_mut(&place) {
                Some(kept) => kept.value = hold,
                None => {
                    self.last_ordinal += 1;
                    let kept = Kept {
                        ordinal: self.last_ordinal,
                        value: hold,
                        checksum: None,
                    };
                    self.holds.insert(place, kept);
                }
            }
        }
        self.take_approvals(draft.approvals);
        self.take_api_keys(draft.api_keys);
    }

    /// Takes out what changed since the last time, and counts it into the digest.
    pub(crate) fn take_changes(&mut self) -> Changes {
        let mut keys = Vec::new();
        for name in std::mem::take(&mut self.changed_keys) {
            if let Some(kept) = self.keys.get_mut(&name) {
                let body = encode_key(&kept.value);
                let checksum = Checksum::of_key(&self.id, &body);
                keys.push(kept.write(&mut self.digest, body, checksum));
            }
        }
        self.changed_rows.clear();
        let mut writes = Vec::with_capacity(self.changed.len());
        for (key, chain) in std::mem::take(&mut self.changed) {
            let rows = self.rows.get_mut(&key).into_iter().flatten();
            for kept in rows.filter(|kept| kept.value.chain == chain) {
                let body = encode_guard(&kept.value);
                let checksum = Checksum::of_guard(&self.id, &body);
                writes.push(kept.write(&mut self.digest, body, checksum));
            }
        }
        let mut holds = Vec::new();
        for place in std::mem::take(&mut self.changed_holds) {
            if let Some(kept) = self.holds.get_mut(&place) {
                let body = encode_hold(&kept.value);
                let checksum = Checksum::of_hold(&self.id, &body);
                holds.push(kept.write(&mut self.digest, body, checksum));
            }
        }
        Changes {
            keys,
            rows: writes,
            holds,
            approvals: self.take_changed_approvals(),
            api_keys: self.take_changed_api_keys(),
        }
    }
}

impl<T> Kept<T> {
    fn write(&mut self, digest: &mut TableDigest, body: Vec<u8>, checksum: Checksum) -> Write {
        let before = self.checksum.replace(checksum);
        if let Some(before) = before {
            digest.toggle(before);
        }
        digest.toggle(checksum);
        Write {
            ordinal: self.ordinal,
            known: before.is_some(),
            body,
        }
    }
}

/// What a batch would change, in order; later entries win.
#[derive(Default)]
struct Draft {
    keys: Vec<Key>,
    rows: Vec<StoredRow>,
    holds: Vec<StoredHold>,
    approvals: Vec<StoredApproval>,
    api_keys: Vec<StoredApiKey>,
}

impl Draft {
    fn is_empty(&self) -> bool {
        self.keys.is_empty()
            && self.rows.is_empty()
            && self.holds.is_empty()
            && self.approvals.is_empty()
            && self.api_keys.is_empty()
    }
}

fn no_row(key: &PublicKey, chain: &ChainId) -> Refusal {
    Refusal::new(
        RefusalCode::NoSignState,
        format!("{key} has no sign state on {chain}; begin it with `sigward state init`"),
    )
}

fn unknown_key(key: &PublicKey) -> Refusal {
    Refusal::new(RefusalCode::KeyNotFound, format!("there is no key {key}"))
}
