//! Sealed files opened, damaged and confused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{os::unix::fs::PermissionsExt, path::Path};

use proptest::prelude::*;
use sigward_policies::model::{
    algorithm::{Algorithm, PublicKey},
    id::{KeyName, UnixSeconds},
    key::Origin,
};

use super::*;
use crate::{
    envelope::{ArgonParams, KekSource, Sealing},
    private_file::{self, Existing},
    secret::{ArenaSize, Unlocked},
};

const STORE: StoreId = StoreId([9; 16]);

fn arena() -> Arena {
    Arena::new(ArenaSize::for_keys(8), Unlocked::Allow).unwrap()
}

fn raw_kek(arena: &Arena, seed: u8) -> Kek {
    let mut next = seed;
    let key = SecretBytes::init_with(arena, |b| {
        b.fill_with(|| {
            next = next.wrapping_mul(31).wrapping_add(7);
            next
        });
    });
    Kek::raw(arena, key.unwrap()).unwrap()
}

fn cheap() -> ArgonParams {
    ArgonParams::new(8 * 1024, 1, 1).unwrap()
}

fn passphrase_kek(arena: &Arena, text: &[u8]) -> Result<Kek, KekError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("passphrase");
    private_file::write(&path, text, Existing::Keep).unwrap();
    KekSource::PassphraseFile {
        path,
        params: cheap(),
    }
    .read(arena)
}

fn header(algorithm: Algorithm) -> Header {
    Header {
        store: STORE,
        name: KeyName::new("validator").unwrap(),
        public_key: PublicKey::new(algorithm, &vec![2; algorithm.public_key_len()]).unwrap(),
        origin: Origin::Generated,
        created_at: UnixSeconds(1_800_000_000),
    }
}

fn secret(arena: &Arena) -> SecretBytes<32> {
    SecretBytes::init_with(arena, |b| b.fill(0x5e)).unwrap()
}

#[test]
fn what_was_sealed_opens_with_its_header() {
    let arena = arena();
    let keks = [
        raw_kek(&arena, 1),
        passphrase_kek(&arena, b"correct horse battery\n").unwrap(),
    ];
    for kek in &keks {
        for algorithm in [Algorithm::Ed25519, Algorithm::Secp256k1] {
            let bytes = seal(kek, header(algorithm), &secret(&arena)).unwrap();
            assert!(
                !bytes.windows(32).any(|w| w == [0x5e; 32]),
                "the secret is not in the file"
            );
            assert_eq!(Sealed::parse(&bytes).unwrap().encode(), bytes);
            let (opened, out) = open(kek, &bytes, StoreCheck::Must(STORE)).unwrap();
            assert_eq!(opened, header(algorithm));
            assert!(out.ct_eq(&secret(&arena)));
        }
    }
}

#[test]
fn two_files_of_one_secret_share_nothing() {
    let arena = arena();
    let kek = raw_kek(&arena, 1);
    let files = [(); 2].map(|()| seal(&kek, header(Algorithm::Ed25519), &secret(&arena)).unwrap());
    let [a, b] = files.map(|f| Sealed::parse(&f).unwrap());
    assert_ne!(
        (a.file_salt, a.nonce, a.ciphertext, a.tag),
        (b.file_salt, b.nonce, b.ciphertext, b.tag)
    );
}

#[test]
fn a_new_file_reuses_the_passphrase_salt_so_that_a_folder_costs_one_derivation() {
    let arena = arena();
    let kek = passphrase_kek(&arena, b"correct horse battery").unwrap();
    let files = [(); 3].map(|()| seal(&kek, header(Algorithm::Ed25519), &secret(&arena)).unwrap());
    let salts = files.each_ref().map(|f| *Sealed::parse(f).unwrap().sealing());
    assert!(matches!(salts[0], Sealing::Argon2id { .. }));
    assert!(salts.iter().all(|s| *s == salts[0]));
    // The same passphrase with another line ending opens them; another passphrase does not.
    let again = passphrase_kek(&arena, b"correct horse battery\r\n").unwrap();
    assert!(open(&again, &files[0], StoreCheck::Must(STORE)).is_ok());
    let other = passphrase_kek(&arena, b"correct horse batterz").unwrap();
    let code = open(&other, &files[0], StoreCheck::Must(STORE))
        .err()
        .unwrap()
        .code();
    assert_eq!(code, "sealed_key_does_not_open");
}

#[test]
fn another_key_another_kind_and_another_store_are_told_apart() {
    let arena = arena();
    let (kek, other) = (raw_kek(&arena, 1), raw_kek(&arena, 2));
    let passphrase = passphrase_kek(&arena, b"correct horse battery").unwrap();
    let bytes = seal(&kek, header(Algorithm::Ed25519), &secret(&arena)).unwrap();
    let code = |kek, store| open(kek, &bytes, store).err().map(|e| e.code());
    let here = StoreCheck::Must(STORE);
    assert_eq!(code(&kek, here), None);
    assert_eq!(code(&other, here), Some("sealed_key_does_not_open"));
    assert_eq!(code(&passphrase, here), Some("kek_kind_mismatch"));
    let elsewhere = StoreCheck::Must(StoreId([8; 16]));
    assert_eq!(code(&kek, elsewhere), Some("foreign_store"));
    assert_eq!(
        code(&other, elsewhere),
        Some("sealed_key_does_not_open"),
        "a forged store is not reported as foreign"
    );
    assert_eq!(code(&kek, StoreCheck::Adopting), None);
    let remedy = open(&kek, &bytes, elsewhere).err().unwrap().remedy().unwrap();
    assert!(
        remedy.contains("sigward keys adopt validator --above HEIGHT"),
        "{remedy}"
    );
}

