//! An unreleased signature has no reader.

use sigward_policies::model::payload::Consensus;
use sigward_policies::proof::{Stored, Unreleased};

fn read(token: Unreleased<Consensus>, stored: Stored<Consensus>) {
    let _ = token.signatures;
    let _ = token.signatures();
    let _ = token.matter;
    let _ = token.into_reply();
    let _ = stored.0;
    let _ = stored.into_reply();
}

fn main() {}
