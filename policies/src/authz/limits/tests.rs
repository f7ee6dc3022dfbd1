#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::authz::KeyFacts;
use crate::model::algorithm::Algorithm;
use crate::model::bearer::{IssuerName, TokenHolder};
use crate::model::id::{KeyName, UnixSeconds};

const SECOND: u64 = 1_000_000_000;

fn rate(count: u32, per_seconds: u32) -> Rate {
    Rate {
        count,
        per_seconds,
        each_key: false,
        each_operation: false,
    }
}

fn user(uid: u32) -> Caller {
    Caller::LocalUser { uid }
}

fn key(number: u32, there: bool) -> KeyFacts {
    let mut raw = [0; 32];
    raw[..4].copy_from_slice(&number.to_be_bytes());
    KeyFacts {
        name: KeyName::new(&format!("k{number}")).unwrap(),
        public_key: there.then(|| PublicKey::new(Algorithm::Ed25519, &raw).unwrap()),
        provider: None,
    }
}

fn ask<'a>(subject: &'a Caller, operation: Operation, key: Option<&'a KeyFacts>) -> Question<'a> {
    Question {
        subject,
        operation,
        key,
        chain: None,
        from: None,
        now: UnixSeconds(0),
    }
}

fn rule(name: &str) -> RuleId {
    RuleId(name.into())
}

fn try_at(limits: &mut Limits, uid: u32, rate: Rate, now: u64) -> Result<(), Duration> {
    let subject = user(uid);
    let question = ask(&subject, Operation::KeyShow, None);
    limits
        .take(&question, &rule("r"), rate, Tick(now))
        .map_err(|too_often| too_often.retry_after)
}

#[test]
fn so_many_at_once_and_then_one_by_one() {
    let mut limits = Limits::default();
    let now = 1_000 * SECOND;
    for _ in 0..3 {
        assert_eq!(try_at(&mut limits, 1, rate(3, 60), now), Ok(()));
    }
    assert_eq!(
        try_at(&mut limits, 1, rate(3, 60), now),
        Err(Duration::from_secs(20))
    );
    assert_eq!(
        try_at(&mut limits, 1, rate(3, 60), now + 19 * SECOND),
        Err(Duration::from_secs(1))
    );
    assert_eq!(try_at(&mut limits, 1, rate(3, 60), now + 20 * SECOND), Ok(()));
    assert!(try_at(&mut limits, 1, rate(3, 60), now + 20 * SECOND).is_err());
    assert_eq!(
        try_at(&mut limits, 2, rate(3, 60), now),
        Ok(()),
        "another subject has its own"
    );
}

#[test]
fn a_clock_that_is_set_back_and_another_rate_lock_nobody_out() {
    let mut limits = Limits::default();
    assert_eq!(try_at(&mut limits, 1, rate(1, 86_400), 1 << 62), Ok(()));
    let wait = try_at(&mut limits, 1, rate(1, 86_400), 5).unwrap_err();
    assert!(wait <= Duration::from_secs(86_400), "{wait:?}");
    // The document now says once a second.
    assert!(try_at(&mut limits, 1, rate(1, 1), 5).unwrap_err() <= Duration::from_secs(1));
    assert_eq!(try_at(&mut limits, 1, rate(1, 1), 5 + SECOND), Ok(()));
    assert!(
        try_at(&mut limits, 1, rate(1, 1), u64::MAX).is_ok(),
        "nor does the end of time"
    );
}

#[test]
fn keys_and_operations_share_a_bucket_unless_the_rule_says_otherwise() {
    let (subject, now) = (user(1), Tick(0));
    let (a, b, ghost, other_ghost) = (key(1, true), key(2, true), key(3, false), key(4, false));
    let mut limits = Limits::default();
    let mut take = |rule_name: &str, rate, operation, key| {
        limits
            .take(&ask(&subject, operation, key), &rule(rule_name), rate, now)
            .is_ok()
    };
    let (show, list) = (Operation::KeyShow, Operation::KeyList);
    let one = rate(1, 60);
    assert!(take("r", one, show, Some(&a)) && !take("r", one, list, Some(&b)));
    let each_key = Rate {
        each_key: true,
        ..one
    };
    assert!(take("k", each_key, show, Some(&a)) && take("k", each_key, show, Some(&b)));
    assert!(!take("k", each_key, list, Some(&a)));
    // Names that nobody has are no keys.
    assert!(take("k", each_key, show, Some(&ghost)) && !take("k", each_key, show, Some(&other_ghost)));
    let each_operation = Rate {
        each_operation: true,
        ..one
    };
    assert!(take("o", each_operation, show, Some(&a)) && take("o", each_operation, list, Some(&a)));
    assert!(!take("o", each_operation, list, Some(&b)));
}