/// Every single bit of both kinds of file.
#[test]
fn every_flipped_bit_is_refused() {
    let arena = arena();
    let kek = raw_kek(&arena, 1);
    for algorithm in [Algorithm::Ed25519, Algorithm::Secp256k1] {
        let bytes = seal(&kek, header(algorithm), &secret(&arena)).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&kek, &flipped, StoreCheck::Adopting).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(
                open(&kek, &bytes[..len], StoreCheck::Adopting).is_err(),
                "cut to {len}"
            );
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(open(&kek, &longer, StoreCheck::Adopting).is_err());
    }
}

#[test]
fn parameters_out_of_bounds_are_refused_before_anything_is_computed() {
    let arena = arena();
    let kek = passphrase_kek(&arena, b"correct horse battery").unwrap();
    let bytes = seal(&kek, header(Algorithm::Ed25519), &secret(&arena)).unwrap();
    for (at, value) in [(13, u32::MAX), (13, 1), (17, 0), (17, 1000), (21, 0), (21, 17)] {
        let mut greedy = bytes.clone();
        greedy[at..at + 4].copy_from_slice(&value.to_be_bytes());
        assert_eq!(
            Sealed::parse(&greedy),
            Err(FormatError::Malformed("Argon2id parameters out of bounds"))
        );
    }
    assert!(ArgonParams::new(512 * 1024, 16, 16).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_parser_has_one_encoding_for_whatever_it_accepts(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..400),
        shaped in any::<bool>(),
    ) {
        if shaped && bytes.len() > 48 {
            // Past the magic the fields are reached too.
            bytes[..13].copy_from_slice(b"SGWDSEAL\0\x01\0\x01\x01");
            bytes[29] = 1;
            bytes[30] = 1;
            bytes[39] = 4;
            bytes[40..44].copy_from_slice(b"name");
            bytes.resize(180, 0);
        }
        if let Ok(sealed) = Sealed::parse(&bytes) {
            prop_assert_eq!(sealed.encode(), bytes);
        }
    }

    #[test]
    fn several_damaged_bytes_are_refused(damage in proptest::collection::vec((0usize..180, 1u8..), 1..6)) {
        let arena = arena();
        let kek = raw_kek(&arena, 1);
        let bytes = seal(&kek, header(Algorithm::Ed25519), &secret(&arena)).unwrap();
        let mut damaged = bytes.clone();
        for (at, xor) in damage {
            let at = at % damaged.len();
            damaged[at] ^= xor;
        }
        prop_assume!(damaged != bytes);
        prop_assert!(open(&kek, &damaged, StoreCheck::Adopting).is_err());
    }
}

#[test]
fn key_files_and_credentials_are_read_only_when_nobody_else_can() {
    let arena = arena();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kek");
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    KekSource::create_key_file(&arena, &path).unwrap();
    assert_eq!(
        KekSource::create_key_file(&arena, &path).unwrap_err().code(),
        "file_exists"
    );
    let source = KekSource::KeyFile(path.clone());
    assert!(source.read(&arena).is_ok());
    mode(&path, 0o644);
    let error = source.read(&arena).err().unwrap();
    assert_eq!(
        (error.code(), error.remedy().is_some()),
        ("file_permissions", true)
    );
    mode(&path, 0o400);
    let credential = |name: &str, directory: Option<&Path>| {
        let directory = directory.map(Into::into);
        KekSource::Credential {
            name: name.to_owned(),
            directory,
        }
        .read(&arena)
        .err()
        .map(|e| e.code())
    };
    assert_eq!(credential("kek", Some(dir.path())), None);
    assert_eq!(credential("kek", None), Some("no_credentials"));
    assert_eq!(
        credential("kek", Some(Path::new("relative"))),
        Some("no_credentials")
    );
    assert_eq!(credential("other", Some(dir.path())), Some("file_not_found"));
    for name in ["", ".", "..", "../kek", "a/b", "kek\0", ".hidden", "ké"] {
        assert_eq!(
            credential(name, Some(dir.path())),
            Some("invalid_credential_name"),
            "{name:?}"
        );
    }
}

#[test]
fn weak_secrets_are_refused() {
    let arena = arena();
    for text in [&b""[..], b"\n", b"short\n", b"             \n", b"\0"] {
        assert_eq!(
            passphrase_kek(&arena, text).err().map(|e| e.code()),
            Some("weak_passphrase")
        );
    }
    assert_eq!(
        passphrase_kek(&arena, &[b'x'; 300]).err().map(|e| e.code()),
        Some("file_size")
    );
    assert!(passphrase_kek(&arena, &[b'x'; 256]).is_ok());
    let zero = SecretBytes::<32>::init_with(&arena, |_| ()).unwrap();
    assert_eq!(Kek::raw(&arena, zero).err().map(|e| e.code()), Some("empty_kek"));
}
