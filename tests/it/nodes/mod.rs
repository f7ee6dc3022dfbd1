//! Real CometBFT nodes, both lines, whose validator key only sigward holds. Whatever is done to the signer or to the node: blocks
//! grow again, and no two different messages were signed for one position.

mod blocks;
mod crashes;
mod import;
mod reference;
mod refused;
mod reset;
mod stage;
mod two_nodes;
