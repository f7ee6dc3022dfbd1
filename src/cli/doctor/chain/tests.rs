//! The table: one healthy answer, and what each thing that differs from it is called.

#![allow(clippy::unwrap_used)]

use sigward_policies::model::id::ChainId;

use super::super::finding::Status::{self, Failure, Note, Ok as Good, Warning};
use super::*;
use crate::chain::cometbft::{BlockIdFlag, CommitSignature, Validator};

const US: Address = Address([1; 20]);

fn public_key(byte: u8) -> PublicKey {
    PublicKey::new(Algorithm::Ed25519, &[byte; 32]).unwrap()
}

fn commit(height: u64, signer: Option<Address>) -> Commit {
    let flag = if signer.is_some() {
        BlockIdFlag::Commit
    } else {
        BlockIdFlag::Absent
    };
    Commit {
        chain_id: ChainId::new("c-1").unwrap(),
        height,
        time: jiff::Timestamp::UNIX_EPOCH,
        round: 0,
        canonical: true,
        signatures: vec![CommitSignature {
            flag,
            validator: signer,
            timestamp: None,
        }],
    }
}

fn healthy() -> (Answers, Ours) {
    let answers = Answers {
        status: NodeStatus {
            chain_id: ChainId::new("c-1").unwrap(),
            version: "0.38.25".into(),
            latest_height: 1000,
            latest_time: jiff::Timestamp::UNIX_EPOCH,
            earliest_height: 1,
            catching_up: false,
            validator_address: Some(US),
            validator_public_key: Some(public_key(1)),
            voting_power: 10,
        },
        validators: Ok(ValidatorSet {
            height: 1000,
            validators: vec![Validator {
                address: US,
                public_key: Some(public_key(1)),
                voting_power: 10,
            }],
        }),
        commits: Ok(vec![commit(999, Some(US)), commit(1000, Some(US))]),
    };
    let row = Row {
        kind: SignStateKind::Signed,
        height: 1001,
        allow_until: 0,
        idle: 1,
    };
    let ours = Ours {
        name: "k".into(),
        public_key: public_key(1),
        address: US,
        row: Some(row),
    };
    (answers, ours)
}

fn found(answers: Result<Answers, String>, ours: Option<Ours>, node: Option<&str>) -> Vec<Finding> {
    let question = Question {
        chain: "c-1".into(),
        node: node.map(str::to_owned),
        url: "http://h:1".into(),
    };
    judge(&Facts {
        question,
        answers,
        ours,
        limits: Limits::default(),
    })
}

fn verdict(change: impl FnOnce(&mut Answers, &mut Ours), check: Check) -> Option<Status> {
    let (mut answers, mut ours) = healthy();
    change(&mut answers, &mut ours);
    let found = found(Ok(answers), Some(ours), Some("n"));
    found.iter().find(|f| f.check == check).map(|f| f.status)
}

/// Sets the row.
fn at(kind: SignStateKind, height: i64) -> impl FnOnce(&mut Answers, &mut Ours) {
    move |_, ours| {
        ours.row = Some(Row {
            kind,
            height,
            allow_until: 0,
            idle: 0,
        })
    }
}

#[test]
fn a_healthy_chain_has_nothing_to_complain_about() {
    let (answers, ours) = healthy();
    let all = found(Ok(answers), Some(ours), Some("n"));
    assert!(
        all.iter().all(|f| f.status == Good && f.about == "c-1/n"),
        "{all:?}"
    );
    assert_eq!(all.len(), 8);
}

