#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

const NOW: UnixSeconds = UnixSeconds(1_000);
const DIGEST: RequestDigest = RequestDigest([1; 32]);
const OTHER: RequestDigest = RequestDigest([2; 32]);
const POLICY: PolicyVersion = PolicyVersion([3; 32]);

fn holder(name: &str) -> Caller {
    Caller::Certificate {
        name: crate::model::caller::SubjectName::dns(name).unwrap(),
    }
}

fn person(n: u32) -> Person {
    Person::of(&holder(&format!("person-{n}"))).unwrap()
}

fn request(needed: u8) -> ApprovalRequest {
    ApprovalRequest::new(
        person(0),
        Operation::KeyExport,
        DIGEST,
        POLICY,
        needed,
        UnixSeconds(2_000),
    )
}

fn code<T>(outcome: Result<T, Refusal>) -> RefusalCode {
    outcome.err().unwrap().code
}

#[test]
fn others_approve_and_it_is_used_once_for_exactly_that() {
    let mut asked = request(2);
    assert_eq!(
        asked.vote(&person(1), Vote::Approve, DIGEST, Some(POLICY), NOW),
        Ok(Standing::Waits { missing: 1 })
    );
    let (back, refusal) = *asked.use_up(&person(0), DIGEST, (POLICY, 1), NOW).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::ApprovalRequired);
    asked = back;
    assert_eq!(
        asked.vote(&person(2), Vote::Approve, DIGEST, Some(POLICY), NOW),
        Ok(Standing::Approved)
    );
    for (digest, policy, now) in [
        (OTHER, POLICY, NOW),
        (DIGEST, PolicyVersion([9; 32]), NOW),
        (DIGEST, POLICY, UnixSeconds(2_000)),
    ] {
        let (back, refusal) = *asked.use_up(&person(0), digest, (policy, 1), now).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::ApprovalVoid);
        asked = back;
    }
    let (back, refusal) = *asked.use_up(&person(0), DIGEST, (POLICY, 3), NOW).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::ApprovalVoid, "three are wanted by now");
    asked = back;
    let approved = asked.use_up(&person(0), DIGEST, (POLICY, 2), NOW).unwrap();
    assert_eq!(approved.request().said().len(), 2);
}

#[test]
fn nobody_approves_their_own_or_twice_and_no_program_does() {
    let mut asked = request(1);
    assert_eq!(code(Person::of(&Caller::Service)), RefusalCode::ApprovalNotYours);
    assert_eq!(
        code(asked.vote(&person(0), Vote::Approve, DIGEST, Some(POLICY), NOW)),
        RefusalCode::ApprovalNotYours
    );
    assert_eq!(
        code(asked.vote(&person(1), Vote::Approve, OTHER, Some(POLICY), NOW)),
        RefusalCode::ApprovalVoid
    );
    let mut asked = request(2);
    asked
        .vote(&person(1), Vote::Approve, DIGEST, Some(POLICY), NOW)
        .unwrap();
    assert_eq!(
        code(asked.vote(&person(1), Vote::Approve, DIGEST, Some(POLICY), NOW)),
        RefusalCode::ApprovalNotYours
    );
    assert_eq!(asked.standing(NOW), Standing::Waits { missing: 1 });
}

#[test]
fn nobody_says_yes_under_another_policy_and_nobody_else_uses_it() {
    let mut asked = request(1);
    for in_force in [None, Some(PolicyVersion([9; 32]))] {
        let said = asked.vote(&person(1), Vote::Approve, DIGEST, in_force, NOW);
        assert_eq!(code(said), RefusalCode::ApprovalVoid);
    }
    asked
        .vote(&person(1), Vote::Approve, DIGEST, Some(POLICY), NOW)
        .unwrap();
    // Enough is enough: what nobody needs is not kept.
    let said = asked.vote(&person(2), Vote::Approve, DIGEST, Some(POLICY), NOW);
    assert_eq!(code(said), RefusalCode::ApprovalNotYours);
    for who in [person(1), person(2)] {
        let (back, refusal) = *asked.use_up(&who, DIGEST, (POLICY, 1), NOW).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::ApprovalNotYours);
        asked = back;
    }
    // A no helps under whatever policy, and after a yes.
    let said = asked.vote(&person(1), Vote::Reject, DIGEST, None, NOW);
    assert_eq!(said, Ok(Standing::Rejected));
    assert_eq!(asked.said().len(), 1);
}

