//! What an operator may put in the way of signatures, besides the row: freezes, stop lines, drained nodes, chains left behind.
//!
//! Plain data. A [`Hold`] is one such fact with its note; [`Holds`] are all that are in force; [`Conditions`] are what they come to
//! for one key on one chain, which is what the rule reads (`double_sign::judge`).
//!
//! *Invariant:* a hold only ever forbids: no hold makes the rule say yes where it would say no without it.

use std::fmt;

use crate::decision::{Refusal, RefusalCode};
use crate::model::algorithm::PublicKey;
use crate::model::caller::Caller;
use crate::model::id::{ChainId, Height, NodeName, UnixSeconds};

/// What a freeze covers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// Every key on every chain.
    All,
    /// Every key on this chain.
    Chain(ChainId),
    /// This key on every chain.
    Key(PublicKey),
}

/// Where a stop line runs. Heights of different chains have nothing in common, so there is none for all chains.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Line {
    /// Every key on this chain.
    Chain(ChainId),
    /// This key on this chain.
    Row(PublicKey, ChainId),
}

/// What a hold is about. There is at most one hold of a place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// A freeze.
    Freeze(Scope),
    /// A stop line.
    StopLine(Line),
    /// A drained node.
    Node(ChainId, NodeName),
    /// A chain id that a key has left for another.
    Left(PublicKey, ChainId),
}

/// What is in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    /// Nothing is signed.
    Freeze(Scope),
    /// Nothing is signed at or above the height.
    StopLine(Line, Height),
    /// Nothing is signed for the node.
    Drained(ChainId, NodeName),
    /// The chain has another id now; the key signs for the old one (the first) never again.
    Rebound(PublicKey, ChainId, ChainId),
}

impl Fact {
    /// What it is about.
    pub fn place(&self) -> Place {
        match self {
            Self::Freeze(scope) => Place::Freeze(scope.clone()),
            Self::StopLine(line, _) => Place::StopLine(line.clone()),
            Self::Drained(chain, node) => Place::Node(chain.clone(), node.clone()),
            Self::Rebound(key, from, _) => Place::Left(*key, from.clone()),
        }
    }

    /// Whether it may ever be lifted.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Rebound(..))
    }
}

/// Who, when and why. Reasons are for operators: they never go to a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// Why.
    pub reason: String,
    /// By whom.
    pub by: String,
    /// When.
    pub at: UnixSeconds,
}

/// A fact with its note.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// What is in force.
    pub fact: Fact,
    /// Who, when and why.
    pub note: Note,
}

/// Every hold in force.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Holds(Vec<Hold>);

impl Holds {
    /// These and no others.
    pub const fn new(holds: Vec<Hold>) -> Self {
        Self(holds)
    }

    /// Each of them, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = &Hold> {
        self.0.iter()
    }

    /// The hold of a place.
    pub fn of(&self, place: &Place) -> Option<&Hold> {
        self.iter().find(|hold| hold.fact.place() == *place)
    }

    /// What they come to for `key` on `chain`.
    pub fn conditions(&self, key: &PublicKey, chain: &ChainId) -> Conditions {
        conditions(self.0.iter().map(|hold| &hold.fact), key, chain)
    }

    /// The id that `chain` has now for `key`, where the key left it by rebinding.
    pub fn left_for(&self, key: &PublicKey, chain: &ChainId) -> Option<&ChainId> {
        match &self.of(&Place::Left(*key, chain.clone()))?.fact {
            Fact::Rebound(_, _, to) => Some(to),
            _ => None,
        }
    }

    /// The same where the key is not known: what is in force for every key there.
    pub fn conditions_of_any(&self, chain: &ChainId) -> Conditions {
        come_to(self.0.iter().map(|hold| &hold.fact), None, chain)
    }

    /// Whether everything is frozen.
    pub fn all_frozen(&self) -> bool {
        self.of(&Place::Freeze(Scope::All)).is_some()
    }

    /// Whether a node is drained.
    pub fn is_drained(&self, chain: &ChainId, node: &NodeName) -> bool {
        self.iter()
            .any(|hold| matches!(&hold.fact, Fact::Drained(c, n) if c == chain && n == node))
    }
}

