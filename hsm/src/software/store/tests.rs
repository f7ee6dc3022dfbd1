//! The software provider: the suite of every provider, and what is its own: files, seals, stores.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::{fs, os::unix::fs::PermissionsExt};

use tempfile::TempDir;

use super::*;
use crate::{
    conformance::{self, generate, operator},
    envelope::{ArgonParams, KekSource},
    fixtures::{VoteFixture, arena, order},
    verify::Verifier,
};

const STORE: StoreId = StoreId([1; 16]);
const ELSEWHERE: StoreId = StoreId([2; 16]);

/// A folder of keys and the key-encryption key beside it.
struct Bed {
    dir: TempDir,
    arena: Arena,
    source: KekSource,
}

impl Bed {
    fn new() -> Self {
        let (dir, arena) = (tempfile::tempdir().unwrap(), arena(512));
        let kek = dir.path().join("kek");
        KekSource::create_key_file(&arena, &kek).unwrap();
        Self {
            dir,
            arena,
            source: KekSource::KeyFile(kek),
        }
    }

    fn try_open(&self, store: StoreId) -> Result<SoftwareProvider, ProviderError> {
        let kek = Arc::new(self.source.read(&self.arena).unwrap());
        SoftwareProvider::open(&self.dir.path().join("keys"), store, &self.arena, kek)
    }

