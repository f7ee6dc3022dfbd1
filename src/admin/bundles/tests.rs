//! What those who approve a backup read and agree to; what may be confirmed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

use sigward_policies::model::algorithm::Algorithm;
use sigward_policies::model::id::{KeyName, MAX_NAME, UnixSeconds};
use sigward_policies::model::key::{KeyVersion, Origin, VersionState};

use super::*;
use crate::store::MAX_WHAT;

fn public_key(byte: u8) -> PublicKey {
    PublicKey::new(Algorithm::Ed25519, &[byte; 32]).unwrap()
}

fn key(name: &str, byte: u8) -> Key {
    let public_key = public_key(byte);
    Key {
        name: KeyName::new(name).unwrap(),
        version: KeyVersion {
            version: 1,
            public_key,
            address: sigward_hsm::verify::address(&public_key),
            provider: "software".to_owned(),
            origin: Origin::Generated,
            state: VersionState::Active,
            created_at: UnixSeconds(1),
            exported: false,
            backup: None,
        },
    }
}

fn age(recipients: &[&str]) -> Result<Opens, Refusal> {
    let lock = Lock::Age { wrapped: vec![1] };
    Opens::new(&lock, recipients.iter().map(|&one| one.to_owned()).collect())
}

#[test]
fn another_recipient_configuration_key_or_cost_is_another_matter() {
    let (one, both) = (vec![key("a", 1)], vec![key("a", 1), key("b", 2)]);
    let passphrase = |memory_kib| Opens::Passphrase {
        memory_kib,
        passes: 3,
        lanes: 1,
    };
    let matters = [
        matter(&one, &age(&["age1x"]).unwrap(), None),
        matter(&one, &age(&["age1y"]).unwrap(), None),
        matter(&one, &age(&["age1x", "age1y"]).unwrap(), None),
        matter(&one, &age(&["age1x"]).unwrap(), Some("")),
        matter(&one, &age(&["age1x"]).unwrap(), Some("a = 1")),
        matter(&one, &age(&["age1x"]).unwrap(), Some("a = 2")),
        matter(&both, &age(&["age1x"]).unwrap(), None),
        matter(&one, &passphrase(65536), None),
        matter(&one, &passphrase(8192), None),
    ];
    for (index, a) in matters.iter().enumerate() {
        for b in matters.iter().skip(index + 1) {
            assert_ne!(a.parameters, b.parameters, "{} / {}", a.what, b.what);
            assert_ne!(a.what, b.what);
        }
    }
    // Nothing that a caller writes passes for something else.
    assert!(age(&[]).is_err() && age(&[""]).is_err() && age(&["age1\nx"]).is_err());
    assert!(age(&["x"; 33]).is_err());
}

#[test]
fn who_approves_reads_for_whom_it_is_however_long_the_names_are() {
    let many: Vec<_> = (0..200)
        .map(|n: u8| key(&format!("{n:03}{}", "k".repeat(MAX_NAME - 3)), n))
        .collect();
    let long = "r".repeat(MAX_RECIPIENT);
    let recipients = vec![long.as_str(); 32];
    let what = matter(&many, &age(&recipients).unwrap(), Some("a = 1")).what;
    assert!(what.len() <= MAX_WHAT && what.ends_with('…'), "{what}");
    for decisive in [
        "200 private keys (sha256 ",
        "32 age recipients (sha256 ",
        "5 bytes of configuration",
    ] {
        assert!(what.contains(decisive), "{decisive}: {what}");
    }
    let one = matter(&many[..1], &age(&[&long[..128]]).unwrap(), None).what;
    assert!(
        one.contains(many[0].name.as_str()) && one.ends_with(&long[..128]),
        "{one}"
    );
    let other = matter(&many[..199], &age(&recipients).unwrap(), Some("a = 1")).what;
    assert_ne!(what, other);
}

#[test]
fn only_what_was_handed_out_is_confirmed() {
    let (all, id, sha256) = (HandedOut::default(), BundleId([1; 16]), [2; 32]);
    let backup = |id, sha256, keys: &[u8]| VerifiedBackup {
        id,
        sha256,
        made_at: UnixSeconds(1),
        keys: keys.iter().map(|byte| public_key(*byte)).collect(),
    };
    assert!(all.knows(&backup(id, sha256, &[1])).is_err(), "invented");
    all.note(id, sha256, vec![public_key(1), public_key(2)]);
    assert!(all.knows(&backup(id, sha256, &[1, 2])).is_ok());
    assert!(
        all.knows(&backup(id, sha256, &[1, 1, 1])).is_err(),
        "more than it holds"
    );
    assert!(
        all.knows(&backup(id, sha256, &[1])).is_ok(),
        "again, and of a part"
    );
    for (why, other) in [
        ("another key", backup(id, sha256, &[1, 3])),
        ("no key", backup(id, sha256, &[])),
        ("other bytes", backup(id, [3; 32], &[1])),
        ("another id", backup(BundleId([9; 16]), sha256, &[1])),
    ] {
        assert_eq!(
            all.knows(&other).unwrap_err().code,
            RefusalCode::InvalidBundle,
            "{why}"
        );
    }
    for n in 0..MAX_UNCONFIRMED {
        all.note(
            BundleId([u8::try_from(n % 256).unwrap(); 16]),
            [0; 32],
            Vec::new(),
        );
    }
    assert!(all.knows(&backup(id, sha256, &[1])).is_err(), "bounded");
}
