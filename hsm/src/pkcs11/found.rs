//! Keys that somebody else made in the token: listed, and taken in by their `CKA_ID`.
//!
//! # Invariant
//! A key is taken in only after it signed a test message that verifies with the public object beside it: two objects of one id
//! need not be a pair.

use cryptoki::{
    object::{Attribute, AttributeType, ObjectClass},
    session::Session,
};
use sigward_policies::model::{
    algorithm::{Algorithm, PublicKey},
    id::{KeyName, UnixSeconds},
    key::Origin,
};

use super::{
    curve,
    error::TokenError,
    protection::Protection,
    provider::Pkcs11Provider,
    record::{CkaId, Record},
};
use crate::{
    error::{Operation, ProviderError},
    provider::{AuthContext, KeyMetadata},
};

/// A key pair in the token that sigward did not make and has no record of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundKey {
    /// `CKA_ID`, lower-case hex; what it is taken in by.
    pub id: String,
    /// `CKA_LABEL`, as text.
    pub label: String,
    /// The public key of the pair.
    pub public_key: PublicKey,
    /// Whether its bytes can leave the token, or could once: other copies may exist.
    pub protection: Protection,
    /// Whether it outlasts the session that made it (`CKA_TOKEN`).
    pub lasts: bool,
}

/// What is said of a key that may have left its token, or that signs without a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// It is not taken in.
    Refused,
    /// The operator knows of it.
    Known,
}

impl Pkcs11Provider {
    /// Every key pair of a known curve in the token that is not one of ours.
    ///
    /// # Errors
    /// As the token fails.
    pub fn found_keys(&self) -> Result<Vec<FoundKey>, ProviderError> {
        let found = self.acts.run(Operation::List, list)?;
        let known = self.records();
        Ok(found
            .into_iter()
            .filter(|key| !known.contains_key(&key.public_key))
            .collect())
    }

    /// Takes in a key that is in the token. What it signed before is for the caller to say; its origin is `imported`.
    ///
    /// # Errors
    /// `key_exists`; `token_key_not_found`; as the token fails.
    pub fn take_in_found(
        &self,
        auth: &AuthContext,
        name: &KeyName,
        created_at: UnixSeconds,
        id: &str,
        leaving: Leaving,
    ) -> Result<KeyMetadata, ProviderError> {
        auth.may_manage()?;
        self.name_is_free(name)?;
        let found = self.found_keys()?;
        let key = found.iter().find(|key| key.id == id).ok_or_else(|| {
            let there: Vec<_> = found.iter().map(|key| key.id.as_str()).collect();
            ProviderError::Refused {
                code: "token_key_not_found",
                message: format!("the token shows no signing key with the id {id} that is not here already"),
                remedy: Some(format!("there are: {}", there.join(", "))),
            }
        })?;
        if !key.lasts {
            return Err(ProviderError::Refused {
                code: "token_key_not_found",
                message: format!(
                    "the key pair with the id {id} is a session object (CKA_TOKEN is false): it is gone when the session is that made it"
                ),
                remedy: Some("make a key in the token: `sigward keys create NAME --provider …`".to_owned()),
            });
        }
        if leaving == Leaving::Refused && !key.protection.is_whole() {
            return Err(ProviderError::Refused {
                code: "token_key_may_have_left",
                message: format!("the key {id} {}", key.protection.told()),
                remedy: Some(
                    "make another key in the token (`sigward keys create NAME --provider …`); or, knowing that copies of it may sign \
                     elsewhere, say --may-have-left"
                        .to_owned(),
                ),
            });
        }
        let id = hex::decode(id)
            .map(CkaId::existing)
            .map_err(|error| ProviderError::refused("invalid_parameters", error.to_string()))?;
        let record = Record {
            name: name.clone(),
            public_key: key.public_key,
            origin: Origin::Imported,
            created_at,
            serial: self.token().serial.clone(),
            id,
            protection: Some(key.protection),
        };
        // Not `take_in`: an object that somebody else made is not ours to remove when something fails.
        self.try_out(&record.id, record.public_key, Operation::Store)?;
        self.record(record, Operation::Store)
    }
}

fn list(session: &Session) -> Result<Vec<FoundKey>, TokenError> {
    let mut found = Vec::new();
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Sign(true)];
    for private in session.find_objects(&template)? {
        let asked = [
            &[AttributeType::Id, AttributeType::Label, AttributeType::Token][..],
            &Protection::ASKED,
        ]
        .concat();
        let attributes = session.get_attributes(private, &asked)?;
        let id = attributes.iter().find_map(|attribute| match attribute {
            Attribute::Id(id) if !id.is_empty() => Some(id.clone()),
            _ => None,
        });
        let Some(id) = id else { continue };
        let Some(public_key) = public_half(session, &id)? else {
            continue;
        };
        let label = attributes.iter().find_map(|attribute| match attribute {
            Attribute::Label(label) => Some(String::from_utf8_lossy(label).into_owned()),
            _ => None,
        });
        found.push(FoundKey {
            id: hex::encode(id),
            label: label.unwrap_or_default(),
            public_key,
            protection: Protection::of(&attributes),
            lasts: attributes.contains(&Attribute::Token(true)),
        });
    }
    Ok(found)
}