    fn open(&self) -> SoftwareProvider {
        self.try_open(STORE).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.dir.path().join("keys"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
    }
}

fn signs(provider: &SoftwareProvider, key: &KeyHandle) {
    let unreleased = provider
        .sign(key, order(key.public_key(), 1, VoteFixture::Prevote))
        .unwrap();
    let verifier = Verifier::new(key.public_key()).unwrap();
    assert!(verifier.check(unreleased.to_verify().unwrap()).is_ok());
}

#[test]
fn the_software_provider_passes_the_suite_under_a_key_file() {
    let bed = Bed::new();
    conformance::run(&|| Arc::new(bed.open()));
}

#[test]
fn the_software_provider_passes_the_suite_under_a_passphrase() {
    let mut bed = Bed::new();
    let path = bed.dir.path().join("passphrase");
    private_file::write(&path, b"correct horse battery staple\n", Existing::Keep).unwrap();
    bed.source = KekSource::PassphraseFile {
        path,
        params: ArgonParams::new(8 * 1024, 1, 1).unwrap(),
    };
    conformance::run(&|| Arc::new(bed.open()));
}

#[test]
fn files_are_private_named_for_their_key_and_hold_no_secret() {
    let bed = Bed::new();
    let provider = bed.open();
    let key = generate(&provider, "a", Algorithm::Ed25519);
    let [file] = &bed.files()[..] else {
        panic!("one file")
    };
    assert_eq!(
        file.file_name().unwrap().to_str().unwrap(),
        hex::encode(key.public_key().as_bytes()) + ".sealed"
    );
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(
        fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o7777,
        0o700
    );
}

#[test]
fn a_key_of_another_store_is_foreign_until_it_is_adopted() {
    let bed = Bed::new();
    let there = bed.try_open(ELSEWHERE).unwrap();
    let key = generate(&there, "validator", Algorithm::Ed25519);
    drop(there);

    let here = bed.open();
    let [fault] = &here.faults()[..] else {
        panic!("one fault")
    };
    assert_eq!(fault.code, "foreign_store");
    let remedy = fault.remedy.as_deref().unwrap();
    assert!(
        remedy.contains("sigward keys adopt validator-ed25519 --above HEIGHT"),
        "{remedy}"
    );
    assert_eq!(
        here.load_key(key.public_key()).unwrap_err().code(),
        "key_not_found"
    );

    let name = KeyName::new("validator-ed25519").unwrap();
    let other = KeyName::new("somebody").unwrap();
    assert_eq!(here.foreign(&other).err().unwrap().code(), "key_name_not_found");
    let foreign = here.foreign(&name).unwrap();
    assert_eq!(
        (foreign.public_key(), foreign.store()),
        (key.public_key(), ELSEWHERE)
    );
    let adopted = here.adopt(&operator(), foreign).unwrap();
    assert_eq!(
        adopted.origin,
        Origin::Restored,
        "what it signed elsewhere is not known here"
    );
    assert!(here.faults().is_empty());
    signs(&here, &key);
    assert_eq!(here.foreign(&name).err().unwrap().code(), "key_not_foreign");

    signs(&bed.open(), &key);
    let back = bed.try_open(ELSEWHERE).unwrap();
    assert_eq!(
        back.faults().first().map(|fault| fault.code),
        Some("foreign_store")
    );
}

#[test]
fn a_damaged_or_open_file_is_the_fault_of_its_key_alone() {
    let bed = Bed::new();
    let provider = bed.open();
    let keys = ["a", "b", "c", "d", "e"].map(|name| generate(&provider, name, Algorithm::Secp256k1));
    let path = |n: usize| provider.folder.path_of(keys[n].public_key());
    let mut bytes = fs::read(path(0)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path(0), bytes).unwrap();
    fs::set_permissions(path(1), PermissionsExt::from_mode(0o644)).unwrap();
    fs::copy(path(4), path(2)).unwrap();
    fs::write(path(3), b"").unwrap();

    let again = bed.open();
    let mut codes: Vec<_> = again
        .faults()
        .into_iter()
        .map(|fault| (fault.path, fault.code))
        .collect();
    codes.sort();
    let mut expected = vec![
        (path(0), "sealed_key_does_not_open"),
        (path(1), "file_permissions"),
        (path(2), "sealed_key_mismatch"),
        (path(3), "not_sealed"),
    ];
    expected.sort();
    assert_eq!(codes, expected);
    assert_eq!(again.list_keys().unwrap().len(), 1);
    signs(&again, &keys[4]);
    // Nothing of a key that does not open is overwritten.
    fs::set_permissions(path(1), PermissionsExt::from_mode(0o600)).unwrap();
    again.initialize().unwrap();
    signs(&again, &keys[1]);
}

#[test]
fn another_key_encryption_key_opens_nothing_and_destroys_nothing() {
    let mut bed = Bed::new();
    let key = generate(&bed.open(), "a", Algorithm::Ed25519);
    let right = bed.source.clone();
    let wrong = bed.dir.path().join("kek-2");
    KekSource::create_key_file(&bed.arena, &wrong).unwrap();
    bed.source = KekSource::KeyFile(wrong);
    let provider = bed.open();
    assert_eq!(
        provider.faults().first().map(|fault| fault.code),
        Some("sealed_key_does_not_open")
    );
    assert_eq!(
        provider.load_key(key.public_key()).unwrap_err().code(),
        "key_not_found"
    );
    bed.source = right;
    signs(&bed.open(), &key);
}

#[test]
fn an_open_folder_is_refused_and_temporary_files_are_not_keys() {
    let bed = Bed::new();
    let key = generate(&bed.open(), "a", Algorithm::Ed25519);
    let folder = bed.dir.path().join("keys");
    fs::write(folder.join(".tmp-0011223344556677"), b"half a file").unwrap();
    let provider = bed.open();
    assert!(provider.faults().is_empty());
    signs(&provider, &key);
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(bed.try_open(STORE).err().unwrap().code(), "file_permissions");
}

#[test]
fn a_full_arena_refuses_the_key_and_leaves_no_file() {
    let mut bed = Bed::new();
    bed.arena = arena(1);
    let provider = bed.open();
    let made = (0..40).take_while(|n| {
        let spec = KeySpec {
            name: KeyName::new(&format!("k{n}")).unwrap(),
            algorithm: Algorithm::Ed25519,
            created_at: UnixSeconds(0),
        };
        match provider.generate_key_pair(&operator(), &spec) {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.code(), "secret_memory_full");
                assert!(error.remedy().is_some());
                false
            }
        }
    });
    let made = made.count();
    assert!((1..40).contains(&made));
    assert_eq!(bed.files().len(), made);
    assert_eq!(provider.list_keys().unwrap().len(), made);
}

#[test]
fn one_name_is_won_by_one_of_many_threads() {
    let bed = Bed::new();
    let provider = bed.open();
    let spec = KeySpec {
        name: KeyName::new("wanted").unwrap(),
        algorithm: Algorithm::Ed25519,
        created_at: UnixSeconds(0),
    };
    let won = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| provider.generate_key_pair(&operator(), &spec).is_ok()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .filter(|won| *won)
            .count()
    });
    assert_eq!(won, 1);
    assert_eq!(bed.files().len(), 1);
}
