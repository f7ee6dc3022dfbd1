//! Taking over a store that does not open: an operator says up to which height messages may have been signed, and all of that is
//! closed. The way out of every refusal of `open` that is about lost or older data.
//!
//! *Invariants:* no watermark goes down, and no key that the store knew begins as fresh afterwards: its rows may be among what
//! was lost. Nothing is deleted: old files are moved aside. A database that is lost is replaced by
//! one with a new identity, so that no sealed key opens with it before `keys adopt --above` has said how far that key got.

use std::path::{Path, PathBuf};

use sigward_policies::holding::Hold;
use sigward_policies::model::authentication::Authentication;
use sigward_policies::model::id::{ChainId, Height, StoreId};

use super::super::error::{OpenCode, OpenError};
use super::super::filesystem::{make_folder, sync_folder};
use super::super::holding::decode_hold;
use super::super::ledger::Judged;
use super::super::record::{AuditEntry, AuditRecord, Context, Outcome};
use super::super::redo::Redo;
use super::super::row::decode_guard;
use super::super::witness::{Entry, Testified, Witness, beside, folder_of};
use super::super::{ApiKeyChange, ApprovalChange, Change, StoredApiKey, StoredRow};
use super::books::Books;
use super::create::{FIRST_COMMIT, build, checkpoint};
use super::open::{find_database, take_place};
use super::{Options, SqliteStore, connection};
use crate::crash::crash_point;

/// Up to where everything is closed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Above {
    /// The same height on every chain.
    Everywhere(Height),
    /// A height for each chain; every chain that the store knows must be named.
    PerChain(Vec<(ChainId, Height)>),
}

/// What adopting came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Adopted {
    /// The database was there: its rows are closed and its witness is new.
    Closed {
        /// The store, as before.
        store: StoreId,
        /// How many rows it has.
        rows: usize,
    },
    /// The database was lost: a new, empty store stands in its place, and its keys need `keys adopt --above`.
    Replaced {
        /// The new store.
        store: StoreId,
        /// Where the old files are.
        aside: PathBuf,
    },
}

impl SqliteStore {
    /// Adopts the store in the state folder. `subject` is who does it, for the audit chain.
    pub fn adopt(options: &Options, above: &Above, subject: &str) -> Result<Adopted, OpenError> {
        make_folder(&options.dir)?;
        make_folder(folder_of(&options.witness))?;
        let _lock = take_place(options)?;
        // A witness that another process holds is not ours to replace, whatever else is wrong.
        let witness = match Witness::open(&options.witness) {
            Err(held) if held.code == OpenCode::StoreLocked => return Err(held),
            found => found,
        };
        let testified = witness.as_ref().ok().map(|(_, testified)| testified.clone());
        let entry = |reason: String| AuditEntry {
            time_micros: options.clock.unix_micros(),
            subject: subject.to_owned(),
            operation: "state.adopt".to_owned(),
            key: None,
            key_version: None,
            chain: None,
            position: None,
            outcome: Outcome::Allowed,
            reason,
            request_digest: None,
            signature_digest: None,
            count: 1,
            context: Context {
                authenticated: Some(Authentication::ThisProcess),
                ..Context::default()
            },
        };
        let lost = match find_database(&options.database()).and_then(|()| Books::read(&options.database())) {
            Ok(books) => {
                let missing = testified
                    .as_ref()
                    .and_then(|said| books.compare(said, &options.witness).ok());
                let why = found(&books, testified.as_ref(), options);
                // What the witness holds is used as far as it fits; where it does not, that is what is adopted away from.
                let (books, why) = match books.catch_up(&options.database(), missing.unwrap_or_default()) {
                    Ok(books) => (books, why),
                    Err(unfit) if unfit.code == OpenCode::StoreCorrupt => {
                        let books = Books::read(&options.database())?.catch_up(&options.database(), &[])?;
                        (books, unfit.code.as_str())
                    }
                    Err(failed) => return Err(failed),
                };
                let reason = format!("{why}, {}", above.describe());
                return close_rows(options, books, testified, above, entry(reason));
            }
            Err(lost) => lost,
        };
        match lost.code {
            OpenCode::StoreMissing | OpenCode::StoreEmpty | OpenCode::StoreCorrupt => {
                let aside = move_aside(options)?;
                crash_point!("store_adopt_moved");
                let reason = format!("{}, {}", lost.code, above.describe());
                let store = build(options, FIRST_COMMIT, Some(entry(reason)))?;
                Ok(Adopted::Replaced { store, aside })
            }
            _ => Err(lost),
        }
    }
}

