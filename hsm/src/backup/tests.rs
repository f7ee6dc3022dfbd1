#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use std::io::Cursor;

use proptest::prelude::*;
use sigward_policies::model::{
    algorithm::{Algorithm, PublicKey},
    id::{BundleId, ChainId, Height, KeyName, Round, StoreId, UnixSeconds},
    key::Origin,
    payload::{Position, Step},
};

use super::{format::parse, *};
use crate::{
    envelope::ArgonParams,
    fixtures::arena,
    secret::{Arena, SecretBytes},
    software::KeyMaterial,
};

const PASSPHRASE: &str = "correct horse battery staple\n";

fn material(arena: &Arena, algorithm: Algorithm, seed: u8) -> KeyMaterial {
    let secret = SecretBytes::init_with(arena, |into| into.fill(seed)).unwrap();
    KeyMaterial::from_secret(arena, algorithm, secret).unwrap()
}

/// An Ed25519 key of thirty-two sevens on two chains, and a secp256k1 key of nines on none.
fn manifest(arena: &Arena, lock: Lock) -> Manifest {
    let note = |name: &str, algorithm, seed, origin, chains| KeyNote {
        name: KeyName::new(name).unwrap(),
        public_key: *material(arena, algorithm, seed).public_key(),
        origin,
        created_at: UnixSeconds(1_700_000_000),
        chains,
    };
    let chains = vec![
        ChainNote {
            chain: ChainId::new("chain-a-1").unwrap(),
            shared: true,
            moved_out: false,
            left_for: None,
            at_least: AtLeast::Signed(Position {
                height: Height::new(77).unwrap(),
                round: Round::new(2).unwrap(),
                step: Step::from_value(3).unwrap(),
            }),
        },
        ChainNote {
            chain: ChainId::new("chain-b-4").unwrap(),
            shared: true,
            moved_out: true,
            left_for: None,
            at_least: AtLeast::Closed(Height::new(5).unwrap()),
        },
        ChainNote {
            chain: ChainId::new("chain-c-1").unwrap(),
            shared: false,
            moved_out: true,
            left_for: Some(ChainId::new("chain-c-2").unwrap()),
            at_least: AtLeast::Closed(Height::new(6).unwrap()),
        },
        ChainNote {
            chain: ChainId::new("chain-c-2").unwrap(),
            shared: false,
            moved_out: false,
            left_for: None,
            at_least: AtLeast::Fresh,
        },
    ];
    Manifest {
        id: BundleId([0xab; 16]),
        made_at: UnixSeconds(1_760_000_000),
        store: StoreId([0xcd; 16]),
        lock,
        config: Some("[store]\n".to_owned()),
        keys: vec![
            note("validator", Algorithm::Ed25519, 7, Origin::Generated, chains),
            note("spare", Algorithm::Secp256k1, 9, Origin::Imported, Vec::new()),
        ],
    }
}

fn age_lock() -> Lock {
    Lock::Age {
        wrapped: vec![0x61; 40],
    }
}

fn data_key(arena: &Arena) -> DataKey {
    DataKey::from_slice(arena, &[0x42; 32]).unwrap()
}

fn sealed(arena: &Arena) -> Vec<u8> {
    make(arena, &data_key(arena), age_lock())
}

fn make(arena: &Arena, data_key: &DataKey, lock: Lock) -> Vec<u8> {
    let manifest = manifest(arena, lock);
    let keys = |key: &PublicKey| {
        let seed = if key.algorithm() == Algorithm::Ed25519 {
            7
        } else {
            9
        };
        Ok(material(arena, key.algorithm(), seed))
    };
    seal(arena, data_key, &manifest, keys).unwrap()
}

#[test]
fn keys_come_out_as_they_went_in_and_the_clear_part_says_what_there_is() {
    let arena = arena(8);
    let bytes = sealed(&arena);
    let wanted = manifest(&arena, age_lock());
    assert_eq!(Bundle::parse(&bytes).unwrap().unchecked_manifest(), &wanted);
    assert_eq!(verify_backup(&arena, &bytes, &data_key(&arena)).unwrap(), wanted);
    let bundle = Bundle::parse(&bytes).unwrap();
    for note in &wanted.keys {
        let key = bundle
            .recover(&arena, &data_key(&arena), &note.public_key)
            .unwrap();
        assert_eq!(key.material.public_key(), &note.public_key);
        assert_eq!(key.note(), note);
    }
    for seed in [[7; 32], [9; 32]] {
        assert!(
            !bytes.windows(32).any(|window| window == seed),
            "no secret in the clear"
        );
    }
    let other = DataKey::random(&arena).unwrap();
    let refused = verify_backup(&arena, &bytes, &other).unwrap_err();
    assert_eq!(refused.code(), "bundle_does_not_open");
}

#[test]
fn every_flipped_bit_every_cut_and_every_addition_refuses() {
    let arena = arena(8);
    let (bytes, key) = (sealed(&arena), data_key(&arena));
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            let refused = verify_backup(&arena, &bad, &key).map(|_| ()).unwrap_err();
            assert!(
                ["invalid_bundle", "bundle_does_not_open"].contains(&refused.code()),
                "byte {at} bit {bit}: {refused}"
            );
        }
        assert!(verify_backup(&arena, &bytes[..at], &key).is_err(), "cut at {at}");
    }
    assert!(verify_backup(&arena, &[&bytes[..], &[0]].concat(), &key).is_err());
    // Two sealed keys change places.
    let (head, tail) = bytes.split_at(bytes.len() - 96);
    let swapped = [head, &tail[48..], &tail[..48]].concat();
    assert!(verify_backup(&arena, &swapped, &key).is_err());
}

