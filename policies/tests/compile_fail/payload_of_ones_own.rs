//! Only `policies` says what can be signed: there is no payload of raw bytes.

use sigward_policies::model::id::ChainId;
use sigward_policies::model::operation::Operation;
use sigward_policies::proof::{Pair, Payload};

#[derive(Clone)]
struct RawBytes;

impl Payload for RawBytes {
    type Messages = ();
    type Signatures = ();
    type Clearing = ();
    type Reply = ();

    fn operation(&self) -> Operation {
        Operation::SignPrevote
    }
    fn messages(&self, _: &ChainId, _: &()) {}
    fn needs_key(_: &()) -> bool {
        true
    }
    fn nothing_signed() {}
    fn pairs(_: &(), _: &(), _: &()) -> Option<Vec<Pair>> {
        None
    }
    fn reply(&self, _: &(), _: ()) -> Option<()> {
        None
    }
}

fn main() {}
