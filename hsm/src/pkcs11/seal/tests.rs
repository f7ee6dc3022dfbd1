//! Sealing with a token of SoftHSM2, and with one that lies.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    fixtures::arena,
    pkcs11::softhsm::{self, Shim},
};

const LABEL: &str = "sigward-seal";

#[test]
fn what_a_token_wrapped_it_unwraps_and_no_other_token_does() {
    let folder = tempfile::tempdir().unwrap();
    let config = softhsm::token(folder.path());
    let arena = arena(8);
    let path = folder.path().join("seal.pkcs11");
    let seal = TokenSeal::open(&config, &arena).unwrap();
    seal.create(&path, LABEL).unwrap();
    assert_eq!(seal.create(&path, LABEL).unwrap_err().code(), "file_exists");
    let first = seal.unwrap(&path).unwrap().raw_key().unwrap();
    let again = TokenSeal::open(&config, &arena).unwrap().unwrap(&path).unwrap();
    assert!(again.raw_key().unwrap().ct_eq(&first));

    let elsewhere = tempfile::tempdir().unwrap();
    let other = TokenSeal::open(&softhsm::token(elsewhere.path()), &arena).unwrap();
    assert_eq!(other.unwrap(&path).err().unwrap().code(), "other_token");
}

#[test]
fn a_changed_byte_of_the_file_unwraps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let seal = TokenSeal::open(&softhsm::token(folder.path()), &arena(8)).unwrap();
    let path = folder.path().join("seal.pkcs11");
    seal.create(&path, LABEL).unwrap();
    let good = WrappedKek::read(&path).unwrap();
    let flip = |text: &str| {
        let last = if text.ends_with('0') { "1" } else { "0" };
        format!("{}{last}", &text[..text.len() - 1])
    };
    for bad in [
        WrappedKek {
            wrapped: flip(&good.wrapped),
            ..good.clone()
        },
        WrappedKek {
            cka_id: flip(&good.cka_id),
            ..good.clone()
        },
        WrappedKek {
            nonce: flip(&format!("{}0", good.nonce)),
            ..good.clone()
        },
        WrappedKek {
            wrapped: String::new(),
            ..good.clone()
        },
    ] {
        assert!(seal.unwrapped(&bad).is_err(), "{bad:?}");
    }
    for text in ["", "{}", "null", "{\"version\":2}"] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(
            WrappedKek::read(&path).unwrap_err().code(),
            "seal_damaged",
            "{text}"
        );
    }
    let newer = WrappedKek { version: 2, ..good };
    std::fs::write(&path, serde_json::to_vec(&newer).unwrap()).unwrap();
    assert_eq!(WrappedKek::read(&path).unwrap_err().code(), "seal_damaged");
}

#[test]
fn a_new_wrapping_key_takes_over_and_the_former_one_goes_last() {
    let folder = tempfile::tempdir().unwrap();
    let arena = arena(8);
    let seal = TokenSeal::open(&softhsm::token(folder.path()), &arena).unwrap();
    let path = folder.path().join("seal.pkcs11");
    seal.create(&path, LABEL).unwrap();
    let kek = seal.unwrap(&path).unwrap().raw_key().unwrap();
    let same = |kek: &SecretBytes<32>| seal.unwrap(&path).unwrap().raw_key().unwrap().ct_eq(kek);
    let copy = folder.path().join("copy");
    std::fs::copy(&path, &copy).unwrap();

    let rewrap = seal.rewrap(&path, LABEL).unwrap();
    assert_eq!(
        rewrap.destroy_former().unwrap_err().code(),
        "seal_damaged",
        "not yet written"
    );
    assert!(same(&kek), "nothing was replaced");
    rewrap.write().unwrap();
    assert!(same(&kek));
    assert!(seal.unwrap(&copy).is_ok(), "both open");
    assert_eq!(seal.keys_called(LABEL).unwrap().len(), 2);
    rewrap.destroy_former().unwrap();
    assert!(same(&kek));
    assert!(seal.unwrap(&copy).is_err(), "the former file opens nothing");
    assert_eq!(seal.keys_called(LABEL).unwrap(), [rewrap.now().wrapping_key()]);
}

/// A token that makes a session object where one in the token was asked for, and says so or not: the key would be gone with the
/// session, and with it everything that is sealed.
#[test]
fn a_wrapping_key_that_is_gone_with_its_session_seals_nothing() {
    for words in ["passing", "passing lies"] {
        let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
        let config = TokenConfig {
            module: shim.module.clone(),
            ..softhsm::token(folder.path())
        };
        let seal = TokenSeal::open(&config, &arena(8)).unwrap();
        let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
        seal.create(&good, LABEL).unwrap();
        let kept = seal.keys_called(LABEL).unwrap();
        let text = std::fs::read(&good).unwrap();
        shim.tell(words);
        assert!(seal.create(&bad, LABEL).is_err(), "{words}");
        assert!(!bad.exists(), "{words}");
        assert!(seal.rewrap(&good, LABEL).is_err(), "{words}");
        shim.tell("");
        assert_eq!(std::fs::read(&good).unwrap(), text);
        assert!(seal.unwrap(&good).is_ok(), "the former key wraps still");
        assert_eq!(
            seal.keys_called(LABEL).unwrap(),
            kept,
            "{words}: no key is left behind"
        );
    }
}

/// What a wrapping key was made for was not written: the key goes again.
#[test]
fn a_wrapping_key_whose_file_is_not_written_is_destroyed() {
    let folder = tempfile::tempdir().unwrap();
    let seal = TokenSeal::open(&softhsm::token(folder.path()), &arena(8)).unwrap();
    let path = folder.path().join("seal.pkcs11");
    seal.create(&path, LABEL).unwrap();
    let kept = seal.keys_called(LABEL).unwrap();
    assert_eq!(seal.create(&path, LABEL).unwrap_err().code(), "file_exists");
    assert!(seal.create(&folder.path().join("no/folder"), LABEL).is_err());
    assert_eq!(seal.keys_called(LABEL).unwrap(), kept);

    let rewrap = seal.rewrap(&path, LABEL).unwrap();
    rewrap.abandon();
    assert_eq!(seal.keys_called(LABEL).unwrap(), kept);
    // A key that the file names is not abandoned.
    let rewrap = seal.rewrap(&path, LABEL).unwrap();
    rewrap.write().unwrap();
    rewrap.abandon();
    assert!(seal.unwrap(&path).is_ok());
}
