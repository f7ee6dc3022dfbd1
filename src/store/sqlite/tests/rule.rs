//! The store's word is the pure rule's word: every short history, and many threads.

use std::collections::HashMap;
use std::sync::Barrier;

use sigward_policies::double_sign::{LastSigned, Verdict, judge};
use sigward_policies::model::sign_bytes;

use super::*;

/// Sends all batches, waits for all outcomes, in order.
fn wave(store: &dyn Store, batches: Vec<Batch>) -> Vec<Result<Receipts, Refused>> {
    let told: Vec<_> = batches
        .into_iter()
        .map(|batch| {
            let (tell, told) = channel();
            store.commit(batch, Box::new(move |outcome| tell.send(outcome).unwrap()));
            told
        })
        .collect();
    told.into_iter().map(|told| told.recv().unwrap()).collect()
}

fn model_signed(row: &GuardRow, on: &ChainId, request: &Consensus) -> GuardRow {
    let commit = signed(0, on, request, fresh()).unwrap();
    let last = LastSigned {
        position: request.message().position(),
        sign_bytes: sign_bytes::of_message(request.message(), on),
        timestamp: request.message().timestamp(),
        signature: commit.signatures().message.unwrap(),
        extension_digest: None,
    };
    row.signed(last, NOW)
}

/// Plays every history of `length` messages out of `alphabet`, each with a key of its own; memory knows nothing of any of them.
fn every_history(alphabet: &[Consensus], length: usize) {
    let (_home, store) = Home::open();
    let on = chain("test-chain");
    let count = alphabet.len().pow(u32::try_from(length).unwrap());
    // Not more at once than may wait.
    for some in (0..count).collect::<Vec<_>>().chunks(100) {
        let keys = some.iter().map(|n| begin(u32::try_from(*n).unwrap(), &on));
        assert!(wave(&*store, keys.collect()).iter().all(Result::is_ok));
    }
    let mut model = vec![fresh(); count];
    for at in 0..length {
        let letter =
            |n: usize| &alphabet[n / alphabet.len().pow(u32::try_from(at).unwrap()) % alphabet.len()];
        let batches = (0..count).map(|n| batch(u32::try_from(n).unwrap(), &on, letter(n), fresh()));
        let answers = wave(&*store, batches.collect());
        let mut repeats = Vec::new();
        for (n, answer) in answers.into_iter().enumerate() {
            match judge(
                &model[n],
                &Default::default(),
                letter(n),
                &on,
                &Limits::default(),
                NOW,
            ) {
                Verdict::Sign => {
                    assert!(answer.unwrap().signature.is_some());
                    model[n] = model_signed(&model[n], &on, letter(n));
                }
                // A second signature for the same message was made by a memory that forgot the first: it never leaves.
                Verdict::Repeat => {
                    assert_eq!(code(answer), "double_sign_conflict");
                    repeats.push(batch(u32::try_from(n).unwrap(), &on, letter(n), model[n].clone()));
                }
                Verdict::Refuse(refusal) => assert_eq!(code(answer), refusal.code.as_str()),
            }
        }
        assert!(wave(&*store, repeats).iter().all(Result::is_ok));
    }
    let rows: HashMap<_, _> = store
        .rows()
        .unwrap()
        .into_iter()
        .map(|row| (row.public_key, row.row))
        .collect();
    for (n, expected) in model.iter().enumerate() {
        assert_eq!(&rows[&public_key(u32::try_from(n).unwrap())], expected);
    }
    let same = store.ask(|writer| Ok(writer.compare_with_tables().is_ok()));
    assert!(same.unwrap(), "memory is what the tables say");
    one_message_a_position(&*store);
}

