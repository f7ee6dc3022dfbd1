//! Acts on sign states: begin, join, move out, allow. Each is one batch with its audit record, made while the row is held.

use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::double_sign::Beginning;
use sigward_policies::model::id::{ChainId, Height, KeyName};
use sigward_policies::model::key::Key;
use sigward_policies::model::operation::Operation;

use super::act::Act;
use super::consent::{Consent, Matter, Petition};
use super::keys::describe;
use super::{Admin, state_file};
use crate::audit::Asker;
use crate::store::{About, Batch, Change, Sharing, StoredRow};

/// A guard row with the name of its key.
#[derive(Clone, Debug)]
pub struct NamedRow {
    /// The key's name.
    pub key: KeyName,
    /// The row.
    pub row: StoredRow,
}

impl Admin {
    /// Every guard row, or those of `key` and `chain`, by key and chain.
    pub async fn states(
        &self,
        key: Option<&KeyName>,
        chain: Option<&ChainId>,
    ) -> Result<Vec<NamedRow>, Refused> {
        if let Some(name) = key {
            self.key(name).await?;
        }
        let keys = self.keys().await?;
        let mut named: Vec<_> = self
            .rows()
            .await?
            .into_iter()
            .filter(|row| chain.is_none_or(|chain| row.chain == *chain))
            .filter_map(|row| {
                let owner = keys.iter().find(|key| key.version.public_key == row.public_key)?;
                Some(NamedRow {
                    key: owner.name.clone(),
                    row,
                })
            })
            .filter(|row| key.is_none_or(|key| row.key == *key))
            .collect();
        named.sort_by(|a, b| (&a.key, &a.row.chain).cmp(&(&b.key, &b.row.chain)));
        Ok(named)
    }

    /// Begins the state of a key on a chain where it has none, or where it was moved out.
    pub async fn init_state(
        &self,
        who: &Asker,
        name: &KeyName,
        chain: &ChainId,
        sharing: Sharing,
        beginning: Beginning,
    ) -> Result<NamedRow, Refused> {
        let key = self.key(name).await?;
        let in_use = |row: &StoredRow| {
            row.public_key == key.version.public_key && row.chain == *chain && !row.row.stopped
        };
        if self.rows().await?.iter().any(in_use) {
            return Err(Refusal::new(
                RefusalCode::AlreadyBound,
                format!("{name} has a state on {chain} already; `sigward state show` prints it, `sigward state import` joins another into it"),
            )
            .into());
        }
        let detail = describe(&beginning);
        let change = Change::Begin {
            public_key: key.version.public_key,
            chain: chain.clone(),
            beginning,
            sharing,
        };
        self.change(who, Act::StateInit, &key, chain, &detail, change)
            .await
    }

    /// Joins a CometBFT state file into the state of a key; the greater position wins, and a stopped key signs again.
    pub async fn import_state(
        &self,
        who: &Asker,
        name: &KeyName,
        chain: &ChainId,
        json: &[u8],
    ) -> Result<NamedRow, Refused> {
        let key = self.key(name).await?;
        let row = self.row(&key, chain).await?;
        let verifier = self.keyring.find(name)?.verifier;
        let beginning = state_file::parse(json, &verifier, chain)?;
        let detail = describe(&beginning);
        let change = Change::Begin {
            public_key: key.version.public_key,
            chain: chain.clone(),
            beginning,
            sharing: row.row.sharing,
        };
        self.change(who, Act::StateImport, &key, chain, &detail, change)
            .await
    }

    /// Stops the key on the chain and returns CometBFT's state file, in this order.
    pub async fn export_state(
        &self,
        petition: &Petition,
        name: &KeyName,
        chain: &ChainId,
    ) -> Result<(NamedRow, Vec<u8>), Refused> {
        let key = self.key(name).await?;
        self.row(&key, chain).await?;
        let (who, public_key) = (&petition.who, key.version.public_key);
        let what = format!("stop {name} on {chain} for ever, and give its state to another signer");
        let matter = row_matter(Operation::StateExport, &key, chain, &[], what);
        let consent = self.consent(petition, matter).await?;
        let stop = Change::Stop {
            public_key,
            chain: chain.clone(),
        };
        let batch = consent.with(Batch::act(
            vec![stop, Change::MarkExported { public_key }],
            self.entry(who, Act::StateExport, &public_key, Some(chain), "stopped"),
        ));
        self.guard.change(&self.store, &public_key, chain, batch).await?;
        let row = self.row(&key, chain).await?;
        let json = state_file::write(&row.row.row)?;
        Ok((row, json))
    }

