//! A folder that is cut off at every step of its way opens with what the configuration names.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use sigward_policies::model::id::StoreId;
use tempfile::TempDir;

use super::*;
use crate::{
    conformance::generate,
    envelope::{Kek, KekSource, LateKek},
    fixtures::arena,
    provider::KeyStorageProvider as _,
    secret::Arena,
    software::SoftwareProvider,
};

const STORE: StoreId = StoreId([1; 16]);

struct Bed {
    dir: TempDir,
    arena: Arena,
}

impl Bed {
    /// Three keys under the key-encryption key `a`; `b` and `c` are others.
    fn new() -> Self {
        let bed = Self {
            dir: tempfile::tempdir().unwrap(),
            arena: arena(64),
        };
        for name in ["a", "b", "c"] {
            KekSource::create_key_file(&bed.arena, &bed.dir.path().join(name)).unwrap();
        }
        let provider = bed.provider("a");
        for name in ["one", "two", "three"] {
            generate(
                &provider,
                name,
                sigward_policies::model::algorithm::Algorithm::Ed25519,
            );
        }
        bed
    }

    fn kek(&self, name: &str) -> Kek {
        KekSource::KeyFile(self.dir.path().join(name))
            .read(&self.arena)
            .unwrap()
    }

    fn provider(&self, kek: &str) -> SoftwareProvider {
        let kek = std::sync::Arc::new(self.kek(kek));
        SoftwareProvider::open(&self.dir.path().join("keys"), STORE, &self.arena, kek).unwrap()
    }

    fn reseal(&self) -> Reseal {
        Reseal::of(&self.dir.path().join("keys"))
    }

    fn stage(&self, files: usize, from: &str, to: &str) {
        let reseal = self.reseal();
        for file in reseal.files().unwrap().iter().take(files) {
            reseal.stage(file, &self.kek(from), &self.kek(to)).unwrap();
        }
    }

    fn assert_all_open(&self, kek: &str) {
        let provider = self.provider(kek);
        assert_eq!(
            provider.list_keys().unwrap().len(),
            3,
            "{kek}: {:?}",
            provider.faults()
        );
        assert!(self.reseal().twins().unwrap().is_empty());
    }
}

#[test]
fn all_twins_go_forward_or_back_as_the_named_key_says() {
    for (named, settled) in [("b", Settled::Forward(3)), ("a", Settled::Back(3))] {
        let bed = Bed::new();
        bed.stage(3, "a", "b");
        assert_eq!(bed.reseal().settle(&bed.kek(named)).unwrap(), settled);
        bed.assert_all_open(named);
        assert_eq!(bed.reseal().settle(&bed.kek(named)).unwrap(), Settled::Nothing);
    }
}

#[test]
fn a_settling_that_was_cut_off_is_finished() {
    for done in 0..=3 {
        let bed = Bed::new();
        bed.stage(3, "a", "b");
        for twin in bed.reseal().twins().unwrap().iter().take(done) {
            take_place(twin).unwrap();
        }
        let settled = bed.reseal().settle(&bed.kek("b")).unwrap();
        assert_eq!(
            settled,
            [
                Settled::Forward(3),
                Settled::Forward(2),
                Settled::Forward(1),
                Settled::Nothing
            ][done]
        );
        bed.assert_all_open("b");
    }
}

#[test]
fn a_staging_that_was_cut_off_goes_back_and_another_key_moves_nothing() {
    let bed = Bed::new();
    bed.stage(2, "a", "b");
    for named in ["b", "c"] {
        // `b` would lose the third key, `c` all of them.
        assert_eq!(
            bed.reseal().settle(&bed.kek(named)).unwrap(),
            Settled::Undecided(2)
        );
        assert_eq!(bed.reseal().twins().unwrap().len(), 2);
    }
    let away = LateKek::away("no token".to_owned());
    assert_eq!(bed.reseal().settle(&away).unwrap(), Settled::Undecided(2));
    assert_eq!(bed.reseal().settle(&bed.kek("a")).unwrap(), Settled::Back(2));
    bed.assert_all_open("a");
}

#[test]
fn a_file_that_does_not_open_has_no_twin() {
    let bed = Bed::new();
    let (reseal, file) = (bed.reseal(), bed.reseal().files().unwrap().remove(0));
    let refused = reseal.stage(&file, &bed.kek("c"), &bed.kek("b")).unwrap_err();
    assert_eq!(refused.code(), "sealed_key_does_not_open");
    assert!(reseal.twins().unwrap().is_empty());
}

#[test]
fn a_key_that_comes_late_opens_what_was_closed() {
    use crate::provider::HsmProvider as _;
    let bed = Bed::new();
    let late = std::sync::Arc::new(LateKek::away("the token is away".to_owned()));
    let provider =
        SoftwareProvider::open(&bed.dir.path().join("keys"), STORE, &bed.arena, late.clone()).unwrap();
    assert!(provider.list_keys().unwrap().is_empty());
    assert!(
        provider
            .faults()
            .iter()
            .all(|fault| fault.code == "seal_unavailable")
    );
    assert_eq!(late.why_away().unwrap(), "the token is away");
    late.came(bed.kek("a"));
    assert_eq!(late.why_away(), None);
    provider.initialize().unwrap();
    assert_eq!(provider.list_keys().unwrap().len(), 3);
    assert!(provider.faults().is_empty());
}
