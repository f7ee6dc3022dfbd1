//! By what a caller proved who it is, and until when that is good: for records, and for telling it so. Nothing is decided by it.

use sigward_policies::model::authentication::Authentication;
use sigward_policies::model::id::UnixSeconds;

/// What was shown, where it was no connection of this machine's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Means {
    /// What.
    pub by: Authentication,
    /// The last second in which a certificate is good, or a token; from when on an API key counts no more.
    pub ends: UnixSeconds,
}
