//! Newtypes for everything that identifies or orders: names, chain ids, heights, rounds, generations.
//!
//! *Invariant:* a value that exists is within its bounds; the bounds are those that CometBFT or the guard can bear.

use std::fmt;
use std::sync::Arc;

use crate::decision::{Refusal, RefusalCode};

/// Longest chain id that CometBFT accepts, in bytes (`types/genesis.go`, `MaxChainIDLen`).
pub const MAX_CHAIN_ID: usize = 50;
/// Longest name of a key or a node, in bytes.
pub const MAX_NAME: usize = 64;

/// The id of a chain: 1 to 50 bytes of printable ASCII without spaces. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ChainId(Arc<str>);

impl ChainId {
    /// Reads a chain id as a configuration or a peer wrote it.
    pub fn new(text: &str) -> Result<Self, Refusal> {
        let printable = text.bytes().all(|b| (0x21..=0x7e).contains(&b));
        if text.is_empty() || text.len() > MAX_CHAIN_ID || !printable {
            return Err(Refusal::new(
                RefusalCode::InvalidChainId,
                format!("a chain id is 1 to {MAX_CHAIN_ID} printable ASCII characters without spaces"),
            ));
        }
        Ok(Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Reads a name: 1 to 64 characters of `a-z A-Z 0-9 . _ -`, not starting with `.` or `-`.
            pub fn new(text: &str) -> Result<Self, Refusal> {
                let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
                let starts_plain = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
                if !starts_plain || text.len() > MAX_NAME || !text.bytes().all(plain) {
                    return Err(Refusal::new(
                        RefusalCode::InvalidName,
                        format!("a name is 1 to {MAX_NAME} characters of a-z A-Z 0-9 . _ - and does not begin with . or -"),
                    ));
                }
                Ok(Self(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// What people call a key. Never an identity: rows and records go by the public key.
    KeyName
}
name! {
    /// What the configuration calls a node of a chain.
    NodeName
}
name! {
    /// What people call an API key. No two ever have one, so that records of years ago mean one key.
    ApiKeyName
}

/// The identity of one guard store, drawn at random when it is made (16 bytes). A sealed key names the store it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StoreId(pub [u8; 16]);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// The identity of one backup bundle, drawn at random when it is made (16 bytes).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BundleId(pub [u8; 16]);

impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// A block height: 1 ≤ height < 2^62. The upper bound leaves room for every sum that the guard makes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Height(i64);

impl Height {
    /// The first height of a chain.
    pub const FIRST: Self = Self(1);

    /// Reads a height from the wire.
    pub fn new(height: i64) -> Result<Self, Refusal> {
        if (1..1 << 62).contains(&height) {
            return Ok(Self(height));
        }
        Err(Refusal::new(
            RefusalCode::InvalidHeight,
            format!("height {height} is not within 1 ≤ height < 2^62"),
        ))
    }

    /// The height as a number.
    pub const fn value(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A consensus round: 0 ≤ round < 2^31.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Round(i32);

impl Round {
    /// The round that every height begins with.
    pub const ZERO: Self = Self(0);

    /// Reads a round from the wire.
    pub fn new(round: i32) -> Result<Self, Refusal> {
        if round >= 0 {
            return Ok(Self(round));
        }
        Err(Refusal::new(
            RefusalCode::InvalidRound,
            format!("round {round} is negative"),
        ))
    }

    /// The round as a number.
    pub const fn value(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which edition of the rules judged a request; each reload makes the next one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Seconds since 1970-01-01T00:00:00Z by the local clock. Decides nothing but how far a height may jump.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct UnixSeconds(pub i64);
