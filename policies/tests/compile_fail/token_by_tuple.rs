//! The same for tokens that are tuples.

use sigward_policies::double_sign::Held;
use sigward_policies::model::payload::Consensus;
use sigward_policies::proof::{RequestId, SignOrder, Stored, Verified};

fn any<T>() -> T {
    loop {}
}

fn main() {
    let _ = RequestId(any());
    let _ = Held(any());
    let _ = SignOrder::<Consensus>(any());
    let _ = Stored::<Consensus>(any());
    let _ = Verified(any());
}
