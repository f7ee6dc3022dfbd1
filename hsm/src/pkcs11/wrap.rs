//! The token as root: an AES key that never leaves it seals the key-encryption key of the software store.
//!
//! A stolen disk holds a wrapped key and nothing to unwrap it with. Tokens differ in what they offer: AES-GCM (SP 800-38D) by
//! `C_Encrypt`, or AES key wrap with and without padding (SP 800-38F, RFC 5649, RFC 3394) by `C_WrapKey`.
//!
//! # Invariants
//! * A wrapping key either encrypts and decrypts, or wraps and unwraps: a key that may do both gives away, by wrapping and then
//!   decrypting, every extractable key of the token.
//! * What was wrapped is unwrapped again, and compared, before its file exists.

use std::{path::Path, sync::Arc};

use cryptoki::{
    mechanism::{Mechanism, MechanismType, aead::GcmParams},
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    acts::Acts,
    client::Client,
    error::{Kind, TokenError},
    pin::Tries,
    provider::{TokenConfig, connect},
    record::CkaId,
    token::TokenIdentity,
};
use crate::{
    envelope::Kek,
    error::{Operation, ProviderError},
    private_file::{self, Existing},
    secret::{Arena, SecretBytes},
};

/// Largest file that is read.
const MAX_FILE: usize = 4096;
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
    #[serde(rename = "CKM_AES_KEY_WRAP_PAD")]
    KeyWrapPad,
    #[serde(rename = "CKM_AES_KEY_WRAP")]
    KeyWrap,
}

impl Method {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Gcm => "CKM_AES_GCM",
            Self::KeyWrapPad => "CKM_AES_KEY_WRAP_PAD",
            Self::KeyWrap => "CKM_AES_KEY_WRAP",
        }
    }
}