#[test]
fn a_person_is_a_name_and_two_certificates_of_one_name_are_one_person() {
    let (ada, also) = (holder("ada.example.org"), holder("Ada.Example.org"));
    let (ada, also) = (Person::of(&ada).unwrap(), Person::of(&also).unwrap());
    assert_eq!(ada, also);
    assert_eq!(Person::named(ada.as_str()), Some(ada));
    assert_eq!(Person::named(""), None);
    assert_eq!(Person::named(&"a".repeat(513)), None);
}

#[test]
fn who_shows_a_token_is_no_person() {
    let holder = crate::model::bearer::TokenHolder::parse("idp/ann").unwrap();
    let name = crate::model::id::ApiKeyName::new("ci").unwrap();
    assert!(Person::of(&Caller::ApiKey { name }).is_err());
    let refused = Person::of(&Caller::Token { holder });
    assert_eq!(code(refused), RefusalCode::ApprovalNotYours);
}

#[test]
fn all_users_of_the_machine_are_one_person() {
    let user = |uid| Person::of(&Caller::LocalUser { uid }).unwrap();
    let mut asked = ApprovalRequest {
        requester: user(1000),
        ..request(2)
    };
    let said = asked.vote(&user(0), Vote::Approve, DIGEST, Some(POLICY), NOW);
    assert_eq!(code(said), RefusalCode::ApprovalNotYours);
    let mut asked = request(2);
    asked
        .vote(&user(0), Vote::Approve, DIGEST, Some(POLICY), NOW)
        .unwrap();
    let said = asked.vote(&user(1), Vote::Approve, DIGEST, Some(POLICY), NOW);
    assert_eq!(code(said), RefusalCode::ApprovalNotYours);
    assert!(!user(0).may_be(&person(0)));
    // To use it is for the very one who asked.
    let asked = ApprovalRequest {
        requester: user(1000),
        ..request(1)
    };
    let (_, refusal) = *asked.use_up(&user(0), DIGEST, (POLICY, 1), NOW).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::ApprovalNotYours);
}

#[test]
fn one_no_ends_it_even_of_those_who_had_said_yes_or_asked() {
    for who in [person(0), person(1), person(7)] {
        let mut asked = request(1);
        asked
            .vote(&person(1), Vote::Approve, DIGEST, Some(POLICY), NOW)
            .unwrap();
        assert_eq!(
            asked.vote(&who, Vote::Reject, DIGEST, Some(POLICY), NOW),
            Ok(Standing::Rejected)
        );
        assert_eq!(
            code(asked.vote(&person(8), Vote::Approve, DIGEST, Some(POLICY), NOW)),
            RefusalCode::ApprovalVoid
        );
        assert!(asked.use_up(&person(0), DIGEST, (POLICY, 1), NOW).is_err());
    }
}

proptest! {
    /// Whatever is said in whatever order: it stands exactly when enough different others said yes in time, and nobody said no.
    #[test]
    fn it_stands_exactly_when_enough_others_agreed(
        needed in 1_u8..4,
        said in proptest::collection::vec((0_u32..5, any::<bool>(), any::<bool>(), 0_i64..2_500), 0..12),
        used_at in 0_i64..2_500,
    ) {
        let mut asked = request(needed);
        let (mut yes, mut no) = (std::collections::BTreeSet::new(), false);
        let mut said = said;
        said.sort_by_key(|(.., at)| *at);
        for (uid, approve, right, at) in said {
            let (vote, digest) = (if approve { Vote::Approve } else { Vote::Reject }, if right { DIGEST } else { OTHER });
            let _ = asked.vote(&person(uid), vote, digest, Some(POLICY), UnixSeconds(at));
            if right && at < 2_000 && !no {
                if !approve {
                    no = true;
                } else if uid != 0 {
                    yes.insert(uid);
                }
            }
        }
        let stands = !no && yes.len() >= usize::from(needed) && used_at < 2_000;
        prop_assert_eq!(asked.use_up(&person(0), DIGEST, (POLICY, 1), UnixSeconds(used_at)).is_ok(), stands);
    }
}
