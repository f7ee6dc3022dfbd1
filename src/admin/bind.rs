//! Giving a key its chain: when the configuration first names a key for a chain, its guard row begins.
//!
//! Only a key that was generated here and never left may begin fresh, because only its past is wholly known. Every other key has
//! been told its past at import, or must be told by `state init`.

use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::double_sign::Beginning;
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::ChainId;
use sigward_policies::model::key::{Key, Origin};

use super::act::Act;
use super::{Admin, ConfiguredChain};
use crate::store::{Batch, Change, StoredRow, may_share};

impl Admin {
    /// Makes sure that the key of `chain` has a guard row there.
    pub async fn bind(&self, chain: &ConfiguredChain) -> Result<(), Refused> {
        let (key, bound) = self.may_bind(chain).await?;
        let public_key = key.version.public_key;
        if bound == Bound::Already {
            return Ok(());
        }
        let begin = Change::Begin {
            public_key,
            chain: chain.id.clone(),
            beginning: Beginning::NeverSigned,
            sharing: chain.sharing,
        };
        let entry = self.entry(
            &Caller::Service,
            Act::KeyBind,
            &public_key,
            Some(&chain.id),
            "fresh",
        );
        self.guard
            .change(
                &self.store,
                &public_key,
                &chain.id,
                Batch::act(vec![begin], entry),
            )
            .await?;
        tracing::info!(key = %key.name, chain = %chain.id, "a key has its chain: its guard row begins fresh");
        Ok(())
    }

    /// Whether [`bind`](Self::bind) would; changes nothing.
    pub async fn may_bind(&self, chain: &ConfiguredChain) -> Result<(Key, Bound), Refused> {
        let key = self.key(&chain.key).await?;
        let own: Vec<_> = self
            .rows()
            .await?
            .into_iter()
            .filter(|row| row.public_key == key.version.public_key)
            .collect();
        let holds = self.guard.holds();
        let left = |chain: &ChainId| holds.conditions(&key.version.public_key, chain).rebound;
        if let Some(to) = left(&chain.id) {
            return Err(Refusal::new(
                RefusalCode::ChainRebound,
                format!(
                    "{} left {} for {to}: write id = \"{to}\" into the configuration",
                    key.name, chain.id
                ),
            )
            .into());
        }
        let own: Vec<_> = own.into_iter().filter(|row| left(&row.chain).is_none()).collect();
        may_share(&own, &chain.id, chain.sharing)?;
        if own.iter().any(|row| row.chain == chain.id) {
            return Ok((key, Bound::Already));
        }
        may_begin_fresh(&key, chain, &own)?;
        Ok((key, Bound::Fresh))
    }
}

/// Whether a key has a guard row on its chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// It has.
    Already,
    /// It would begin one.
    Fresh,
}

fn may_begin_fresh(key: &Key, chain: &ConfiguredChain, own: &[StoredRow]) -> Result<(), Refusal> {
    let version = &key.version;
    let past_is_known = version.origin == Origin::Generated && !version.exported;
    if past_is_known && own.iter().all(|row| !row.row.stopped) {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalCode::BeginningRequired,
        format!(
            "{} was not made here, or has left, or its state was lost: say what it signed on {} with `sigward state init --key {} --chain {} --above HEIGHT` or --never-signed",
            key.name, chain.id, key.name, chain.id
        ),
    ))
}
