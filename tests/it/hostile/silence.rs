//! Nodes that say nothing, or listen to nothing.

use std::io::Write as _;
use std::time::{Duration, Instant};

use super::fake_node::{Listener, framed};
use super::messages::public_key;
use super::stage::{CHAIN, Stage};
use crate::support::standstill::replayed;

/// The handshake has 5 s, an idle connection 12 s, a reply that nobody takes 3 s; together one wait of 12 s.
#[test]
fn a_silent_node_is_left_and_dialled_again() {
    replayed(|| {
        let stage = Stage::new(|home| {
            vec![
                Listener::tcp(),
                Listener::tcp(),
                Listener::unix(home, "idle"),
                Listener::unix(home, "deaf"),
            ]
        });
        let nodes = &stage.nodes;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut wire = nodes[0].accept();
                let began = Instant::now();
                assert_eq!(wire.read_to_close().len(), 35, "its hello and no more");
                within(began, 4..8, "the handshake");
                assert!(nodes[0].connect().lives());
            });
            scope.spawn(|| {
                let mut link = nodes[1].connect();
                assert!(link.lives());
                let began = Instant::now();
                assert!(link.receive().is_none());
                within(began, 11..15, "an idle secret connection");
                assert!(nodes[1].connect().lives());
            });
            scope.spawn(|| {
                let mut wire = nodes[2].accept();
                // Half a request is no sign of life.
                wire.write_all(&[0x85]).unwrap();
                let began = Instant::now();
                assert_eq!(wire.read_to_close(), b"");
                within(began, 11..15, "an idle connection");
                assert!(nodes[2].connect().lives());
            });
            scope.spawn(|| {
                let mut wire = nodes[3].accept();
                let request = framed(&public_key(CHAIN));
                let began = Instant::now();
                // Its answers fill the socket, then it stops reading, then it leaves: the write fails.
                while wire.write_all(&request).is_ok() {
                    assert!(
                        began.elapsed() < Duration::from_secs(14),
                        "sigward reads on for ever"
                    );
                }
                drop(wire);
                assert!(nodes[3].connect().lives());
            });
        });
        stage.finish();
    });
}

fn within(began: Instant, seconds: std::ops::Range<u64>, what: &str) {
    let took = began.elapsed();
    assert!(seconds.contains(&took.as_secs()), "{what} ended after {took:?}");
}
