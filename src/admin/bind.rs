//! Giving a key its chain: when the configuration first names a key for a chain, its guard row begins.
//!
//! Only a key that was generated here and never left may begin fresh, because only its past is wholly known. Every other key has
//! been told its past at import, or must be told by `state init`.

use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::double_sign::{Beginning, Watermark};
use sigward_policies::model::id::{ChainId, KeyName};
use sigward_policies::model::key::{Key, Origin};

use super::act::Act;
use super::{Admin, ConfiguredChain};
use crate::audit::Asker;
use crate::config::ChainConfig;
use crate::store::{Batch, Change, StoredRow, may_share};

impl Admin {
    /// Makes sure that the key of `chain` has a guard row there. `all` are the chains of the configuration that names it.
    pub async fn bind(&self, chain: &ConfiguredChain, all: &[ChainConfig]) -> Result<(), Refused> {
        let (key, bound) = self.may_bind(chain, all).await?;
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
            &Asker::SERVICE,
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
    pub async fn may_bind(
        &self,
        chain: &ConfiguredChain,
        all: &[ChainConfig],
    ) -> Result<(Key, Bound), Refused> {
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
        may_share(&own, &chain.id, chain.sharing)
            .map_err(|refusal| with_remedy(refusal, &key.name, &chain.id, &own, all))?;
        if own.iter().any(|row| row.chain == chain.id) {
            return Ok((key, Bound::Already));
        }
        may_begin_fresh(&key, chain, &own)?;
        Ok((key, Bound::Fresh))
    }
}

/// Names the way out of a [`RefusalCode::SharingRefused`].
fn with_remedy(
    refusal: Refusal,
    key: &KeyName,
    chain: &ChainId,
    own: &[StoredRow],
    all: &[ChainConfig],
) -> Refusal {
    let named = |id: &ChainId| all.iter().any(|entry| entry.id == *id);
    let others: Vec<_> = own.iter().filter(|row| row.chain != *chain).collect();
    let gone = others.iter().find(|row| !named(&row.chain) && !row.row.stopped);
    let message = match gone {
        Some(row) => unnamed_chain(
            key.as_str(),
            chain.as_str(),
            row.chain.as_str(),
            row.row.watermark == Watermark::Fresh,
        ),
        None => refusal.message,
    };
    Refusal::new(refusal.code, message)
}

/// What to know where `key` has a state on `other`, which the configuration does not name any more: most often the same chain,
/// whose id was mistyped at first or has changed.
pub fn unnamed_chain(key: &str, chain: &str, other: &str, never_signed: bool) -> String {
    let signed = if never_signed {
        ", and signed nothing there"
    } else {
        ""
    };
    format!(
        "{key} belongs to {other}, which the configuration does not name{signed}; if {other} is this chain under a mistyped or former id, \
         `sigward state rebind --key {key} --chain {other} --to {chain}` (it closes {other} for ever), else give {chain} a key of its own"
    )
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