    /// Lets the key pass the guard against far jumps up to `until`.
    pub async fn allow(
        &self,
        petition: &Petition,
        name: &KeyName,
        chain: &ChainId,
        until: Height,
    ) -> Result<NamedRow, Refused> {
        let key = self.key(name).await?;
        self.row(&key, chain).await?;
        let what = format!("let {name} sign on {chain} up to height {until}, however far that is");
        let matter = row_matter(Operation::StateAllow, &key, chain, &[&until], what);
        let consent = self.consent(petition, matter).await?;
        let change = Change::Allow {
            public_key: key.version.public_key,
            chain: chain.clone(),
            until,
        };
        let act = (Act::StateAllow, format!("until {until}"));
        self.change_by(&petition.who, consent, act, &key, chain, change)
            .await
    }

    /// Takes back what [`allow`](Self::allow) allowed.
    pub async fn disallow(&self, who: &Asker, name: &KeyName, chain: &ChainId) -> Result<NamedRow, Refused> {
        let key = self.key(name).await?;
        self.row(&key, chain).await?;
        let change = Change::Disallow {
            public_key: key.version.public_key,
            chain: chain.clone(),
        };
        self.change(who, Act::StateDisallow, &key, chain, "", change)
            .await
    }

    /// A chain has another id now: closes the old one for ever and begins the new one above what was signed.
    pub async fn rebind(
        &self,
        petition: &Petition,
        name: &KeyName,
        from: &ChainId,
        to: &ChainId,
        above: Option<Height>,
    ) -> Result<NamedRow, Refused> {
        let key = self.key(name).await?;
        let detail = match above {
            None => format!("to {to}"),
            Some(above) => format!("to {to}, above {above}"),
        };
        let what = format!("have {name} leave {from} for ever and sign on another chain id: {detail}");
        let matter = Matter {
            to: Some(to.clone()),
            ..row_matter(Operation::StateRebind, &key, from, &[&detail], what)
        };
        let consent = self.consent(petition, matter).await?;
        let change = Change::Rebind {
            public_key: key.version.public_key,
            from: from.clone(),
            to: to.clone(),
            above,
            note: self.note(&petition.who, &detail),
        };
        let act = (Act::StateRebind, detail);
        self.change_by(&petition.who, consent, act, &key, from, change)
            .await?;
        tracing::warn!(key = %name, from = %from, to = %to, "a key has left a chain id for another");
        self.row(&key, to).await
    }

    async fn change(
        &self,
        who: &Asker,
        act: Act,
        key: &Key,
        chain: &ChainId,
        detail: &str,
        change: Change,
    ) -> Result<NamedRow, Refused> {
        let act = (act, detail.to_owned());
        self.change_by(who, Consent::default(), act, key, chain, change)
            .await
    }

    async fn change_by(
        &self,
        who: &Asker,
        consent: Consent,
        (act, detail): (Act, String),
        key: &Key,
        chain: &ChainId,
        change: Change,
    ) -> Result<NamedRow, Refused> {
        let public_key = key.version.public_key;
        let entry = self.entry(who, act, &public_key, Some(chain), &detail);
        let batch = consent.with(Batch::act(vec![change], entry));
        self.guard.change(&self.store, &public_key, chain, batch).await?;
        self.row(key, chain).await
    }

    pub(super) async fn row(&self, key: &Key, chain: &ChainId) -> Result<NamedRow, Refused> {
        let row = self
            .rows()
            .await?
            .into_iter()
            .find(|row| row.public_key == key.version.public_key && row.chain == *chain)
            .ok_or_else(|| {
                Refusal::new(
                    RefusalCode::NoSignState,
                    format!(
                        "{} has no state on {chain}; begin one with `sigward state init`",
                        key.name
                    ),
                )
            })?;
        Ok(NamedRow {
            key: key.name.clone(),
            row,
        })
    }
}

/// An act on the row of a key on a chain, for those who are to approve it.
fn row_matter(
    operation: Operation,
    key: &Key,
    chain: &ChainId,
    more: &[&dyn std::fmt::Display],
    what: String,
) -> Matter {
    let (name, public_key) = (&key.name, key.version.public_key);
    let mut parameters = vec![name.to_string(), public_key.to_string(), chain.to_string()];
    parameters.extend(more.iter().map(ToString::to_string));
    Matter {
        operation,
        parameters,
        about: About::Row(public_key, chain.clone()),
        what,
        key: Some(public_key),
        chain: Some(chain.clone()),
        to: None,
    }
}
