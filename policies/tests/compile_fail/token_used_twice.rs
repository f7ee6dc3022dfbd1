//! Each step takes the last step's result by value.

use sigward_policies::authz::Permit;
use sigward_policies::double_sign::{Cleared, Held, Limits, clear};
use sigward_policies::model::id::UnixSeconds;
use sigward_policies::model::payload::Consensus;
use sigward_policies::proof::{
    ConsensusSignatures, Receipt, Received, SignOrder, Unreleased, Verified, join,
};

fn one_permit_two_orders(
    one: Received<Consensus>,
    two: Received<Consensus>,
    permit: Permit,
    cleared: Cleared,
    other: Cleared,
) {
    let _ = join(one, permit, cleared);
    let _ = join(two, permit, other);
}

fn one_order_two_signatures(order: SignOrder<Consensus>, signatures: ConsensusSignatures) {
    let _ = order.signed(signatures.clone());
    let _ = order.signed(signatures);
}

fn one_signature_two_releases(
    token: Unreleased<Consensus>,
    (one, two): (Verified, Verified),
    (first, second): (Receipt<Consensus>, Receipt<Consensus>),
) {
    let _ = token.release(one, first);
    let _ = token.release(two, second);
}

fn one_hold_two_clearances(received: &Received<Consensus>, held: Held, limits: Limits, now: UnixSeconds) {
    let _ = clear(received, held, limits, now);
    let _ = clear(received, held, limits, now);
}

fn main() {}
