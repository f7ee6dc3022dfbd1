//! Who comes first, and how many wait. No clock, no disk: the queue is asked what is next.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::store::sqlite::tests::{act, batch, begin, chain, fresh, message};

type Names = Queue<String, u32>;

fn vote(n: u32) -> Batch {
    batch(n, &chain("one"), &message(5, 0, 2, 1, 10), fresh())
}

fn record() -> Batch {
    Batch::record(vec![act()])
}

fn put(queue: &mut Names, batch: Batch, name: impl Into<String>) {
    queue.push(batch, 500, name.into()).unwrap();
}

/// What is committed next, by name.
fn commit(queue: &mut Names, most: usize) -> Vec<String> {
    match queue.next(most) {
        Turn::Commit(group) => group.into_iter().map(|(_, name)| name).collect(),
        Turn::Look(_) | Turn::Rest => Vec::new(),
    }
}

fn is_look(queue: &mut Names) -> bool {
    matches!(queue.next(16), Turn::Look(_))
}

#[test]
fn signatures_come_before_acts_and_acts_before_records() {
    let mut queue = Names::default();
    put(&mut queue, record(), "record 1");
    put(&mut queue, begin(1, &chain("one")), "act 1");
    put(&mut queue, vote(1), "vote 1");
    put(&mut queue, record(), "record 2");
    put(&mut queue, vote(2), "vote 2");
    assert_eq!(
        commit(&mut queue, 16),
        ["vote 1", "vote 2", "act 1", "record 1", "record 2"]
    );
    assert!(matches!(queue.next(16), Turn::Rest));
}

#[test]
fn whoever_floods_with_records_adds_a_bounded_number_to_a_commit_and_waits_in_bounded_numbers() {
    let mut queue = Names::default();
    let mut refused = 0;
    for n in 0..5000 {
        if let Err((waiter, lane)) = queue.push(record(), 500, n.to_string()) {
            assert_eq!((waiter, lane), (n.to_string(), Lane::Records));
            refused += 1;
        }
    }
    assert_eq!(refused, 5000 - MOST.records);
    // An operator's act has places of its own, and a signature is always taken in.
    put(&mut queue, begin(1, &chain("one")), "act");
    put(&mut queue, vote(1), "vote");
    let group = commit(&mut queue, 512);
    assert_eq!(group.len(), 1 + BESIDE);
    assert_eq!(group[..3], ["vote", "act", "0"]);
    for n in 0..2 * u32::try_from(MOST.records).unwrap() {
        put(&mut queue, vote(n), "vote");
    }
}

#[test]
fn a_flood_of_signatures_leaves_a_place_for_an_act() {
    let mut queue = Names::default();
    for n in 0..40 {
        put(&mut queue, vote(n), format!("vote {n}"));
    }
    put(&mut queue, begin(1, &chain("two")), "act");
    let group = commit(&mut queue, 16);
    assert_eq!((group.len(), group.last().unwrap().as_str()), (16, "act"));
    assert_eq!(commit(&mut queue, 1), ["vote 15"]);
    put(&mut queue, record(), "record");
    assert_eq!(
        commit(&mut queue, 1),
        ["vote 16"],
        "the only place is a signature's"
    );
}

#[test]
fn looks_wait_for_what_is_committed_and_are_not_forgotten() {
    let mut queue = Names::default();
    for n in 0..u32::try_from(MOST.looks).unwrap() {
        queue.push_look(n).unwrap();
    }
    assert!(queue.push_look(0).is_err());
    assert!(is_look(&mut queue), "nobody else waits");
    for _ in 0..3 {
        let mut commits = 0;
        loop {
            put(&mut queue, vote(1), "vote");
            match queue.next(1) {
                Turn::Commit(_) => commits += 1,
                Turn::Look(_) => break,
                Turn::Rest => unreachable!(),
            }
        }
        assert!((1..=PATIENCE).contains(&commits), "{commits}");
        while !commit(&mut queue, 1).is_empty() {}
    }
    assert!(!queue.abandon_looks().is_empty());
    assert!(queue.is_empty());
}

#[test]
fn a_look_ends_for_a_signature_that_comes_and_for_nothing_else() {
    let mut queue = Names::default();
    queue.push_look(1).unwrap();
    assert!(is_look(&mut queue));
    put(&mut queue, record(), "record");
    put(&mut queue, begin(1, &chain("one")), "act");
    assert!(!queue.cuts_look(), "a record or an act waits for it");
    put(&mut queue, vote(1), "vote");
    assert!(queue.cuts_look());
    assert_eq!(commit(&mut queue, 16), ["vote", "act", "record"]);
    assert!(!queue.cuts_look(), "the signature has been served");
}

#[test]
fn a_look_that_had_to_wait_for_its_turn_has_all_of_it() {
    let mut queue = Names::default();
    queue.push_look(1).unwrap();
    for n in 0..PATIENCE {
        put(&mut queue, vote(n), n.to_string());
        assert_eq!(commit(&mut queue, 16), [n.to_string()]);
    }
    put(&mut queue, vote(100), "vote");
    assert!(is_look(&mut queue));
    assert!(!queue.cuts_look());
    put(&mut queue, vote(101), "another");
    assert!(!queue.cuts_look());
}

#[test]
fn a_commit_is_filled_by_weight_and_what_is_large_comes_alone_and_is_not_passed_over() {
    let mut queue = Names::with_room(1 << 20);
    for n in 0..1000 {
        queue.push(vote(1), 4096, format!("vote {n}")).unwrap();
    }
    for (name, weight) in [
        ("large", 1_000_000),
        ("other", 200_000),
        ("third", 100_000),
        ("small", 500),
    ] {
        queue
            .push(begin(1, &chain("one")), weight, name.to_owned())
            .unwrap();
    }
    let mut seen = Vec::new();
    for _ in 0..6 {
        let group = commit(&mut queue, 512);
        assert!(!group.is_empty() && group.len() <= 256, "{}", group.len());
        seen.push(
            group
                .into_iter()
                .filter(|name| !name.starts_with("vote"))
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(seen[..3], [vec!["large"], vec!["other"], vec!["third", "small"]]);
}

#[test]
fn who_follows_a_commit_has_always_room_and_a_turn_before_the_next_but_one_alone_between_two_of_signatures() {
    let mut queue = Names::default();
    while queue.push_look(0).is_ok() {}
    for n in 1..=3 {
        queue.push_follower(n);
    }
    put(&mut queue, begin(1, &chain("one")), "act");
    for n in 0..3 {
        put(&mut queue, vote(n), format!("vote {n}"));
    }
    let mut turns = Vec::new();
    for _ in 0..7 {
        turns.push(match queue.next(2) {
            Turn::Commit(group) => group
                .into_iter()
                .map(|(_, name)| name)
                .collect::<Vec<_>>()
                .join(" "),
            Turn::Look(name) => name.to_string(),
            Turn::Rest => String::new(),
        });
    }
    assert_eq!(turns, ["1", "vote 0 act", "2", "vote 1 vote 2", "3", "0", "0"]);
}
