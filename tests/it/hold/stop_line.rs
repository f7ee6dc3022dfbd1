//! A stop line at H: H − 1 is signed, H is not, whatever its round; cleared, the chain goes on.

use super::assert_refused;
use crate::support::fake_node::Ask;
use crate::support::scene::{CHAIN, Scene};

#[test]
fn nothing_at_or_above_the_line_is_signed_until_it_is_cleared() {
    let mut scene = Scene::new();
    scene.start();
    scene.sign(1..=3);
    scene
        .signer
        .run(&["stop-line", "set", "--chain", CHAIN, "--at", "6"]);
    scene.sign(4..=5);
    assert_refused(&mut scene, Ask::prevote(6, 1), "stop_line");
    assert_refused(&mut scene, Ask::prevote(7, 1), "stop_line");
    scene.signer.kill();
    scene.start();
    assert_refused(&mut scene, Ask::prevote(6, 1), "stop_line");
    let up = ["stop-line", "set", "--chain", CHAIN, "--at", "7"];
    let refused = scene.signer.attempt(&up);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("clear it first"),
        "{said}"
    );
    assert_refused(&mut scene, Ask::prevote(6, 1), "stop_line");
    scene.signer.run(&["stop-line", "clear", "--chain", CHAIN]);
    scene.signer.run(&up);
    scene.sign(6..=6);
    assert_refused(&mut scene, Ask::prevote(7, 1), "stop_line");
    let lines = scene.signer.json(&["stop-line", "list", "--json"]);
    assert_eq!(
        (&lines[0]["height"], &lines[0]["kind"]),
        (&7.into(), &"stop_line".into())
    );
    scene.signer.run(&["stop-line", "clear", "--chain", CHAIN]);
    scene.sign(7..=8);
}