#[test]
fn what_no_bundle_may_hold_is_not_sealed() {
    let arena = arena(8);
    let key = data_key(&arena);
    let good = manifest(&arena, age_lock());
    let spoil: [fn(&mut Manifest); 6] = [
        |m| m.keys.clear(),
        |m| m.keys[1].name = m.keys[0].name.clone(),
        |m| m.keys[1].public_key = m.keys[0].public_key,
        |m| m.keys[0].chains.reverse(),
        |m| m.config = Some("x".repeat(MAX_CONFIG + 1)),
        |m| {
            m.lock = Lock::Age {
                wrapped: vec![0; MAX_WRAPPED + 1],
            }
        },
    ];
    for spoil in spoil {
        let mut bad = good.clone();
        spoil(&mut bad);
        let refused = seal(&arena, &key, &bad, |_| panic!("no key is asked for")).unwrap_err();
        assert_eq!(refused.code(), "invalid_bundle");
    }
    // A provider that gives another key than was asked for.
    let other = seal(&arena, &key, &good, |key| {
        Ok(material(&arena, key.algorithm(), 8))
    });
    assert_eq!(other.unwrap_err().code(), "bundle_does_not_open");
}

#[test]
fn a_bundle_that_wants_all_the_memory_is_refused_before_it_gets_any() {
    let arena = arena(8);
    let params = ArgonParams::new(8 * 1024, 1, 1).unwrap();
    let lock = Lock::Argon2id {
        params,
        salt: [3; 16],
    };
    let mut bytes = make(&arena, &data_key(&arena), lock);
    let at = 8 + 2 + 2 + 16 + 8 + 16 + 1;
    bytes[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(Bundle::parse(&bytes).unwrap_err().code(), "invalid_bundle");
}

/// A bundle as version 1 wrote it, for ever: `SIGWARD_WRITE_FIXTURES=1` made it once.
#[test]
fn a_bundle_of_the_first_version_opens() {
    let arena = arena(8);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/backup/fixtures/v1.bundle");
    let passphrase = Passphrase::read_all(&arena, &mut Cursor::new(PASSPHRASE)).unwrap();
    let params = ArgonParams::new(8 * 1024, 1, 1).unwrap();
    let lock = Lock::Argon2id {
        params,
        salt: [3; 16],
    };
    let key = DataKey::derive(&arena, &passphrase, params, &[3; 16]).unwrap();
    if std::env::var_os("SIGWARD_WRITE_FIXTURES").is_some() && !std::path::Path::new(path).exists() {
        std::fs::write(path, make(&arena, &key, lock.clone())).unwrap();
    }
    let bytes = std::fs::read(path).unwrap();
    let opened = verify_backup(&arena, &bytes, &key).unwrap();
    assert_eq!(opened, manifest(&arena, lock));
    let wrong = Passphrase::read_all(&arena, &mut Cursor::new("correct horse battery stable")).unwrap();
    let wrong = DataKey::derive(&arena, &wrong, params, &[3; 16]).unwrap();
    let refused = verify_backup(&arena, &bytes, &wrong).unwrap_err();
    assert_eq!(refused.code(), "bundle_does_not_open");
}

#[test]
fn passphrases_are_read_whole_and_weak_ones_are_refused() {
    let arena = arena(8);
    let read = |text: &str| Passphrase::read_all(&arena, &mut Cursor::new(text.to_owned()));
    assert!(read("twelve bytes").is_ok() && read("twelve bytes\r\n").is_ok());
    assert!(read("twelve bytes\n").unwrap().is(&read("twelve bytes").unwrap()));
    assert!(!read("twelve bytes").unwrap().is(&read("twelve bytez").unwrap()));
    assert!(read(&"x".repeat(256)).is_ok());
    for weak in [
        "",
        "\n",
        "eleven byte",
        "             ",
        &"x".repeat(257),
        &"x".repeat(5000),
    ] {
        assert_eq!(read(weak).map(|_| ()).unwrap_err().code(), "weak_passphrase");
    }
    let mut lines = Cursor::new("the first one\nthe second one\n");
    let first = Passphrase::read_line(&arena, &mut lines).unwrap();
    let second = Passphrase::read_line(&arena, &mut lines).unwrap();
    assert!(first.is(&read("the first one").unwrap()) && second.is(&read("the second one").unwrap()));
    for wrong in [&[0; 31][..], &[0; 33]] {
        assert!(DataKey::read_from(&arena, &mut Cursor::new(wrong)).is_err());
        assert!(DataKey::from_slice(&arena, wrong).is_err());
    }
}

proptest! {
    #[test]
    fn whatever_parses_encodes_to_the_same_bytes(
        at in 0usize..400,
        with in proptest::collection::vec(any::<u8>(), 0..12),
    ) {
        let arena = arena(8);
        let mut bytes = sealed(&arena);
        for (to, from) in bytes.iter_mut().skip(at).zip(with) {
            *to = from;
        }
        if let Ok(parsed) = parse(&bytes) {
            let mut again = parsed.manifest.encode(&parsed.drawn);
            again.extend(parsed.sealed.iter().flatten());
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn no_bytes_make_the_parser_fall(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _refused = parse(&bytes);
        let _refused = parse(&[&b"SGWDBKUP\0\x01\0\x01"[..], &bytes].concat());
    }
}
