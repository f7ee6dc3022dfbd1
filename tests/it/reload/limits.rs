//! A stricter guard is in force for the very next request, on the connection that stands.

use super::stage::{Stage, accept, signed};
use crate::support::fake_node::{Answer, Ask};

#[test]
fn the_next_request_after_the_command_meets_the_stricter_guard() {
    let mut stage = Stage::with_keys(["one"]);
    let mut node = stage.chain("c-1", "one");
    stage.signer.start();
    accept(&mut node);
    signed(&mut node, 1);
    let mut height = 1;
    for jump in [1_000, 500, 100, 50, 20] {
        stage.edit("c-1", |chain| {
            chain.insert("height_jump".to_owned(), jump.into());
            chain.insert("heights_per_second".to_owned(), 1.into());
        });
        let reply = stage.reload();
        assert_eq!(reply["changes"][0]["effect"], "tightens", "{reply}");
        // The rule counts the seconds since the last signature too, one height each: far beyond both is refused on any machine.
        let beyond = Ask::prevote(height + jump + 3_600, 1);
        assert_eq!(node.ask(beyond).refusal(), "height_jump", "jump {jump}");
        height += jump;
        assert!(
            matches!(node.ask(Ask::prevote(height, 1)), Answer::Signed(_)),
            "as far as it may"
        );
    }
    assert_eq!(stage.listed("c-1", "a")["connections"], 1);
}
