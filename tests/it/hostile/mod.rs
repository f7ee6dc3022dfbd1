//! What bad input gets: nodes that lie, stall, flood and vanish, against the real program.
//!
//! Every scene has two chains. The first one's nodes are hostile; the second one's node asks for a prevote of every next height from
//! beginning to end. *Invariant of every scene:* the second chain signs on over its first connection, sigward lives, its log tells
//! of no panic, and the first chain's state is what was released and nothing else.

mod bytes;
mod endurance;
mod fake_node;
mod messages;
mod peers;
mod races;
mod requests;
mod silence;
mod stage;
