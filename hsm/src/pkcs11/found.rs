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
    pub may_have_left: bool,
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
        let attributes = session.get_attributes(
            private,
            &[
                AttributeType::Id,
                AttributeType::Label,
                AttributeType::NeverExtractable,
            ],
        )?;
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
            may_have_left: !attributes.contains(&Attribute::NeverExtractable(true)),
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
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        conformance,
        fixtures::arena,
        pkcs11::softhsm,
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
            (found.public_key, found.may_have_left),
            (*key.public_key(), false)
        );
        let (name, now) = (KeyName::new("taken-in").unwrap(), UnixSeconds(1));
        let operator = conformance::operator();
        let unknown = provider.take_in_found(&operator, &name, now, "00").unwrap_err();
        assert_eq!(unknown.code(), "token_key_not_found");
        let taken = provider.take_in_found(&operator, &name, now, &found.id).unwrap();
        assert_eq!(taken.origin, Origin::Imported);
        let other = KeyName::new("again").unwrap();
        assert!(provider.take_in_found(&operator, &other, now, &found.id).is_err());
        assert_eq!(provider.list_keys().unwrap().len(), 1);
        provider.initialize().unwrap();
        assert_eq!(provider.list_keys().unwrap().len(), 1);
    }
}
