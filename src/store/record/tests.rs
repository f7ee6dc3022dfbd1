//! Whatever is encoded decodes to itself, and nothing else decodes; both forms.

use super::*;
use proptest::prelude::*;
use sigward_policies::authz::{PolicyVersion, RuleId, Ruling};
use sigward_policies::model::algorithm::Algorithm;
use sigward_policies::model::authentication::{Authentication, CredentialId};
use sigward_policies::model::id::{Height, Round};
use sigward_policies::model::payload::Step;
use sigward_policies::model::trace::TraceId;

fn entry() -> impl Strategy<Value = AuditEntry> {
    let place = (
        proptest::option::of(any::<[u8; 32]>()),
        proptest::option::of("[a-z0-9-]{1,50}"),
        proptest::option::of((1i64..1 << 62, 0i32..=i32::MAX, 1u8..=3)),
    );
    let digests = (
        proptest::option::of(any::<[u8; 32]>()),
        proptest::option::of(any::<[u8; 32]>()),
    );
    let rest = (any::<u32>(), proptest::option::of(1..=u32::MAX), context());
    (
        any::<i64>(),
        ".{0,300}",
        ".{0,80}",
        place,
        1u8..=4,
        ".{0,80}",
        digests,
        rest,
    )
        .prop_map(
            |(
                time_micros,
                subject,
                operation,
                (key, chain, position),
                outcome,
                reason,
                digests,
                (count, key_version, context),
            )| {
                AuditEntry {
                    time_micros,
                    subject,
                    operation,
                    key: key.map(|raw| PublicKey::new(Algorithm::Ed25519, &raw).unwrap()),
                    chain: chain.map(|text| ChainId::new(&text).unwrap()),
                    position: position.map(|(height, round, step)| Position {
                        height: Height::new(height).unwrap(),
                        round: Round::new(round).unwrap(),
                        step: Step::from_value(step).unwrap(),
                    }),
                    outcome: Outcome::from_number(outcome).unwrap(),
                    reason,
                    request_digest: digests.0,
                    signature_digest: digests.1,
                    count,
                    key_version,
                    context,
                }
            },
        )
}

fn context() -> impl Strategy<Value = Context> {
    let id = |text: String| CredentialId::new(&text).unwrap();
    let authenticated = prop_oneof![
        Just(Authentication::Service),
        Just(Authentication::Dialled),
        Just(Authentication::PeerCredentials),
        Just(Authentication::ThisProcess),
        any::<[u8; 32]>().prop_map(|sha256| Authentication::Certificate { sha256 }),
        "[!-~]{1,128}".prop_map(move |text| Authentication::Token { key: id(text) }),
        "[!-~]{1,128}".prop_map(move |text| Authentication::ApiKey { id: id(text) }),
    ];
    let ruling = prop_oneof![
        Just(Ruling::BuiltIn),
        any::<[u8; 32]>().prop_map(|policy| Ruling::NoRule {
            policy: PolicyVersion(policy)
        }),
        (any::<[u8; 32]>(), "[a-z0-9][a-z0-9._-]{0,63}").prop_map(|(policy, rule)| Ruling::Rule {
            policy: PolicyVersion(policy),
            rule: RuleId::parse(&rule).unwrap(),
        }),
    ];
    (
        proptest::option::of(authenticated),
        proptest::option::of(ruling),
        proptest::option::of((1..=u128::MAX).prop_map(|n| TraceId::new(n.to_be_bytes()).unwrap())),
    )
        .prop_map(|(authenticated, ruling, trace)| Context {
            authenticated,
            ruling,
            trace,
        })
}

proptest! {
    #[test]
    fn a_record_decodes_to_itself_and_every_prefix_and_suffix_is_refused(entry in entry()) {
        let (record, bytes) = AuditRecord::link(&AuditHead::genesis(&StoreId([7; 16])), entry);
        prop_assert_eq!(AuditRecord::decode(&bytes).unwrap(), record);
        for end in 0..bytes.len() {
            prop_assert!(AuditRecord::decode(&bytes[..end]).is_err());
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        prop_assert_eq!(AuditRecord::decode(&longer), Err(DecodeError::Trailing));
    }

    #[test]
    fn what_has_no_number_has_none(mut entry in entry()) {
        entry.key_version = Some(0);
        let (record, bytes) = AuditRecord::link(&AuditHead::genesis(&StoreId([7; 16])), entry);
        prop_assert_eq!(record.entry.key_version, None);
        prop_assert_eq!(AuditRecord::decode(&bytes).unwrap(), record);
    }

    #[test]
    fn a_record_of_the_first_form_stays_one(entry in entry()) {
        let (mut record, _) = AuditRecord::link(&AuditHead::genesis(&StoreId([7; 16])), entry);
        record.form = Form::One;
        record.entry.key_version = None;
        record.entry.context = Context::default();
        let bytes = record.encode();
        let again = AuditRecord::decode(&bytes).unwrap();
        prop_assert_eq!(again.form, Form::One);
        prop_assert_eq!(&again.entry, &record.entry);
        prop_assert_eq!(again.encode(), bytes);
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(record) = AuditRecord::decode(&bytes) {
            prop_assert_eq!(record.encode(), bytes);
        }
    }
}

/// What a vote's record costs: `cargo test --release --lib -- --ignored --nocapture cost_of_a_record`.
#[test]
#[ignore = "a measurement"]
fn cost_of_a_record() {
    use std::hint::black_box;
    use std::time::Instant;
    const TIMES: u32 = 200_000;
    let vote = AuditEntry {
        time_micros: 1_790_000_000_000_000,
        subject: "node:my-chain-1/node-0".to_owned(),
        operation: "sign.cometbft.precommit".to_owned(),
        key: Some(PublicKey::new(Algorithm::Ed25519, &[9; 32]).unwrap()),
        key_version: Some(1),
        chain: Some(ChainId::new("my-chain-1").unwrap()),
        position: Some(Position {
            height: Height::new(1_000_000).unwrap(),
            round: Round::new(0).unwrap(),
            step: Step::from_value(3).unwrap(),
        }),
        outcome: Outcome::Allowed,
        reason: String::new(),
        request_digest: Some([1; 32]),
        signature_digest: Some([2; 32]),
        count: 1,
        context: Context {
            authenticated: Some(Authentication::Dialled),
            ruling: Some(Ruling::BuiltIn),
            trace: TraceId::new([3; 16]),
        },
    };
    let by_a_rule = Some(Ruling::Rule {
        policy: PolicyVersion([4; 32]),
        rule: RuleId::parse("validators-vote").unwrap(),
    });
    let (mut record, _) = AuditRecord::link(&AuditHead::genesis(&StoreId([7; 16])), vote);
    for (what, form, ruling) in [
        ("form 1", Form::One, None),
        ("form 2", Form::Two, Some(Ruling::BuiltIn)),
        ("form 2, by a rule", Form::Two, by_a_rule),
    ] {
        record.form = form;
        record.entry.context.ruling = ruling;
        let mut best = f64::MAX;
        for _ in 0..10 {
            let began = Instant::now();
            for _ in 0..TIMES / 10 {
                black_box(hash(&black_box(&record).encode()));
            }
            best = best.min(began.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES / 10));
        }
        println!(
            "{what}: {} bytes, encoded and hashed in {best:.0} ns",
            record.encode().len()
        );
    }
}