/// What `open` would have said.
fn found(books: &Books, testified: Option<&Testified>, options: &Options) -> &'static str {
    match testified.map(|testified| books.compare(testified, &options.witness)) {
        None => "no readable witness",
        Some(Ok(_)) => "nothing amiss",
        Some(Err(refused)) => refused.code.as_str(),
    }
}

/// The holds that the witness still holds of this store, as it last had them: whoever goes back before a freeze keeps the freeze.
fn known_holds(testified: &Testified, books: &Books) -> Vec<Hold> {
    let mut last = std::collections::BTreeMap::new();
    for redo in redos(testified, books) {
        for stored in redo
            .holds
            .iter()
            .filter_map(|write| decode_hold(&write.body).ok())
        {
            last.insert(stored.hold.fact.place(), stored);
        }
    }
    last.into_values()
        .filter(|stored| !stored.lifted && !stored.hold.fact.is_final())
        .map(|stored| stored.hold)
        .collect()
}

/// The guard rows that the witness still holds of this store.
fn known_rows(testified: &Testified, books: &Books) -> Vec<StoredRow> {
    redos(testified, books)
        .flat_map(|redo| redo.rows)
        .filter_map(|write| decode_guard(&write.body).ok())
        .collect()
}

/// What the witness still holds of this store, oldest first.
fn redos<'a>(testified: &'a Testified, books: &'a Books) -> impl Iterator<Item = Redo> + 'a {
    let of_store = |entry: &&Entry| entry.testimony.store == books.meta.store;
    testified
        .entries()
        .iter()
        .filter(of_store)
        .filter_map(|entry| Redo::decode(&entry.redo).ok())
}

fn close_rows(
    options: &Options,
    mut books: Books,
    testified: Option<Testified>,
    above: &Above,
    entry: AuditEntry,
) -> Result<Adopted, OpenError> {
    let database = options.database();
    let rows = books.ledger.guard_rows();
    // The witness may know of rows that the tables lost: no height below them either.
    for row in testified.iter().flat_map(|said| known_rows(said, &books)) {
        above.close(&row)?;
    }
    let mut changes = rows
        .iter()
        .map(|row| above.close(row))
        .collect::<Result<Vec<_>, _>>()?;
    // What was lost may have held rows of these keys: none of them begins as fresh any more, on any chain.
    changes.extend(books.ledger.keys().into_iter().map(|key| Change::MarkExported {
        public_key: key.version.public_key,
    }));
    let holds = testified.iter().flat_map(|said| known_holds(said, &books));
    changes.extend(holds.map(Change::Hold).collect::<Vec<_>>());
    // What waits for approval in an older store may have been used since.
    let waiting = books
        .ledger
        .approvals()
        .into_iter()
        .filter(|stored| stored.ended.is_none());
    changes.extend(waiting.map(|stored| Change::Approval(Box::new(ApprovalChange::Abandon(stored.id)))));
    // And an API key that counts in it may have been revoked since.
    let revoked = |stored: StoredApiKey| {
        let by = entry.subject.clone();
        Change::ApiKey(Box::new(ApiKeyChange::Revoke {
            name: stored.name,
            by,
        }))
    };
    changes.extend(books.ledger.api_keys().into_iter().map(revoked));
    match books.ledger.judge(None, changes, options.clock.unix_seconds()) {
        Judged::Accepted(_) => {}
        Judged::Refused(why, _) => return Err(OpenError::new(OpenCode::AdoptTooLow, why.to_string())),
    }
    // Beyond everything that this store or its witness has ever counted, so that an older copy of either is known for what it is.
    let seen = testified
        .map(|testified| *testified.newest())
        .filter(|said| said.store == books.meta.store)
        .map_or(0, |said| said.sequence.saturating_add(1));
    let sequence = books.meta.sequence.max(seen).saturating_add(1);
    let record = AuditRecord::link(&books.meta.audit, entry);
    let (meta, redo) = books.draw(sequence, vec![record]);
    crash_point!("store_adopt_before_commit");
    books
        .write(meta, &redo)
        .map_err(|cause| OpenError::new(OpenCode::StoreIo, format!("{}: {cause}", database.display())))?;
    checkpoint(&books.connection).map_err(|cause| connection::refused(&database, cause))?;
    crash_point!("store_adopt_committed");
    set_witness_aside(options)?;
    crash_point!("store_adopt_witness_aside");
    Witness::create(&options.witness, options.witness_segment, &meta.testimony())?;
    crash_point!("store_adopt_witnessed");
    Ok(Adopted::Closed {
        store: meta.store,
        rows: rows.len(),
    })
}