#[test]
fn one_subject_takes_no_room_of_the_others_and_all_of_them_only_so_much() {
    let mut limits = Limits::default();
    let each_key = Rate {
        each_key: true,
        ..rate(1, 60)
    };
    let greedy = user(7);
    let mut refused = 0;
    for number in 0..1_000 {
        let key = key(number, true);
        let question = ask(&greedy, Operation::KeyShow, Some(&key));
        refused += usize::from(limits.take(&question, &rule("r"), each_key, Tick(0)).is_err());
    }
    assert_eq!(
        (limits.len(), refused),
        (MAX_OF_A_SUBJECT, 1_000 - MAX_OF_A_SUBJECT)
    );
    assert!(try_at(&mut limits, 8, rate(1, 60), 0).is_ok());
    // A minute later all of its buckets are full again, and room.
    let late = key(5_000, true);
    let question = ask(&greedy, Operation::KeyShow, Some(&late));
    assert!(
        limits
            .take(&question, &rule("r"), each_key, Tick(60 * SECOND))
            .is_ok()
    );
    assert_eq!(limits.subjects["uid:7"].len(), 1);

    let mut limits = Limits::default();
    for uid in 0..10_000 {
        let taken = try_at(&mut limits, uid, rate(1, 60), 0);
        assert_eq!(taken.is_ok(), usize::try_from(uid).unwrap() < MAX_SUBJECTS);
        assert!(taken.is_ok() || taken == Err(Duration::from_secs(60)));
    }
    assert_eq!(limits.len(), MAX_SUBJECTS);
    assert!(try_at(&mut limits, 20_000, rate(1, 60), 60 * SECOND).is_ok());
    assert_eq!(limits.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whenever it is asked: never more than `count` in any `per_seconds` beyond what fills in meanwhile, and who waits as long as it
    /// was told to is let through.
    #[test]
    fn never_more_than_the_rate_and_never_a_wrong_wait(
        count in 1_u32..20, per in 1_u32..100, steps in proptest::collection::vec(0_u64..(20 * SECOND), 1..120),
    ) {
        let rate = rate(count, per);
        let mut limits = Limits::default();
        let (mut now, mut let_through) = (0, Vec::new());
        for step in steps {
            now += step;
            match try_at(&mut limits, 1, rate, now) {
                Ok(()) => let_through.push(now),
                Err(wait) => {
                    now += u64::try_from(wait.as_nanos()).unwrap();
                    prop_assert_eq!(try_at(&mut limits, 1, rate, now), Ok(()));
                    let_through.push(now);
                }
            }
        }
        let window = u64::from(per) * SECOND;
        for (index, start) in let_through.iter().enumerate() {
            let within = let_through[index..].iter().take_while(|at| *at - start < window).count();
            prop_assert!(within <= 2 * usize::try_from(count).unwrap(), "{within}");
        }
        // In the long run: the burst, and one for each interval.
        let most = u128::from(count) + u128::from(now) * u128::from(count) / u128::from(window) + 1;
        prop_assert!(u128::try_from(let_through.len()).unwrap() <= most);
    }
}

fn holder(issuer: usize, subject: usize) -> Caller {
    Caller::Token {
        holder: TokenHolder::parse(&format!("i{issuer}/{subject}")).unwrap(),
    }
}

fn show(limits: &mut Limits, subject: &Caller, rate: Rate, now: u64) -> bool {
    let question = ask(subject, Operation::KeyShow, None);
    limits.take(&question, &rule("r"), rate, Tick(now)).is_ok()
}

#[test]
fn an_issuer_that_invents_subjects_gets_no_more_than_so_many_of_them() {
    let mut limits = Limits::default();
    let now = 1_000 * SECOND;
    let through = (0..10_000)
        .filter(|subject| show(&mut limits, &holder(1, *subject), rate(5, 60), now))
        .count();
    assert_eq!(through, 5 * MOST_OF_AN_ISSUER as usize);
    assert!(limits.issuers[&IssuerName::new("i1").unwrap()].subjects.len() <= MAX_SUBJECTS_OF_AN_ISSUER);
    assert!(limits.subjects.is_empty(), "none of the room of others is taken");
    // Nobody else hears of it, and a single subject gets what it always got.
    for _ in 0..5 {
        assert!(show(&mut limits, &holder(2, 1), rate(5, 60), now));
        assert!(show(&mut limits, &user(1), rate(5, 60), now));
    }
    assert!(!show(&mut limits, &holder(2, 1), rate(5, 60), now));
    assert!(!show(&mut limits, &user(1), rate(5, 60), now));
    assert!(show(&mut limits, &holder(2, 2), rate(5, 60), now));
    // All of it comes back.
    assert!(show(&mut limits, &holder(1, 7), rate(5, 60), now + 60 * SECOND));
}

#[test]
fn a_subject_that_asks_too_often_takes_nothing_from_its_issuer() {
    let mut limits = Limits::default();
    let now = 1_000 * SECOND;
    for _ in 0..10_000 {
        show(&mut limits, &holder(1, 1), rate(1, 3600), now);
    }
    for subject in 2..=MOST_OF_AN_ISSUER as usize {
        assert!(
            show(&mut limits, &holder(1, subject), rate(1, 3600), now),
            "{subject}"
        );
    }
    assert!(!show(&mut limits, &holder(1, 99), rate(1, 3600), now));
}

proptest! {
    /// Whatever issuers do, with whatever subjects: each is let through at least as often as its first subject would be alone, at most
    /// so many times that, and the room is bounded.
    #[test]
    fn no_issuer_takes_anything_from_another(
        calls in proptest::collection::vec((0..5_usize, 0..400_usize), 0..1500), count in 1..4_u32
    ) {
        let mut limits = Limits::default();
        let mut through = [0; 5];
        for (issuer, subject) in &calls {
            through[*issuer] += u32::from(show(&mut limits, &holder(*issuer, *subject), rate(count, 60), SECOND));
        }
        for (issuer, through) in through.into_iter().enumerate() {
            prop_assert!(through <= count * MOST_OF_AN_ISSUER);
            if !calls.iter().any(|(other, _)| *other == issuer) {
                prop_assert!(show(&mut limits, &holder(issuer, 0), rate(count, 60), SECOND));
            } else {
                prop_assert!(through >= 1);
            }
        }
        prop_assert!(limits.len() <= 5 * (1 + MAX_SUBJECTS_OF_AN_ISSUER));
    }
}
