//! How a token wraps 32 bytes: AES-GCM (SP 800-38D) by `C_Encrypt`, or AES key wrap with and without padding (SP 800-38F, RFC 5649,
//! RFC 3394) by `C_WrapKey`. Tokens differ in what they offer.
//!
//! # Invariant
//! A wrapping key either encrypts and decrypts, or wraps and unwraps: a key that may do both gives away, by wrapping and then
//! decrypting, every extractable key of the token.

use cryptoki::{
    mechanism::{Mechanism, MechanismType, aead::GcmParams, vendor_defined::VendorDefinedMechanism},
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    error::{Kind, TokenError},
    mechanism,
    objects::no_object,
};

/// Bytes of a nonce of AES-GCM.
const NONCE: usize = 12;
/// Bits of its tag.
const TAG_BITS: u64 = 128;
/// What AES-GCM authenticates besides the key.
const DOMAIN: &[u8] = b"sigward key-encryption key v1";

/// How a token wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Method {
    #[serde(rename = "CKM_AES_GCM")]
    Gcm,
    #[serde(rename = "CKM_AES_KEY_WRAP_KWP")]
    Kwp,
    #[serde(rename = "CKM_AES_KEY_WRAP_PAD")]
    KeyWrapPad,
    #[serde(rename = "CKM_AES_KEY_WRAP")]
    KeyWrap,
}

impl Method {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Gcm => "CKM_AES_GCM",
            Self::Kwp => "CKM_AES_KEY_WRAP_KWP",
            Self::KeyWrapPad => "CKM_AES_KEY_WRAP_PAD",
            Self::KeyWrap => "CKM_AES_KEY_WRAP",
        }
    }
}

/// The best that a token offers.
pub(super) fn best_method(offered: &[MechanismType]) -> Option<Method> {
    [
        (Method::Gcm, MechanismType::AES_GCM),
        (Method::Kwp, mechanism::AES_KEY_WRAP_KWP),
        (Method::KeyWrapPad, MechanismType::AES_KEY_WRAP_PAD),
        (Method::KeyWrap, MechanismType::AES_KEY_WRAP),
    ]
    .into_iter()
    .find(|(_, mechanism)| offered.contains(mechanism))
    .map(|(method, _)| method)
}

/// Unwrapping with a wrapping key of this session alone, after it was seen to give back what was wrapped.
pub(super) fn unwrapper(
    session: &Session,
    method: Method,
) -> Result<Box<dyn FnMut() -> Result<(), TokenError> + '_>, TokenError> {
    let key = make_wrapping_key(session, method, &[Attribute::Token(false)])?;
    let (nonce, wrapped) = wrap(session, method, key, &[7; 32])?;
    let once = move || unwrap(session, method, key, &nonce, &wrapped);
    if *once()? != [7; 32] {
        return Err(TokenError::new(
            Kind::Failed,
            "the token unwraps another key than it wrapped",
            "do not use this token to seal",
        ));
    }
    Ok(Box::new(move || once().map(drop)))
}

pub(super) fn make_wrapping_key(
    session: &Session,
    method: Method,
    place: &[Attribute],
) -> Result<ObjectHandle, TokenError> {
    let encrypts = method == Method::Gcm;
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::ValueLen(32.into()),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(encrypts),
        Attribute::Decrypt(encrypts),
        Attribute::Wrap(!encrypts),
        Attribute::Unwrap(!encrypts),
    ];
    let key = session.generate_key(&Mechanism::AesKeyGen, &[&template[..], place].concat())?;
    let lasts = place.contains(&Attribute::Token(true));
    let judged = confined(session, key, lasts);
    if judged.is_err() {
        let _best_effort = session.destroy_object(key);
    }
    judged.map(|()| key)
}

