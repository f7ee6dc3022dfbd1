//! Tokens are not copied: what was proved once is proved once.

use sigward_policies::authz::Permit;
use sigward_policies::double_sign::Cleared;
use sigward_policies::double_sign::Held;
use sigward_policies::model::payload::Consensus;
use sigward_policies::proof::{
    Receipt, Received, Released, RequestId, SignOrder, Stored, ToCommit, ToVerify, Unreleased, Verified,
};

fn is_clone<T: Clone>() {}

fn main() {
    is_clone::<RequestId>();
    is_clone::<Held>();
    is_clone::<Received<Consensus>>();
    is_clone::<Permit>();
    is_clone::<Cleared>();
    is_clone::<SignOrder<Consensus>>();
    is_clone::<Stored<Consensus>>();
    is_clone::<Unreleased<Consensus>>();
    is_clone::<ToVerify>();
    is_clone::<ToCommit<Consensus>>();
    is_clone::<Verified>();
    is_clone::<Receipt<Consensus>>();
    is_clone::<Released<Consensus>>();
}
