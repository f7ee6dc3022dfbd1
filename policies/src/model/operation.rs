//! What can be asked of a key. An operation is typed: nothing signs "bytes".

use std::fmt;

/// An operation of a key, as rules, records and metrics name it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[allow(
    clippy::enum_variant_names,
    reason = "operations that are not signatures join them"
)]
pub enum Operation {
    /// Sign a proposal.
    SignProposal,
    /// Sign a prevote.
    SignPrevote,
    /// Sign a precommit, and its extension.
    SignPrecommit,
}

impl Operation {
    /// Every operation.
    pub const ALL: &'static [Self] = &[Self::SignProposal, Self::SignPrevote, Self::SignPrecommit];

    /// The name in rules and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignProposal => "sign.cometbft.proposal",
            Self::SignPrevote => "sign.cometbft.prevote",
            Self::SignPrecommit => "sign.cometbft.precommit",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