/// Reads back what keeps a wrapping key in the token, and there: one that is gone with its session seals for an hour, and then what
/// it sealed is gone too.
pub(super) fn confined(session: &Session, key: ObjectHandle, lasts: bool) -> Result<(), TokenError> {
    let found = session.get_attributes(
        key,
        &[
            AttributeType::Token,
            AttributeType::Private,
            AttributeType::Local,
            AttributeType::Sensitive,
            AttributeType::AlwaysSensitive,
            AttributeType::Extractable,
            AttributeType::NeverExtractable,
            AttributeType::Decrypt,
            AttributeType::Wrap,
        ],
    )?;
    let refused = |what: String| {
        Err(TokenError::new(
            Kind::Failed,
            what,
            "do not use this token to seal",
        ))
    };
    for must in [
        Attribute::Token(lasts),
        Attribute::Private(true),
        Attribute::Local(true),
        Attribute::Sensitive(true),
        Attribute::AlwaysSensitive(true),
        Attribute::Extractable(false),
        Attribute::NeverExtractable(true),
    ] {
        if !found.contains(&must) {
            return refused(format!("the token made a wrapping key without {must:?}"));
        }
    }
    if found.contains(&Attribute::Decrypt(true)) && found.contains(&Attribute::Wrap(true)) {
        return refused("the token made a wrapping key that both wraps and decrypts".to_owned());
    }
    Ok(())
}

/// Destroys every secret key with this id, which is 16 random bytes of ours.
pub(super) fn destroy_wrapping_keys(session: &Session, id: &[u8]) -> Result<(), TokenError> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Id(id.to_vec()),
    ];
    for key in session.find_objects(&template)? {
        session.destroy_object(key)?;
    }
    Ok(())
}

pub(super) fn find_wrapping_key(session: &Session, id: &[u8]) -> Result<ObjectHandle, TokenError> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Id(id.to_vec()),
    ];
    match session.find_objects(&template)?.as_slice() {
        [one] => Ok(*one),
        found => Err(TokenError::new(
            Kind::Failed,
            format!(
                "the token shows {} wrapping keys with the id {}",
                found.len(),
                hex::encode(id)
            ),
            "bring the token's backup back; without the wrapping key only a backup of the keys (`sigward keys restore`) helps",
        )),
    }
}

pub(super) fn wrap(
    session: &Session,
    method: Method,
    key: ObjectHandle,
    secret: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), TokenError> {
    if method == Method::Gcm {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce)
            .map_err(|error| TokenError::new(Kind::Failed, error.to_string(), "try again"))?;
        let mut iv = nonce;
        let params = GcmParams::new(&mut iv, DOMAIN, TAG_BITS.into())?;
        let sealed = session.encrypt(&Mechanism::AesGcm(params), key, secret)?;
        return Ok((nonce.to_vec(), sealed));
    }
    let mut template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::Value(secret.to_vec()),
    ];
    let created = session.create_object(&template);
    wipe(&mut template);
    let object = created?;
    let wrapped = session.wrap_key(&key_wrap(method), key, object);
    let _session_object = session.destroy_object(object);
    Ok((Vec::new(), wrapped?))
}

pub(super) fn unwrap(
    session: &Session,
    method: Method,
    key: ObjectHandle,
    nonce: &[u8],
    wrapped: &[u8],
) -> Result<Zeroizing<Vec<u8>>, TokenError> {
    if method == Method::Gcm {
        let mut iv = nonce.to_vec();
        if iv.is_empty() {
            return Err(TokenError::new(
                Kind::Failed,
                "the wrapped key has no nonce",
                "restore its file",
            ));
        }
        let params = GcmParams::new(&mut iv, DOMAIN, TAG_BITS.into())?;
        return Ok(Zeroizing::new(session.decrypt(
            &Mechanism::AesGcm(params),
            key,
            wrapped,
        )?));
    }
    let object = session.unwrap_key(
        &key_wrap(method),
        key,
        wrapped,
        &[
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::Token(false),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
        ],
    )?;
    let value = session.get_attributes(object, &[AttributeType::Value]);
    let _session_object = session.destroy_object(object);
    let mut value = value?;
    let secret = value.iter_mut().find_map(|attribute| match attribute {
        Attribute::Value(bytes) => Some(Zeroizing::new(std::mem::take(bytes))),
        _ => None,
    });
    // Whatever else a token answered with.
    wipe(&mut value);
    secret.ok_or_else(|| no_object("value of the unwrapped key"))
}

