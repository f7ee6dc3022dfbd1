//! Tokens cannot be mixed, and a hold lasts exactly as long as any token of its request.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use common::{A, B, GENERATION, NOW, PRECOMMIT, PREVOTE, Signer, chain, key, node, receipt, rules, verified};
use sigward_policies::authz::{NodeGrant, Permit, Rules};
use sigward_policies::decision::{Decision, FailureCode, RefusalCode, Refused};
use sigward_policies::double_sign::{GuardRow, Limits, Slot, Watermark, clear};
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::{ChainId, Generation, Height, NodeName};
use sigward_policies::model::payload::Consensus;
use sigward_policies::proof::{Joined, Mismatch, Received, RequestId, SignOrder, Stored, Unreleased, join};

fn fresh() -> Signer {
    Signer::new(GuardRow::begin(Watermark::Fresh, NOW))
}

fn prevote(height: i64) -> Consensus {
    common::vote(PREVOTE, height, 0, Some(A))
}

fn permit(received: &Received<Consensus>) -> Permit {
    rules().judge(received).into_result().unwrap()
}

fn order(signer: &Signer, request: Consensus) -> SignOrder<Consensus> {
    let received = common::received(request);
    let (permit, cleared) = (permit(&received), signer.clear(&received).unwrap());
    match join(received, permit, cleared).unwrap() {
        Joined::Order(order) => order,
        Joined::Stored(_) => panic!("a key has to sign"),
    }
}

fn stored(signer: &Signer, request: Consensus) -> Stored<Consensus> {
    let received = common::received(request);
    let (permit, cleared) = (permit(&received), signer.clear(&received).unwrap());
    match join(received, permit, cleared).unwrap() {
        Joined::Stored(stored) => stored,
        Joined::Order(_) => panic!("all is stored"),
    }
}

fn unreleased(signer: &mut Signer, request: Consensus) -> Unreleased<Consensus> {
    let order = order(signer, request);
    let signatures = signer.press(order.messages());
    order.signed(signatures).unwrap()
}

#[test]
fn a_permit_of_another_request_does_not_join() {
    let signer = fresh();
    let (mine, other) = (common::received(prevote(1)), common::received(prevote(1)));
    let cleared = signer.clear(&mine).unwrap();
    assert_eq!(
        join(mine, permit(&other), cleared).unwrap_err(),
        Mismatch::Request
    );
    assert!(
        signer.slot.try_hold(Waker::noop()).is_some(),
        "the position is free again"
    );
}

#[test]
fn a_clearance_of_another_request_does_not_join() {
    let signer = fresh();
    let (mine, other) = (common::received(prevote(1)), common::received(prevote(2)));
    let cleared = signer.clear(&other).unwrap();
    let permit = permit(&mine);
    assert_eq!(join(mine, permit, cleared).unwrap_err(), Mismatch::Request);
}

#[test]
fn permit_and_clearance_of_one_request_do_not_join_another() {
    let signer = fresh();
    let (mine, other) = (common::received(prevote(1)), common::received(prevote(2)));
    let (permit, cleared) = (permit(&mine), signer.clear(&mine).unwrap());
    assert_eq!(join(other, permit, cleared).unwrap_err(), Mismatch::Request);
}

#[test]
fn verification_and_receipt_of_another_request_release_nothing() {
    let (mut one, mut other) = (fresh(), fresh());
    let others = unreleased(&mut other, prevote(1));

    let mine = unreleased(&mut one, prevote(1));
    let recorded = one.commit(mine.to_commit()).unwrap();
    let foreign = verified(others.to_verify().unwrap());
    assert_eq!(mine.release(foreign, recorded).unwrap_err(), Mismatch::Request);

    let mut one = fresh();
    let mine = unreleased(&mut one, prevote(1));
    let checked = verified(mine.to_verify().unwrap());
    let foreign = other.commit(others.to_commit()).unwrap();
    assert_eq!(mine.release(checked, foreign).unwrap_err(), Mismatch::Request);
}

#[test]
fn a_stored_signature_is_not_released_by_another_request_s_tokens() {
    let mut signer = fresh();
    signer.sign(&prevote(1)).unwrap();
    let mut double = Signer::new(signer.stored.clone());

    let (mine, others) = (stored(&signer, prevote(1)), stored(&double, prevote(1)));
    let checked = verified(others.to_verify().unwrap());
    let recorded = signer.commit(mine.to_commit()).unwrap();
    assert_eq!(mine.release(checked, recorded).unwrap_err(), Mismatch::Request);

    let mine = stored(&signer, prevote(1));
    let checked = verified(mine.to_verify().unwrap());
    let recorded = double.commit(others.to_commit()).unwrap();
    assert_eq!(mine.release(checked, recorded).unwrap_err(), Mismatch::Request);
}

