//! Bearer tokens: who asks, by a token that was signed for one request only (RFC 7519, RFC 8725, and the ideas of RFC 9449).
//! May import `hsm` (to verify; to sign one's own), `config` and `tls` (files), and `policies`.
//!
//! `token` reads what was sent, `issuers` knows whose word counts, `replays` remembers what was shown, `judge` puts them in order,
//! `mint` makes tokens. `listener` calls [`Bearer::of_head`] before it reads a body and [`Bearer::of_body`] after it.
//!
//! # Invariants
//! * The algorithm is EdDSA, whatever a token says; the key is one that the configuration names, whatever a token brings along.
//! * A token is good for one method, one path, one body, one server and five minutes at most; it is used up by being shown, and one of
//!   before this process started is never good: there is nothing that would remember whether it was shown. When that was is judged by a
//!   clock that nobody sets, too: the other one may have been behind.
//! * A token that was shown is remembered until it has expired. Where there is no room for that, it is refused.
//! * Whether an issuer, a subject or a token is revoked is asked for every request, of the edition that is in force then.

use sigward_policies::decision::{Refusal, RefusalCode};

mod began;
mod issuers;
mod judge;
mod mint;
mod replays;
#[cfg(test)]
mod tests;
mod token;

pub use began::{Began, Passed};
pub use issuers::{Issuers, key_id, public_key_der};
pub use judge::{Bearer, Head, Shown, the_one};
pub use mint::{Mint, MintError};
pub use token::{Claims, MAX_TOKEN, Token};

/// What a token is (`typ`), so that no other one of the same issuer passes for it (RFC 8725, section 3.11).
pub const TYPE: &str = "sigward-request+jwt";
/// The one algorithm (RFC 8037, section 3.1).
pub const ALGORITHM: &str = "EdDSA";
/// How long a token may be good for, in seconds.
pub const MAX_LIFE: i64 = 300;
/// How far the clock of an issuer may be from ours, in seconds. So long after its start sigward refuses every token: one from the
/// clock's other side may have been shown before.
pub const SKEW: i64 = 5;

fn refused(why: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::TokenRefused, why)
}
