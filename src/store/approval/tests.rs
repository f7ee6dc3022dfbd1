#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use sigward_policies::authz::Said;
use sigward_policies::model::algorithm::Algorithm;

use super::disk::{decode_approval, encode_approval};
use super::*;
use crate::store::encoding::DecodeError;

fn people() -> impl Strategy<Value = Person> {
    "[a-z:.]{1,60}".prop_map(|name| Person::named(&name).unwrap())
}

fn words() -> impl Strategy<Value = Said> {
    (people(), any::<bool>(), any::<i64>()).prop_map(|(who, yes, at)| Said {
        who,
        vote: if yes { Vote::Approve } else { Vote::Reject },
        at: UnixSeconds(at),
    })
}

fn requests() -> impl Strategy<Value = StoredApproval> {
    let request = (
        people(),
        proptest::sample::select(Operation::ALL),
        any::<[u8; 32]>(),
        1_u8..=16,
        any::<i64>(),
        proptest::collection::vec(words(), 0..5),
    );
    let end = prop_oneof![
        Just(None),
        (
            proptest::sample::select(&[End::Used, End::Rejected, End::Expired][..]),
            any::<i64>()
        )
            .prop_map(|(end, at)| Some((end, UnixSeconds(at)))),
    ];
    let more = (any::<[u8; 16]>(), ".{0,80}", any::<bool>(), any::<i64>(), end);
    (request, more).prop_map(
        |((who, operation, bytes, needed, at, said), (id, what, some, created, ended))| {
            let key = PublicKey::new(Algorithm::Ed25519, &bytes).unwrap();
            StoredApproval {
                id: ApprovalId(id),
                request: ApprovalRequest::new(
                    who,
                    operation,
                    RequestDigest(bytes),
                    PolicyVersion(bytes),
                    needed,
                    UnixSeconds(at),
                )
                .with_said(said),
                what,
                parameters: bytes,
                before: bytes,
                key: some.then_some(key),
                chain: some.then(|| ChainId::new("a-1").unwrap()),
                to: (some && needed > 2).then(|| ChainId::new("a-2").unwrap()),
                created_at: UnixSeconds(created),
                ended,
            }
        },
    )
}

proptest! {
    #[test]
    fn a_request_decodes_to_itself_and_every_cut_is_refused(stored in requests()) {
        let bytes = encode_approval(&stored);
        prop_assert_eq!(decode_approval(&bytes).unwrap(), stored);
        for end in 0..bytes.len() {
            prop_assert!(decode_approval(&bytes[..end]).is_err());
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        prop_assert_eq!(decode_approval(&longer), Err(DecodeError::Trailing));
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(stored in requests(), at in any::<usize>(), to in any::<u8>()) {
        let mut bytes = encode_approval(&stored);
        let at = at % bytes.len();
        bytes[at] = to;
        if let Ok(read) = decode_approval(&bytes) {
            prop_assert_eq!(encode_approval(&read), bytes);
        }
    }
}

#[test]
fn an_id_is_32_digits() {
    let id = ApprovalId([0xa5; 16]);
    assert_eq!(ApprovalId::parse(&id.to_string()), Some(id));
    for text in ["", "a5", &"a5".repeat(17), &"g5".repeat(16), " "] {
        assert_eq!(ApprovalId::parse(text), None, "{text:?}");
    }
}
