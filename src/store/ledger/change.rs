//! What one change of a batch does to the draft: pure, on top of what the batch has come to so far.

use std::collections::BTreeMap;

use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::double_sign::{Beginning, GuardRow, merge};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, UnixSeconds};
use sigward_policies::model::key::Key;

use super::holds::Rebind;
use super::{Draft, Ledger, no_row, unknown_key};
use crate::store::invariant::{check_move, fit_to_write};
use crate::store::row::MAX_PROVIDER;
use crate::store::{Change, StoredRow, may_share};

impl Ledger {
    pub(super) fn change(&self, draft: &mut Draft, change: Change, now: UnixSeconds) -> Result<(), Refused> {
        match change {
            Change::AddKey(key) => self.add_key(draft, key),
            Change::SetKeyState { public_key, state } => {
                let mut key = self.key(draft, &public_key)?;
                check_move(key.version.state, state)?;
                key.version.state = state;
                draft.keys.push(key);
                Ok(())
            }
            Change::MarkExported { public_key } => {
                let mut key = self.key(draft, &public_key)?;
                key.version.exported = true;
                draft.keys.push(key);
                Ok(())
            }
            Change::MarkBackedUp { public_key, backup } => {
                let mut key = self.key(draft, &public_key)?;
                if key.version.backup.is_none_or(|known| known.at <= backup.at) {
                    key.version.backup = Some(backup);
                    draft.keys.push(key);
                }
                Ok(())
            }
            Change::Begin {
                public_key,
                chain,
                beginning,
                sharing,
            } => {
                let key = self.key(draft, &public_key)?;
                if key.version.exported && beginning == Beginning::NeverSigned {
                    return Err(Refusal::new(
                        RefusalCode::BeginningRequired,
                        "this key has left once; say how far it has signed: --state FILE or --above HEIGHT",
                    )
                    .into());
                }
                self.check_not_left(draft, &public_key, &chain)?;
                let rows = self.rows_of(draft, &public_key);
                may_share(&self.without_left(draft, &rows), &chain, sharing)?;
                let known = rows.into_iter().find(|row| row.chain == chain);
                let row = merge(known.as_ref().map(|known| &known.row), beginning, now)?;
                self.put(
                    draft,
                    StoredRow {
                        public_key,
                        chain,
                        sharing,
                        row,
                    },
                )
            }
            Change::Allow {
                public_key,
                chain,
                until,
            } => self.update(draft, &public_key, &chain, |row| row.allowed(until)),
            Change::Disallow { public_key, chain } => {
                self.update(draft, &public_key, &chain, GuardRow::disallowed)
            }
            Change::Hold(hold) => self.hold(draft, hold),
            Change::Lift { place, note } => self.lift(draft, &place, note),
            Change::Rebind {
                public_key,
                from,
                to,
                above,
                note,
            } => {
                let rebind = Rebind {
                    public_key,
                    from,
                    to,
                    above,
                    note,
                };
                self.rebind(draft, rebind, now)
            }
            Change::CloseTo {
                public_key,
                chain,
                height,
            } => self.update(draft, &public_key, &chain, |row| row.closed_to(height, now)),
            Change::Approval(change) => self.approval(draft, *change, now),
            Change::ApiKey(change) => self.api_key(draft, *change, now),
            Change::Stop { public_key, chain } => self.update(draft, &public_key, &chain, GuardRow::stop),
        }
    }

    fn add_key(&self, draft: &mut Draft, key: Key) -> Result<(), Refused> {
        let refuse = |code, why: String| Err(Refusal::new(code, why).into());
        if key.version.provider.len() > MAX_PROVIDER {
            return refuse(
                RefusalCode::InvalidParameters,
                "the provider's name is too long".to_owned(),
            );
        }
        if let Ok(known) = self.key(draft, &key.version.public_key) {
            return refuse(
                RefusalCode::PublicKeyExists,
                format!("this public key is in the keyring already, as {}", known.name),
            );
        }
        if self.keys.contains_key(&key.name) || draft.keys.iter().any(|known| known.name == key.name) {
            return refuse(
                RefusalCode::KeyExists,
                format!(
                    "there is a key {} already; another key needs another name",
                    key.name
                ),
            );
        }
        draft.keys.push(key);
        Ok(())
    }

    /// A key as the draft has it, or else the ledger.
    fn key(&self, draft: &Draft, public_key: &PublicKey) -> Result<Key, Refused> {
        let drafted = draft
            .keys
            .iter()
            .rev()
            .find(|key| key.version.public_key == *public_key);
        let kept = || self.keys.get(self.names.get(public_key)?).map(|kept| &kept.value);
        drafted
            .or_else(kept)
            .cloned()
            .ok_or_else(|| unknown_key(public_key).into())
    }

    /// Every row of a key, the draft's before the ledger's.
    pub(super) fn rows_of(&self, draft: &Draft, key: &PublicKey) -> Vec<StoredRow> {
        let mut rows: BTreeMap<ChainId, StoredRow> = BTreeMap::new();
        let kept = self.rows.get(key).into_iter().flatten().map(|kept| &kept.value);
        for row in kept.chain(draft.rows.iter().filter(|row| row.public_key == *key)) {
            rows.insert(row.chain.clone(), row.clone());
        }
        rows.into_values().collect()
    }

    fn update(
        &self,
        draft: &mut Draft,
        key: &PublicKey,
        chain: &ChainId,
        next: impl FnOnce(&GuardRow) -> GuardRow,
    ) -> Result<(), Refused> {
        let known = self
            .rows_of(draft, key)
            .into_iter()
            .find(|row| row.chain == *chain);
        let known = known.ok_or_else(|| no_row(key, chain))?;
        let row = next(&known.row);
        self.put(draft, StoredRow { row, ..known })
    }

    pub(super) fn put(&self, draft: &mut Draft, row: StoredRow) -> Result<(), Refused> {
        let rows = self.rows_of(draft, &row.public_key);
        let known = rows.iter().find(|known| known.chain == row.chain);
        fit_to_write(known.map(|known| &known.row), &row)?;
        draft.rows.push(row);
        Ok(())
    }
}
