//! Two nodes with one key, at the same moment.

use std::sync::Barrier;

use sigward_proto::cometbft::RemoteSignerError;
use sigward_proto::cometbft::Vote;

use super::fake_node::{Link, Listener};
use super::messages::{PREVOTE, sign_vote, signed_vote, vote};
use super::stage::{CHAIN, Stage};
use crate::support::standstill::replayed;

const ROUNDS: i64 = 200;

type Answers = Vec<Result<Vote, RemoteSignerError>>;

/// Both nodes ask for a prevote of the same height, for the block that `salt` says, `ROUNDS` times.
fn race(salt: impl Fn(u8) -> u8 + Sync) -> (Answers, Answers) {
    let stage = Stage::new(|home| vec![Listener::unix(home, "a"), Listener::tcp()]);
    let start = Barrier::new(2);
    let run = |mut link: Link, node: u8| -> Answers {
        (1..=ROUNDS)
            .map(|height| {
                let request = sign_vote(CHAIN, vote(PREVOTE, height, salt(node)));
                start.wait();
                let answer = signed_vote(link.ask(&request));
                // Nobody is a height ahead of the other.
                start.wait();
                answer
            })
            .collect()
    };
    let both = std::thread::scope(|scope| {
        let other = scope.spawn(|| run(stage.nodes[1].connect(), 2));
        (run(stage.nodes[0].connect(), 1), other.join().unwrap())
    });
    stage.finish();
    both
}

#[test]
fn the_same_request_of_two_nodes_at_once_gets_one_signature() {
    replayed(|| {
        let (a, b) = race(|_| 7);
        for (a, b) in a.into_iter().zip(b) {
            assert_eq!(a.unwrap(), b.unwrap());
        }
    });
}

#[test]
fn of_two_conflicting_requests_at_once_exactly_one_is_signed() {
    replayed(|| {
        let (a, b) = race(|node| node);
        for (height, pair) in (1..).zip(a.into_iter().zip(b)) {
            match pair {
                (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => assert_eq!(refused.code, 2, "{refused:?}"),
                (Ok(_), Ok(_)) => panic!("TWO MESSAGES at height {height}"),
                (Err(a), Err(b)) => panic!("nobody at height {height}: {a:?}, {b:?}"),
            }
        }
    });
}