#[test]
fn signatures_must_fit_the_messages() {
    let signer = fresh();
    let precommit = || {
        let mut raw = common::raw_vote(PRECOMMIT, 1, 0, Some(A));
        raw.extension = common::extension(b"x");
        Consensus::from_vote(&raw, &common::OWN).unwrap()
    };
    let (one, two) = (Some(common::signature(1)), Some(common::signature(2)));
    for (request, message, extension) in [
        (prevote(1), None, None),
        (prevote(1), None, one),
        (prevote(1), one, two),
        (precommit(), one, None),
        (precommit(), None, two),
        (precommit(), None, None),
    ] {
        let mut signatures = fresh().press(order(&signer, request.clone()).messages());
        (signatures.message, signatures.extension) = (message, extension);
        assert_eq!(
            order(&signer, request).signed(signatures).unwrap_err(),
            Mismatch::Shape
        );
    }
    // A repeat with an extension asks the key for the extension alone, and takes no second signature of the vote.
    let mut signer = fresh();
    signer.sign(&precommit()).unwrap();
    let again = order(&signer, precommit());
    assert!(again.messages().message.is_none() && again.messages().extension.is_some());
    let mut signatures = signer.press(again.messages());
    signatures.message = one;
    assert_eq!(again.signed(signatures).unwrap_err(), Mismatch::Shape);
}

#[test]
fn what_is_verified_is_every_signature_that_would_leave() {
    let mut signer = fresh();
    let mut raw = common::raw_vote(PRECOMMIT, 1, 0, Some(A));
    raw.extension = common::extension(b"x");
    let request = Consensus::from_vote(&raw, &common::OWN).unwrap();
    for _ in 0..2 {
        let token = unreleased(&mut signer, request.clone());
        let (verify, commit) = (token.to_verify().unwrap(), token.to_commit());
        assert_eq!(*verify.public_key(), key(1));
        let bytes: Vec<&[u8]> = verify.pairs().iter().map(|(bytes, _)| &**bytes).collect();
        assert_eq!(bytes.len(), 2);
        assert_eq!(bytes[0], commit.sign_bytes());
        let signatures = [verify.pairs()[0].1, verify.pairs()[1].1];
        let receipt = signer.commit(commit).unwrap();
        let reply = token.release(verified(verify), receipt).unwrap().into_reply();
        assert_eq!([reply.signature, reply.extension_signature.unwrap()], signatures);
    }
}