/// What `facts` come to for `key` on `chain`.
pub fn conditions<'a>(facts: impl Iterator<Item = &'a Fact>, key: &PublicKey, chain: &ChainId) -> Conditions {
    come_to(facts, Some(key), chain)
}

fn come_to<'a>(
    facts: impl Iterator<Item = &'a Fact>,
    key: Option<&PublicKey>,
    chain: &ChainId,
) -> Conditions {
    let mut now = Conditions::default();
    for fact in facts {
        match fact {
            Fact::Freeze(scope) => {
                let covers = match scope {
                    Scope::All => true,
                    Scope::Chain(frozen) => frozen == chain,
                    Scope::Key(frozen) => Some(frozen) == key,
                };
                // The widest is told: it is the first that has to go.
                if covers && now.frozen.as_ref().is_none_or(|known| scope < known) {
                    now.frozen = Some(scope.clone());
                }
            }
            Fact::StopLine(line, height) => {
                let covers = match line {
                    Line::Chain(stopped) => stopped == chain,
                    Line::Row(stopped, on) => Some(stopped) == key && on == chain,
                };
                if covers {
                    now.stop_line = Some(now.stop_line.map_or(*height, |lowest| lowest.min(*height)));
                }
            }
            Fact::Drained(..) => {}
            Fact::Rebound(moved, from, to) => {
                if Some(moved) == key && from == chain {
                    now.rebound = Some(to.clone());
                }
            }
        }
    }
    now
}

/// What the holds in force come to for one key on one chain.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Conditions {
    /// The widest freeze that covers it.
    pub frozen: Option<Scope>,
    /// The lowest stop line: this height, and all above, are not signed.
    pub stop_line: Option<Height>,
    /// The id that the chain has now; this one is closed for ever.
    pub rebound: Option<ChainId>,
}

impl Conditions {
    /// Refuses a message at `height` that the holds forbid. What was signed before is a message like any other.
    pub fn check(&self, height: Height) -> Result<(), Refusal> {
        if let Some(to) = &self.rebound {
            return Err(Refusal::new(
                RefusalCode::ChainRebound,
                format!(
                    "this key left this chain id for {to} and never signs for it again; name {to} in the configuration"
                ),
            ));
        }
        if let Some(scope) = &self.frozen {
            let (what, flag) = match scope {
                Scope::All => ("everything is", "--all"),
                Scope::Chain(_) => ("this chain is", "--chain CHAIN_ID"),
                Scope::Key(_) => ("this key is", "--key NAME"),
            };
            return Err(Refusal::new(
                RefusalCode::Frozen,
                format!(
                    "{what} frozen; `sigward holds` says why, `sigward unfreeze {flag} --reason TEXT` lifts it"
                ),
            ));
        }
        match self.stop_line {
            Some(line) if height >= line => Err(Refusal::new(
                RefusalCode::StopLine,
                format!(
                    "height {height} is at or above the stop line {line}; `sigward stop-line list` says why"
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// Refuses what a drained node asks.
pub fn check_caller<'a>(facts: impl Iterator<Item = &'a Fact>, caller: &Caller) -> Result<(), Refusal> {
    let Caller::Node { chain, node } = caller else {
        return Ok(());
    };
    let mut facts = facts;
    if facts.any(|fact| matches!(fact, Fact::Drained(c, n) if c == chain && n == node)) {
        return Err(Refusal::new(
            RefusalCode::NodeDrained,
            format!("{node} is drained; `sigward node undrain` serves it again"),
        ));
    }
    Ok(())
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Chain(chain) => write!(f, "chain {chain}"),
            Self::Key(key) => write!(f, "key {key}"),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain(chain) => write!(f, "chain {chain}"),
            Self::Row(key, chain) => write!(f, "key {key} on chain {chain}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Freeze(scope) => write!(f, "a freeze of {scope}"),
            Self::StopLine(line) => write!(f, "a stop line of {line}"),
            Self::Node(chain, node) => write!(f, "a drained node {chain}/{node}"),
            Self::Left(key, chain) => write!(f, "a rebinding of key {key} from {chain}"),
        }
    }
}