/// Overwrites the secrets among attributes: the copies that cryptoki needs live for one call.
fn wipe(attributes: &mut [Attribute]) {
    for attribute in attributes {
        if let Attribute::Value(secret) = attribute {
            secret.zeroize();
        }
    }
}

fn key_wrap(method: Method) -> Mechanism<'static> {
    match method {
        Method::Kwp => Mechanism::VendorDefined(VendorDefinedMechanism::new::<()>(
            mechanism::AES_KEY_WRAP_KWP,
            None,
        )),
        Method::KeyWrapPad => Mechanism::AesKeyWrapPad,
        Method::Gcm | Method::KeyWrap => Mechanism::AesKeyWrap,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        error::Operation,
        fixtures::arena,
        pkcs11::{
            TokenConfig, TokenSeal,
            softhsm::{self, Shim},
        },
    };

    /// What a key wraps comes back; a changed bit, or another key, does not give anything (RFC 3394 and 5649: the integrity check).
    fn wraps_and_notices_changes(seal: &TokenSeal, method: Method) {
        let unwrapped = seal.acts().run(Operation::Generate, move |session| {
            let key = make_wrapping_key(session, method, &[Attribute::Token(false)])?;
            let other = make_wrapping_key(session, method, &[Attribute::Token(false)])?;
            let (nonce, wrapped) = wrap(session, method, key, &[7; 32])?;
            assert_eq!(
                wrapped.len(),
                if method == Method::Gcm { 48 } else { 40 },
                "{method:?}"
            );
            for byte in 0..wrapped.len() {
                let mut changed = wrapped.clone();
                if let Some(byte) = changed.get_mut(byte) {
                    *byte ^= 1;
                }
                assert!(
                    unwrap(session, method, key, &nonce, &changed).is_err(),
                    "{method:?}: byte {byte}"
                );
            }
            assert!(unwrap(session, method, other, &nonce, &wrapped).is_err());
            unwrap(session, method, key, &nonce, &wrapped)
        });
        assert_eq!(unwrapped.unwrap().as_slice(), [7; 32]);
    }

    #[test]
    fn every_way_of_wrapping_that_the_token_offers_works() {
        let folder = tempfile::tempdir().unwrap();
        let seal = TokenSeal::open(&softhsm::token(folder.path()), &arena(8)).unwrap();
        for method in [Method::Gcm, Method::KeyWrapPad, Method::KeyWrap] {
            wraps_and_notices_changes(&seal, method);
        }
    }

    #[test]
    fn the_mechanism_of_rfc_5649_is_found_and_used_by_its_own_number() {
        let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
        let config = TokenConfig {
            module: shim.module.clone(),
            ..softhsm::token(folder.path())
        };
        let arena = arena(8);
        let seal = TokenSeal::open(&config, &arena).unwrap();
        let offered = || seal.client.look(mechanism::offered).unwrap();
        assert_eq!(best_method(&offered()), Some(Method::Gcm));
        assert!(!offered().contains(&mechanism::AES_KEY_WRAP_KWP));
        shim.tell("kwp");
        assert_eq!(best_method(&offered()), Some(Method::Kwp));
        wraps_and_notices_changes(&seal, Method::Kwp);
        let path = folder.path().join("seal.pkcs11");
        seal.create(&path, "rfc-5649").unwrap();
        assert!(
            std::fs::read_to_string(&path)
                .unwrap()
                .contains("\"CKM_AES_KEY_WRAP_KWP\"")
        );
        seal.unwrap(&path).unwrap();
    }
}
