//! Tokens have private fields: nobody writes one down.

use sigward_policies::authz::Permit;
use sigward_policies::double_sign::Cleared;
use sigward_policies::model::payload::Consensus;
use sigward_policies::proof::{Claim, Receipt, Received, Released, ToCommit, ToVerify, Unreleased};

fn any<T>() -> T {
    loop {}
}

fn main() {
    let _ = Received::<Consensus> { claim: any(), caller: any(), payload: any() };
    let _ = Permit { claim: any() };
    let _ = Cleared { claim: any(), clearing: any() };
    let _ = Unreleased::<Consensus> { matter: any(), signatures: any() };
    let _ = ToVerify { claim: any(), pairs: any() };
    let _ = ToCommit::<Consensus> { matter: any(), signatures: any() };
    let _ = Receipt::<Consensus> { claim: any(), signatures: any() };
    let _ = Released::<Consensus> { reply: any() };
    let _ = Claim { request: any(), key: any(), chain: any(), operation: any(), generation: any() };
}