fn one_message_a_position(store: &dyn Store) {
    let mut taken = HashMap::new();
    let mut from = 1;
    loop {
        let page = store.audit(from, 1000).unwrap();
        let Some(last) = page.last() else { break };
        from = last.sequence + 1;
        for entry in page
            .into_iter()
            .map(|record| record.entry)
            .filter(|entry| entry.position.is_some())
        {
            let place = (entry.key, entry.chain, entry.position);
            let digest = entry.request_digest.unwrap();
            assert_eq!(*taken.entry(place).or_insert(digest), digest);
        }
    }
    assert!(!taken.is_empty());
}

#[test]
fn every_history_of_two_messages_is_answered_as_the_pure_rule_says() {
    let mut alphabet = Vec::new();
    for (height, round) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
        for step in 1..=3 {
            for block in u8::from(step == 1)..=2 {
                for seconds in [10, 11] {
                    alphabet.push(message(height, round, step, block, seconds));
                }
            }
        }
    }
    assert_eq!(alphabet.len(), 64);
    every_history(&alphabet, 2);
}

#[test]
fn every_history_of_three_messages_is_answered_as_the_pure_rule_says() {
    let mut alphabet = Vec::new();
    for (height, round) in [(1, 0), (1, 1), (2, 0)] {
        for step in 1..=3 {
            alphabet.push(message(height, round, step, 1, 10));
            alphabet.push(message(height, round, step, 1, 11));
            alphabet.push(message(height, round, step, if step == 1 { 2 } else { 0 }, 10));
        }
    }
    assert_eq!(alphabet.len(), 27);
    every_history(&alphabet, 3);
}

#[test]
fn of_many_threads_one_wins_each_position() {
    let (_home, store) = Home::open();
    let on = chain("test-chain");
    commit(&*store, begin(1, &on)).unwrap();
    let threads = 8;
    let barrier = Barrier::new(threads);
    for height in 1..=50 {
        let wins: usize = std::thread::scope(|scope| {
            let race = |block| {
                let (store, on, barrier) = (&store, &on, &barrier);
                scope.spawn(move || {
                    let batch = batch(1, on, &message(height, 0, 2, block, 10), fresh());
                    barrier.wait();
                    usize::from(commit(&**store, batch).is_ok())
                })
            };
            let racing: Vec<_> = (1..=u8::try_from(threads).unwrap()).map(race).collect();
            racing.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(wins, 1, "height {height}");
    }
    one_message_a_position(&*store);
}

#[test]
fn memory_is_told_what_the_store_holds_when_the_store_says_no() {
    let (_home, store) = Home::open();
    let on = chain("test-chain");
    commit(&*store, begin(1, &on)).unwrap();
    sign(&*store, 1, &on, &message(5, 0, 2, 1, 10)).unwrap();
    let slot = Slot::new(public_key(1), on.clone(), fresh());
    let node = NodeName::new("node").unwrap();
    let rules = Rules::new(
        Generation(1),
        [NodeGrant {
            chain: on.clone(),
            node: node.clone(),
            key: public_key(1),
        }],
    );
    let caller = Caller::Node {
        chain: on.clone(),
        node,
    };
    let request = message(4, 0, 2, 2, 10);
    let received = Received::new(
        RequestId::mint(),
        caller,
        public_key(1),
        on.clone(),
        Generation(1),
        request,
    );
    let permit = rules.judge(&received).into_result().unwrap();
    let cleared = clear(
        &received,
        slot.try_hold(Waker::noop()).unwrap(),
        Limits::default(),
        NOW,
    )
    .into_result()
    .unwrap();
    let Joined::Order(order) = join(received, permit, cleared).unwrap() else {
        panic!("an order")
    };
    let signatures = ConsensusSignatures {
        message: Some(Signature([1; 64])),
        extension: None,
    };
    let unreleased = order.signed(signatures).unwrap();
    let request = unreleased.to_commit();
    let entry = record_of(&request);
    assert_eq!(
        code(commit(&*store, Batch::sign(request, entry))),
        "height_regression"
    );
    assert_eq!(slot.row().watermark.height(), 5);
}