impl Above {
    /// The height for `chain`.
    fn height(&self, chain: &ChainId) -> Option<Height> {
        match self {
            Self::Everywhere(height) => Some(*height),
            Self::PerChain(heights) => heights
                .iter()
                .find(|(known, _)| known == chain)
                .map(|(_, height)| *height),
        }
    }

    /// What closes `row`. A height below what the row itself knows shows that whoever gave it does not know.
    fn close(&self, row: &StoredRow) -> Result<Change, OpenError> {
        let refuse = |what| Err(OpenError::new(OpenCode::AdoptTooLow, what));
        let Some(height) = self.height(&row.chain) else {
            return refuse(format!("no height given for {}", row.chain));
        };
        let known = row.row.watermark.height();
        if height.value() < known {
            return refuse(format!(
                "height {height} for {} is below {known}, which was signed",
                row.chain
            ));
        }
        Ok(Change::CloseTo {
            public_key: row.public_key,
            chain: row.chain.clone(),
            height,
        })
    }

    fn describe(&self) -> String {
        match self {
            Self::Everywhere(height) => format!("closed to {height}"),
            Self::PerChain(heights) => heights
                .iter()
                .map(|(chain, height)| format!("{chain} closed to {height}"))
                .collect::<Vec<_>>()
                .join(", "),
        }
    }
}

/// Moves a database that cannot be used, and what belongs to it, into a folder of its own.
fn move_aside(options: &Options) -> Result<PathBuf, OpenError> {
    let aside = options.dir.join(format!("aside-{}", options.clock.unix_micros()));
    make_folder(&aside)?;
    let database = options.database();
    for path in std::iter::once(database.clone()).chain(Options::companions(&database)) {
        if let Some(name) = path.file_name() {
            rename_if_there(&path, &aside.join(name))?;
        }
    }
    sync_folder(&aside)?;
    sync_folder(&options.dir)?;
    set_witness_aside(options)?;
    Ok(aside)
}

/// The witness may be on another disk: it is renamed where it is.
fn set_witness_aside(options: &Options) -> Result<(), OpenError> {
    let aside = beside(
        &options.witness,
        &format!("aside-{}", options.clock.unix_micros()),
    );
    rename_if_there(&options.witness, &aside)?;
    sync_folder(folder_of(&options.witness))
}

fn rename_if_there(from: &Path, to: &Path) -> Result<(), OpenError> {
    match std::fs::rename(from, to) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(OpenError::io("move aside", from, cause))
        }
        _ => Ok(()),
    }
}
