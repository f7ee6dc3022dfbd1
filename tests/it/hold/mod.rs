//! Holding on: freezes, stop lines and rebindings as an operator gives them, under a node that goes on asking.

mod freeze;
mod reach;
mod rebind;
mod seen;
mod stop_line;

use crate::support::fake_node::{Answer, Ask};
use crate::support::scene::Scene;

/// The node is refused with `code` and stays connected.
fn assert_refused(scene: &mut Scene, ask: Ask, code: &str) {
    match scene.ask(ask) {
        Answer::Refused { text, code: number } => {
            assert!(text.starts_with(code), "{text}");
            assert_eq!(number, 0, "no conflict: {text}");
        }
        other => panic!("{code} was due: {other:?}\n{}", scene.log()),
    }
}
