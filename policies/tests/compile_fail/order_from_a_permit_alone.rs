//! A permit is no order, and neither is a clearance.

use sigward_policies::authz::Permit;
use sigward_policies::double_sign::Cleared;
use sigward_policies::model::payload::Consensus;
use sigward_policies::proof::{Received, SignOrder, join};

fn without_clearance(received: Received<Consensus>, permit: Permit) {
    let _ = join(received, permit);
}

fn without_permit(received: Received<Consensus>, cleared: Cleared) {
    let _ = join(received, cleared);
}

fn by_conversion(permit: Permit) -> SignOrder<Consensus> {
    permit.into()
}

fn main() {}