#[test]
fn rules_of_another_generation_judge_nothing() {
    let received = common::received(prevote(1));
    let reloaded = Rules::new(Generation(GENERATION.0 + 1), []);
    match reloaded.judge(&received) {
        Decision::Fail(failure) => assert_eq!(failure.code, FailureCode::RulesChanged),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_the_granted_node_asks_for_the_granted_key_on_its_chain() {
    let (other_chain, other_node) = (ChainId::new("other").unwrap(), NodeName::new("node-2").unwrap());
    let node_2 = Caller::Node {
        chain: chain(),
        node: other_node,
    };
    for (caller, public_key, on) in [
        (node_2, key(1), chain()),
        (node(&other_chain), key(1), chain()),
        (node(&other_chain), key(1), other_chain.clone()),
        (node(&chain()), key(1), other_chain.clone()),
        (node(&chain()), key(2), chain()),
        (Caller::LocalUser { uid: 0 }, key(1), chain()),
        (Caller::Service, key(1), chain()),
    ] {
        let received = Received::new(RequestId::mint(), caller, public_key, on, GENERATION, prevote(1));
        match rules().judge(&received) {
            Decision::Deny(refusal) => assert_eq!(refusal.code, RefusalCode::NotPermitted),
            other => panic!("{other:?}"),
        }
    }
    // Two nodes of one chain with a key each do not get each other's.
    let grant = |node: &str, seed| NodeGrant {
        chain: chain(),
        node: NodeName::new(node).unwrap(),
        key: key(seed),
    };
    let both = Rules::new(GENERATION, [grant("node-1", 1), grant("node-2", 2)]);
    let ask = |seed| {
        Received::new(
            RequestId::mint(),
            node(&chain()),
            key(seed),
            chain(),
            GENERATION,
            prevote(1),
        )
    };
    assert!(both.judge(&ask(1)).into_result().is_ok());
    assert!(both.judge(&ask(2)).into_result().is_err());
    assert!(Rules::new(GENERATION, []).judge(&ask(1)).into_result().is_err());
}

#[test]
fn a_hold_of_another_key_s_or_chain_s_row_clears_nothing() {
    let row = GuardRow::begin(Watermark::Fresh, NOW);
    for (public_key, on) in [(key(2), chain()), (key(1), ChainId::new("other").unwrap())] {
        let slot = Slot::new(public_key, on, row.clone());
        let held = slot.try_hold(Waker::noop()).unwrap();
        match clear(&common::received(prevote(1)), held, Limits::default(), NOW) {
            Decision::Fail(failure) => assert_eq!(failure.code, FailureCode::TokenMismatch),
            other => panic!("{other:?}"),
        }
        assert!(
            slot.try_hold(Waker::noop()).is_some(),
            "the hold ended with the failure"
        );
    }
}

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn the_next_request_waits_until_the_last_token_of_this_one_is_gone() {
    let mut signer = fresh();
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(counter.clone());
    let waits = |signer: &Signer| {
        // Asked twice, woken once.
        assert!(signer.slot.try_hold(&waker).is_none() && signer.slot.try_hold(&waker).is_none());
        assert_eq!(counter.0.load(Ordering::SeqCst), 0);
    };

    let received = common::received(prevote(1));
    let permit = permit(&received);
    let cleared = signer.clear(&received).unwrap();
    waits(&signer);
    let Joined::Order(order) = join(received, permit, cleared).unwrap() else {
        panic!("a key has to sign");
    };
    waits(&signer);
    let signatures = signer.press(order.messages());
    let unreleased = order.signed(signatures).unwrap();
    waits(&signer);
    let (checked, commit) = (verified(unreleased.to_verify().unwrap()), unreleased.to_commit());
    waits(&signer);
    let receipt = signer.commit(commit).unwrap();
    waits(&signer);
    let released = unreleased.release(checked, receipt).unwrap();

    assert_eq!(counter.0.load(Ordering::SeqCst), 1, "the waiter is woken, once");
    let held = signer.slot.try_hold(&waker).unwrap();
    assert_eq!(held.row().watermark.height(), 1, "and sees what was committed");
    drop((held, released));
    assert_eq!(counter.0.load(Ordering::SeqCst), 1, "nobody waited");
}

#[test]
fn a_request_that_is_cancelled_frees_the_position_only_when_the_store_has_answered() {
    let mut signer = fresh();
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(counter.clone());

    let token = unreleased(&mut signer, prevote(1));
    let commit = token.to_commit();
    assert!(signer.slot.try_hold(&waker).is_none());
    // The connection is gone, the commit is under way: whoever comes next must not be judged over the old row.
    drop(token);
    assert_eq!(counter.0.load(Ordering::SeqCst), 0);
    assert!(signer.slot.try_hold(&waker).is_none());
    let row = commit.apply(&signer.stored, &Default::default()).unwrap();
    signer.stored = row.clone();
    let unused = receipt(commit, row);
    assert_eq!(counter.0.load(Ordering::SeqCst), 1);

    let conflict = common::vote(PREVOTE, 1, 0, Some(B));
    assert_eq!(signer.sign(&conflict).unwrap_err().code(), "double_sign_conflict");
    drop(unused);
}

#[test]
fn every_token_gives_the_position_back_when_it_is_dropped() {
    let mut signer = fresh();
    let free = |signer: &Signer| signer.slot.try_hold(Waker::noop()).is_some();
    let received = common::received(prevote(1));
    drop(signer.clear(&received).unwrap());
    assert!(free(&signer));
    drop(order(&signer, prevote(1)));
    assert!(free(&signer));
    drop(unreleased(&mut signer, prevote(1)));
    assert!(free(&signer));
    assert_eq!(
        signer.stored,
        GuardRow::begin(Watermark::Fresh, NOW),
        "nothing was burnt"
    );
    signer.sign(&common::vote(PREVOTE, 1, 0, Some(B))).unwrap();
    drop(stored(&signer, common::vote(PREVOTE, 1, 0, Some(B))));
    assert!(free(&signer));
    assert!(signer.clear(&common::received(prevote(1))).is_err());
    assert!(free(&signer), "a refusal holds nothing");
}

#[test]
fn all_who_wait_are_woken_and_one_of_them_holds() {
    let signer = fresh();
    let held = signer.slot.try_hold(Waker::noop()).unwrap();
    let counters: Vec<Arc<Counter>> = (0..5).map(|_| Arc::default()).collect();
    for counter in &counters {
        assert!(signer.slot.try_hold(&Waker::from(counter.clone())).is_none());
    }
    drop(held);
    assert!(
        counters
            .iter()
            .all(|counter| counter.0.load(Ordering::SeqCst) == 1)
    );
    let winners: Vec<_> = counters
        .iter()
        .filter_map(|counter| signer.slot.clone().try_hold(&Waker::from(counter.clone())))
        .collect();
    assert_eq!(winners.len(), 1);
}

#[test]
fn threads_that_race_for_a_slot_hold_it_one_at_a_time() {
    let slot = fresh().slot;
    let (inside, turns) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut done = 0;
                while done < 500 {
                    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
                    let Some(held) = slot.try_hold(&waker) else {
                        std::thread::park();
                        continue;
                    };
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                    drop(held);
                    done += 1;
                    turns.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(turns.load(Ordering::SeqCst), 2_000, "no wake-up is lost");
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn late_word_of_an_older_commit_does_not_take_a_slot_back() {
    let mut signer = fresh();
    let old = signer.stored.clone();
    signer.sign(&prevote(5)).unwrap();
    let new = signer.stored.clone();
    signer.slot.set(old);
    assert_eq!(*signer.slot.row(), new);
    // An operator's word at the same watermark counts, and a closed height is above the position in it.
    let allowed = new.allowed(Height::new(9).unwrap());
    signer.slot.set(allowed.clone());
    assert_eq!(*signer.slot.row(), allowed);
    let closed = new.closed_to(Height::new(5).unwrap(), NOW);
    signer.slot.set(closed.clone());
    signer.slot.set(new);
    assert_eq!(*signer.slot.row(), closed);
}

#[test]
fn a_store_that_says_no_corrects_memory_and_burns_the_signature() {
    let mut signer = fresh();
    let token = unreleased(&mut signer, prevote(1));
    // Another signer on the same store was faster.
    let mut other = fresh();
    other.sign(&common::vote(PREVOTE, 1, 0, Some(B))).unwrap();
    signer.stored = other.stored;
    let refused = signer.commit(token.to_commit()).unwrap_err();
    assert!(refused.is_conflict() && matches!(refused, Refused::Denied(_)));
    drop(token);
    assert_eq!(*signer.slot.row(), signer.stored);
    assert!(signer.sign(&common::vote(PREVOTE, 1, 0, Some(B))).is_ok());
}

#[test]
fn one_signature_is_committed_once() {
    let mut signer = fresh();
    let token = unreleased(&mut signer, prevote(1));
    let (first, second) = (token.to_commit(), token.to_commit());
    drop(signer.commit(first).unwrap());
    let row = signer.stored.clone();
    assert_eq!(signer.commit(second).unwrap_err().code(), "double_sign_conflict");
    assert_eq!(signer.stored, row);
}

#[test]
fn a_repeat_is_answered_only_with_what_the_store_holds() {
    let mut signer = fresh();
    signer.sign(&prevote(1)).unwrap();
    let token = stored(&signer, prevote(1));
    let Watermark::Signed(mut last) = signer.stored.watermark.clone() else {
        panic!("it signed");
    };
    last.signature = common::signature(99);
    signer.stored.watermark = Watermark::Signed(last);
    let row = signer.stored.clone();
    assert_eq!(
        signer.commit(token.to_commit()).unwrap_err().code(),
        "double_sign_conflict"
    );
    assert_eq!(signer.stored, row);
}

#[test]
fn what_a_row_says_besides_its_watermark_outlives_a_signature() {
    let mut signer = fresh();
    signer.sign(&prevote(1)).unwrap();
    let Watermark::Signed(last) = signer.stored.watermark.clone() else {
        panic!("it signed");
    };
    let stopped = signer.stored.allowed(Height::new(9).unwrap()).stop();
    assert_eq!(stopped.signed(last, NOW), stopped);
}