/// The public key beside a private one; none where it is missing, or on a curve that is not one of ours.
fn public_half(session: &Session, id: &[u8]) -> Result<Option<PublicKey>, TokenError> {
    let template = [
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::Id(id.to_vec()),
    ];
    let objects = session.find_objects(&template)?;
    let [public] = objects.as_slice() else {
        return Ok(None);
    };
    let attributes = session.get_attributes(*public, &[AttributeType::EcParams, AttributeType::EcPoint])?;
    let algorithm = attributes.iter().find_map(|attribute| match attribute {
        Attribute::EcParams(params) => curve::algorithm_of(params),
        _ => None,
    });
    let point = attributes.iter().find_map(|attribute| match attribute {
        Attribute::EcPoint(point) => Some(point),
        _ => None,
    });
    Ok(match (algorithm, point) {
        (Some(algorithm @ (Algorithm::Ed25519 | Algorithm::Secp256k1)), Some(point)) => {
            curve::public_key(algorithm, point)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::{
        conformance,
        fixtures::arena,
        pkcs11::{objects, softhsm},
        provider::{HsmProvider as _, KeyStorageProvider as _},
    };

    #[test]
    fn a_key_that_is_in_the_token_is_found_and_taken_in_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = softhsm::token(folder.path());
        let arena = arena(8);
        let maker = Pkcs11Provider::open(&config, &arena).unwrap();
        let key = conformance::generate(&maker, "made-elsewhere", Algorithm::Ed25519);
        assert!(maker.found_keys().unwrap().is_empty(), "our own is not found");
        drop(maker);
        config.folder = folder.path().join("other-records");
        let provider = Pkcs11Provider::open(&config, &arena).unwrap();
        let found = provider.found_keys().unwrap();
        assert_eq!(found.len(), 1);
        let found = found.first().unwrap();
        assert_eq!(
            (found.public_key, found.protection.is_whole(), found.lasts),
            (*key.public_key(), true, true)
        );
        let (name, now) = (KeyName::new("taken-in").unwrap(), UnixSeconds(1));
        let operator = conformance::operator();
        let unknown = provider
            .take_in_found(&operator, &name, now, "00", Leaving::Refused)
            .unwrap_err();
        assert_eq!(unknown.code(), "token_key_not_found");
        let taken = provider
            .take_in_found(&operator, &name, now, &found.id, Leaving::Refused)
            .unwrap();
        assert_eq!(taken.origin, Origin::Imported);
        let other = KeyName::new("again").unwrap();
        assert!(
            provider
                .take_in_found(&operator, &other, now, &found.id, Leaving::Known)
                .is_err()
        );
        assert_eq!(provider.list_keys().unwrap().len(), 1);
        provider.initialize().unwrap();
        assert_eq!(provider.list_keys().unwrap().len(), 1);
    }

    /// A key pair as another program makes it: with its own idea of what to allow.
    fn made_elsewhere(provider: &Pkcs11Provider, id: u8, lasts: bool, extractable: bool) {
        let both = move |more: &[Attribute]| {
            [
                &[
                    Attribute::Token(lasts),
                    Attribute::Id(vec![id]),
                    Attribute::Label(b"theirs".to_vec()),
                ],
                more,
            ]
            .concat()
        };
        let params = Attribute::EcParams(curve::Params::from(Algorithm::Ed25519).usual_spelling().to_vec());
        let public = both(&[params, Attribute::Verify(true)]);
        let private = both(&[
            Attribute::Private(true),
            Attribute::Sign(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(extractable),
        ]);
        let made = provider.acts.run(Operation::Generate, move |session| {
            let mechanism = cryptoki::mechanism::Mechanism::EccEdwardsKeyPairGen;
            session.generate_key_pair(&mechanism, &public, &private)?;
            Ok(())
        });
        made.unwrap();
    }

    #[test]
    fn a_key_that_may_have_left_is_taken_in_only_by_whoever_says_so() {
        // A module of its own: a restart by another test would take the session object away.
        let (shim, folder) = (softhsm::Shim::take(), tempfile::tempdir().unwrap());
        let config = crate::pkcs11::TokenConfig {
            module: shim.module.clone(),
            ..softhsm::token(folder.path())
        };
        let provider = Pkcs11Provider::open(&config, &arena(8)).unwrap();
        made_elsewhere(&provider, 1, true, true);
        made_elsewhere(&provider, 2, true, false);
        made_elsewhere(&provider, 3, false, false);
        let (operator, now) = (conformance::operator(), UnixSeconds(1));
        let name = |name: &str| KeyName::new(name).unwrap();
        let take =
            |called: &str, id, leaving| provider.take_in_found(&operator, &name(called), now, id, leaving);
        let refused = take("loose", "01", Leaving::Refused).unwrap_err();
        assert_eq!(refused.code(), "token_key_may_have_left");
        let said = refused.to_string();
        assert!(
            said.contains("CKA_EXTRACTABLE is true, CKA_NEVER_EXTRACTABLE is false"),
            "{said}"
        );
        assert!(provider.list_keys().unwrap().is_empty());
        let passing = take("passing", "03", Leaving::Known).unwrap_err();
        assert!(passing.to_string().contains("CKA_TOKEN is false"), "{passing}");
        take("loose", "01", Leaving::Known).unwrap();
        take("tight", "02", Leaving::Refused).unwrap();
        let recorded = crate::pkcs11::recorded_keys(&folder.path().join("records")).unwrap();
        let told: Vec<_> = recorded
            .iter()
            .map(|key| (key.name.as_str(), key.protection.unwrap().is_whole()))
            .collect();
        assert_eq!(told, [("loose", false), ("tight", true)], "{recorded:?}");
    }

    #[test]
    fn destroying_a_key_that_was_taken_in_destroys_no_other_of_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let provider = Pkcs11Provider::open(&softhsm::token(folder.path()), &arena(8)).unwrap();
        made_elsewhere(&provider, 1, true, false);
        let (operator, name) = (conformance::operator(), KeyName::new("ours").unwrap());
        let ours = provider.take_in_found(&operator, &name, UnixSeconds(1), "01", Leaving::Refused);
        let handle = provider.load_key(&ours.unwrap().public_key).unwrap();
        let public_key = *handle.public_key();
        let is_private = || [Attribute::Class(ObjectClass::PRIVATE_KEY)];
        let count = || {
            let found = provider.acts.run(Operation::List, move |session| {
                Ok(session.find_objects(&is_private())?.len())
            });
            found.unwrap()
        };
        // Another program makes a key of the same id, as most do that count from 01.
        made_elsewhere(&provider, 1, true, false);
        assert!(provider.delete_key(&operator, &handle).is_err());
        assert_eq!(count(), 2, "which one is ours is not known: nothing goes");
        // Ours goes by another hand, and theirs is left. (Handles mean nothing in another session: it is known by what it signs.)
        let destroyed = provider.acts.run(Operation::Delete, move |session| {
            let verifier = crate::verify::Verifier::new(&public_key).unwrap();
            for key in session.find_objects(&is_private())? {
                let hashing = &mut super::super::ecdsa::Hashing::default();
                let signed = objects::sign(session, key, Algorithm::Ed25519, b"whose", hashing)?;
                if verifier.verify(b"whose", &signed).is_ok() {
                    session.destroy_object(key)?;
                }
            }
            Ok(())
        });
        destroyed.unwrap();
        assert_eq!(count(), 1);
        provider.initialize().unwrap();
        let refused = provider.delete_key(&operator, &handle).unwrap_err();
        assert_eq!(refused.code(), "provider_fault", "{refused}");
        assert_eq!(count(), 1, "theirs stays");
    }

    #[test]
    fn a_record_that_does_not_read_costs_its_own_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        let config = softhsm::token(folder.path());
        let arena = arena(8);
        let provider = Pkcs11Provider::open(&config, &arena).unwrap();
        let good = conformance::generate(&provider, "good", Algorithm::Ed25519);
        let bad = conformance::generate(&provider, "bad", Algorithm::Ed25519);
        drop(provider);
        let file = config
            .folder
            .join(format!("{}.pkcs11", hex::encode(bad.public_key().as_bytes())));
        let text = std::fs::read(&file).unwrap();
        std::fs::write(&file, text.split_at(text.len() / 2).0).unwrap();
        let provider = Pkcs11Provider::open(&config, &arena).unwrap();
        assert!(provider.load_key(good.public_key()).is_ok());
        assert!(provider.load_key(bad.public_key()).is_err());
        let damaged = crate::pkcs11::damaged_records(&config.folder).unwrap();
        assert_eq!(damaged.len(), 1);
        let damaged = damaged.first().unwrap();
        assert_eq!(damaged.path, file);
        assert!(damaged.what.contains(file.to_str().unwrap()), "{}", damaged.what);
        std::fs::write(&file, text).unwrap();
        provider.initialize().unwrap();
        assert!(
            provider.load_key(bad.public_key()).is_ok(),
            "whole again, it is there again"
        );
    }
}