/// The best that a token offers.
pub(super) fn best_method(offered: &[MechanismType]) -> Option<Method> {
    [
        (Method::Gcm, MechanismType::AES_GCM),
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

/// A wrapped key-encryption key, as it is kept in a file. No secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrappedKek {
    version: u32,
    token_serial: String,
    cka_id: String,
    mechanism: Method,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    nonce: String,
    wrapped: String,
}

/// The token that seals.
pub struct TokenSeal {
    acts: Acts,
    client: Arc<Client>,
    identity: TokenIdentity,
    arena: Arena,
}

impl TokenSeal {
    /// Finds the token and logs in.
    ///
    /// # Errors
    /// As `Pkcs11Provider::open`.
    pub fn open(config: &TokenConfig, arena: &Arena) -> Result<Self, ProviderError> {
        let (client, token) = connect(config, arena, Tries::Spare)?;
        Ok(Self {
            acts: Acts::new(&client),
            client,
            identity: token.identity(),
            arena: arena.clone(),
        })
    }

    /// Makes a key-encryption key, and a wrapping key for it in the token; the file appears after the first was unwrapped again.
    ///
    /// # Errors
    /// `file_exists`; `unsupported` where the token wraps in no way known here; as the token fails.
    pub fn create(&self, path: &Path) -> Result<(), ProviderError> {
        let kek = SecretBytes::<32>::random(&self.arena)
            .map_err(|error| ProviderError::from_memory(Operation::Generate, error))?;
        self.wrap_to(path, &kek)
    }

    /// Wraps the key of an existing store (a key file's, a credential's), which then opens with the token as well.
    ///
    /// # Errors
    /// As [`Self::create`]; `unsupported` for a store that is sealed under a passphrase.
    pub fn take_over(&self, path: &Path, kek: &Kek) -> Result<(), ProviderError> {
        let key = kek.raw_key().ok_or(ProviderError::Unsupported {
            operation: Operation::Store,
            reason: "a passphrase is no key: move the store to a key file first",
        })?;
        self.wrap_to(path, &key)
    }

    /// Unwraps the key of a file.
    ///
    /// # Errors
    /// What is wrong with the file; `unsupported_token` where another token wrapped it; as the token fails.
    pub fn unwrap(&self, path: &Path) -> Result<Kek, ProviderError> {
        let bytes = private_file::read_sealed(path, MAX_FILE)
            .map_err(|error| ProviderError::from_file(Operation::Initialize, error))?;
        let wrapped: WrappedKek = serde_json::from_slice(&bytes).map_err(|error| {
            ProviderError::refused("seal_damaged", format!("{} is no wrapped key: {error}", path.display()))
        })?;
        let key = self.unwrapped(wrapped)?;
        Kek::raw(&self.arena, key)
            .map_err(|error| ProviderError::refused(error.code(), error.to_string()))
    }

    fn wrap_to(&self, path: &Path, kek: &SecretBytes<32>) -> Result<(), ProviderError> {
        let id = CkaId::random().map_err(|error| ProviderError::fault(Operation::Generate, error))?;
        let method = self.method()?;
        let (for_act, secret) = (id.clone(), Zeroizing::new(kek.expose().to_vec()));
        let (nonce, wrapped) = self.acts.run(Operation::Generate, move |session| {
            let place = [
                Attribute::Token(true),
                Attribute::Id(for_act.as_bytes().to_vec()),
                Attribute::Label(b"sigward seal".to_vec()),
            ];
            let key = make_wrapping_key(session, method, &place)?;
            wrap(session, method, key, &secret)
        })?;
        let wrapped = WrappedKek {
            version: 1,
            token_serial: self.identity.serial.clone(),
            cka_id: hex::encode(id.as_bytes()),
            mechanism: method,
            nonce: hex::encode(nonce),
            wrapped: hex::encode(wrapped),
        };
        if !self.unwrapped(wrapped.clone())?.ct_eq(kek) {
            return Err(ProviderError::fault(
                Operation::Generate,
                "the token unwraps another key than it wrapped",
            ));
        }
        let mut text = serde_json::to_vec_pretty(&wrapped).unwrap_or_default();
        text.push(b'\n');
        private_file::write(path, &text, Existing::Keep)
            .map_err(|error| ProviderError::from_file(Operation::Generate, error))
    }

    fn unwrapped(&self, wrapped: WrappedKek) -> Result<SecretBytes<32>, ProviderError> {
        let damaged = |what: &str| ProviderError::refused("seal_damaged", what.to_owned());
        if wrapped.version != 1 {
            return Err(damaged("the wrapped key has an unknown version"));
        }
        if wrapped.token_serial != self.identity.serial {
            let message = format!(
                "the key was wrapped by the token {:?}, and this one is {:?}",
                wrapped.token_serial, self.identity.serial
            );
            return Err(ProviderError::refused("other_token", message));
        }
        let parse = |text: &str| hex::decode(text).map_err(|_| damaged("the wrapped key is no hex"));
        let (id, nonce, blob) = (parse(&wrapped.cka_id)?, parse(&wrapped.nonce)?, parse(&wrapped.wrapped)?);
        let method = wrapped.mechanism;
        let secret = self.acts.run(Operation::Load, move |session| {
            let key = find_wrapping_key(session, &id)?;
            unwrap(session, method, key, &nonce, &blob)
        })?;
        if secret.len() != 32 {
            return Err(damaged("the wrapped key has no 32 bytes"));
        }
        SecretBytes::init_with(&self.arena, |into| {
            into.iter_mut().zip(secret.iter()).for_each(|(to, from)| *to = *from);
        })
        .map_err(|error| ProviderError::from_memory(Operation::Load, error))
    }

    fn method(&self) -> Result<Method, ProviderError> {
        let offered = self
            .client
            .look(|context, slot| Ok(context.get_mechanism_list(slot)?))
            .map_err(|error| error.during(Operation::Initialize))?;
        best_method(&offered).ok_or(ProviderError::Unsupported {
            operation: Operation::Initialize,
            reason: "the token offers none of CKM_AES_GCM, CKM_AES_KEY_WRAP_PAD, CKM_AES_KEY_WRAP",
        })
    }
}

fn make_wrapping_key(
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
    let found = session.get_attributes(
        key,
        &[
            AttributeType::Sensitive,
            AttributeType::Extractable,
            AttributeType::NeverExtractable,
            AttributeType::Decrypt,
            AttributeType::Wrap,
        ],
    )?;
    let confined = found.contains(&Attribute::Sensitive(true))
        && found.contains(&Attribute::Extractable(false))
        && found.contains(&Attribute::NeverExtractable(true))
        && !(found.contains(&Attribute::Decrypt(true)) && found.contains(&Attribute::Wrap(true)));
    if confined {
        return Ok(key);
    }
    let _best_effort = session.destroy_object(key);
    Err(TokenError::new(
        Kind::Failed,
        "the token made a wrapping key that can leave it, or that both wraps and decrypts",
        "do not use this token to seal",
    ))
}

fn find_wrapping_key(session: &Session, id: &[u8]) -> Result<ObjectHandle, TokenError> {
    let template = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Id(id.to_vec())];
    match session.find_objects(&template)?.as_slice() {
        [one] => Ok(*one),
        found => Err(TokenError::new(
            Kind::Failed,
            format!("the token shows {} wrapping keys with the id {}", found.len(), hex::encode(id)),
            "bring the token's backup back, or unseal with the passphrase or key file that you keep apart",
        )),
    }
}