#[test]
fn each_thing_that_differs_has_its_name() {
    use SignStateKind::{Closed, Exported, Fresh, Signed};
    type Change = Box<dyn FnOnce(&mut Answers, &mut Ours)>;
    let table: Vec<(Change, Check, Status)> = vec![
        (
            Box::new(|a, _| a.status.chain_id = ChainId::new("c-2").unwrap()),
            Check::ChainId,
            Failure,
        ),
        (
            Box::new(|a, _| a.status.catching_up = true),
            Check::ChainSyncing,
            Note,
        ),
        (
            Box::new(|a, _| a.status.validator_public_key = Some(public_key(2))),
            Check::ChainKey,
            Failure,
        ),
        (
            Box::new(|a, _| a.status.validator_public_key = None),
            Check::ChainKey,
            Failure,
        ),
        (
            Box::new(|a, _| a.validators = Err("no".into())),
            Check::ChainValidator,
            Note,
        ),
        (
            Box::new(|a, _| a.validators.as_mut().unwrap().validators.clear()),
            Check::ChainValidator,
            Warning,
        ),
        (
            Box::new(|a, _| {
                a.validators.as_mut().unwrap().validators.clear();
                a.status.catching_up = true;
            }),
            Check::ChainValidator,
            Note,
        ),
        (Box::new(at(Signed, 999)), Check::ChainOtherSigner, Failure),
        (Box::new(at(Signed, 1000)), Check::ChainOtherSigner, Good),
        (Box::new(at(Fresh, 0)), Check::ChainOtherSigner, Failure),
        (Box::new(at(Exported, 500)), Check::ChainOtherSigner, Good),
        (Box::new(|_, o| o.row = None), Check::ChainOtherSigner, Failure),
        (
            Box::new(|a, _| a.commits = Ok(vec![commit(1000, None)])),
            Check::ChainOtherSigner,
            Good,
        ),
        (
            Box::new(|a, _| a.commits = Ok(vec![commit(9999, Some(Address([2; 20])))])),
            Check::ChainOtherSigner,
            Good,
        ),
        (
            Box::new(|a, _| a.commits = Err("no".into())),
            Check::ChainOtherSigner,
            Note,
        ),
        (Box::new(at(Fresh, 0)), Check::ChainWatermark, Good),
        (Box::new(at(Signed, 1002)), Check::ChainWatermark, Good),
        (Box::new(at(Signed, 1003)), Check::ChainWatermark, Warning),
        (Box::new(at(Signed, 990)), Check::ChainWatermark, Good),
        (Box::new(at(Signed, 989)), Check::ChainWatermark, Warning),
        (Box::new(at(Closed, 5)), Check::ChainWatermark, Good),
        (Box::new(at(Exported, 5)), Check::ChainWatermark, Note),
        (
            Box::new(|a, o| {
                a.status.latest_height = 200_000;
                o.row = Some(Row {
                    kind: Closed,
                    height: 99_999,
                    allow_until: 0,
                    idle: 0,
                });
            }),
            Check::ChainWatermark,
            Failure,
        ),
        (
            Box::new(|a, o| {
                a.status.latest_height = 200_000;
                o.row = Some(Row {
                    kind: Closed,
                    height: 100_000,
                    allow_until: 300_000,
                    idle: 0,
                });
            }),
            Check::ChainWatermark,
            Good,
        ),
        (
            Box::new(|a, o| {
                a.status.latest_height = u64::MAX;
                o.row = Some(Row {
                    kind: Signed,
                    height: i64::MAX,
                    allow_until: i64::MAX,
                    idle: i64::MAX,
                });
            }),
            Check::ChainWatermark,
            Good,
        ),
        (
            Box::new(|a, _| a.status.version = "0.38.16".into()),
            Check::ChainVersion,
            Warning,
        ),
        (
            Box::new(|a, _| a.status.version = "1.0.0".into()),
            Check::ChainVersion,
            Warning,
        ),
        (
            Box::new(|a, _| a.status.version = "v1.0.1-rc1".into()),
            Check::ChainVersion,
            Good,
        ),
        (
            Box::new(|a, _| a.status.version = "0.34.24".into()),
            Check::ChainVersion,
            Good,
        ),
        (
            Box::new(|a, _| a.status.version = "0.33.0".into()),
            Check::ChainVersion,
            Note,
        ),
        (
            Box::new(|a, _| a.status.version = "rubbish".into()),
            Check::ChainVersion,
            Note,
        ),
    ];
    for (row, (change, check, status)) in table.into_iter().enumerate() {
        assert_eq!(verdict(change, check), Some(status), "row {row}: {check}");
    }
}

#[test]
fn somebody_elses_node_need_not_sign_with_our_key() {
    let (mut answers, ours) = healthy();
    answers.status.validator_public_key = Some(public_key(9));
    let all = found(Ok(answers), Some(ours), None);
    assert!(
        all.iter().all(|f| f.check != Check::ChainKey && f.status == Good),
        "{all:?}"
    );
}

#[test]
fn no_answer_is_a_finding() {
    let all = found(Err("rpc_timeout: no answer".into()), None, Some("n"));
    assert_eq!(
        all.iter().map(|f| (f.check, f.status)).collect::<Vec<_>>(),
        [(Check::ChainRpc, Warning)]
    );
}
