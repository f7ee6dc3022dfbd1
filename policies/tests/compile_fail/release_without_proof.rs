//! Both proofs, of the right kind, or no release.

use sigward_policies::model::payload::Consensus;
use sigward_policies::proof::{Receipt, Stored, ToCommit, ToVerify, Unreleased, Verified};

fn without_a_receipt(token: Unreleased<Consensus>, verified: Verified) {
    let _ = token.release(verified);
}

fn without_a_verification(token: Unreleased<Consensus>, receipt: Receipt<Consensus>) {
    let _ = token.release(receipt);
}

fn before_the_work_is_done(token: Unreleased<Consensus>, verify: ToVerify, commit: ToCommit<Consensus>) {
    let _ = token.release(verify, commit);
}

fn stored_without_a_verification(token: Stored<Consensus>, receipt: Receipt<Consensus>) {
    let _ = token.release(receipt);
}

fn main() {}