fn wrap(
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
    let object = session.create_object(&[
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Value(secret.to_vec()),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ])?;
    let wrapped = session.wrap_key(&mechanism(method), key, object);
    let _session_object = session.destroy_object(object);
    Ok((Vec::new(), wrapped?))
}

fn unwrap(
    session: &Session,
    method: Method,
    key: ObjectHandle,
    nonce: &[u8],
    wrapped: &[u8],
) -> Result<Zeroizing<Vec<u8>>, TokenError> {
    if method == Method::Gcm {
        let mut iv = nonce.to_vec();
        if iv.is_empty() {
            return Err(TokenError::new(Kind::Failed, "the wrapped key has no nonce", "restore its file"));
        }
        let params = GcmParams::new(&mut iv, DOMAIN, TAG_BITS.into())?;
        return Ok(Zeroizing::new(session.decrypt(&Mechanism::AesGcm(params), key, wrapped)?));
    }
    let object = session.unwrap_key(
        &mechanism(method),
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
    let mut secret = Zeroizing::new(Vec::new());
    for attribute in value? {
        if let Attribute::Value(mut bytes) = attribute {
            secret.extend_from_slice(&bytes);
            bytes.zeroize();
        }
    }
    Ok(secret)
}

const fn mechanism(method: Method) -> Mechanism<'static> {
    match method {
        Method::KeyWrapPad => Mechanism::AesKeyWrapPad,
        Method::Gcm | Method::KeyWrap => Mechanism::AesKeyWrap,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{fixtures::arena, pkcs11::softhsm};

    #[test]
    fn what_a_token_wrapped_it_unwraps_and_no_other_token_does() {
        let folder = tempfile::tempdir().unwrap();
        let config = softhsm::token(folder.path());
        let arena = arena(8);
        let path = folder.path().join("seal.pkcs11");
        let seal = TokenSeal::open(&config, &arena).unwrap();
        seal.create(&path).unwrap();
        let first = seal.unwrap(&path).unwrap().raw_key().unwrap();
        let again = TokenSeal::open(&config, &arena).unwrap().unwrap(&path).unwrap();
        assert!(again.raw_key().unwrap().ct_eq(&first));

        let elsewhere = tempfile::tempdir().unwrap();
        let other = TokenSeal::open(&softhsm::token(elsewhere.path()), &arena).unwrap();
        assert_eq!(other.unwrap(&path).err().unwrap().code(), "other_token");

        let text = std::fs::read_to_string(&path).unwrap();
        let mut damaged: WrappedKek = serde_json::from_str(&text).unwrap();
        damaged.wrapped = damaged.wrapped.replace(&damaged.wrapped[0..2], "ff");
        if damaged.wrapped != serde_json::from_str::<WrappedKek>(&text).unwrap().wrapped {
            assert!(seal.unwrapped(damaged).is_err());
        }
    }

    #[test]
    fn every_way_of_wrapping_that_the_token_offers_works() {
        let folder = tempfile::tempdir().unwrap();
        let seal = TokenSeal::open(&softhsm::token(folder.path()), &arena(8)).unwrap();
        for method in [Method::Gcm, Method::KeyWrap] {
            let secret = vec![7; 32];
            let unwrapped = seal
                .acts
                .run(Operation::Generate, move |session| {
                    let key = make_wrapping_key(session, method, &[Attribute::Token(false)])?;
                    let (nonce, wrapped) = wrap(session, method, key, &secret)?;
                    unwrap(session, method, key, &nonce, &wrapped)
                })
                .unwrap();
            assert_eq!(unwrapped.as_slice(), [7; 32]);
        }
    }
}
