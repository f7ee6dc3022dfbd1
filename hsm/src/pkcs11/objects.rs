//! Key objects: made with the attributes that keep them in, read back, found by `CKA_ID`, and used.
//!
//! # Invariants
//! * What a template asked for is read back: a token that quietly gives less is refused, and its object destroyed.
//! * A signing key carries `CKA_SIGN` and no other use.

use cryptoki::{
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};
use sha2::{Digest as _, Sha256};
use sigward_policies::model::algorithm::{Algorithm, PublicKey, Signature};
use zeroize::Zeroize as _;

use super::{
    curve,
    error::{Kind, TokenError},
    record::CkaId,
};
use crate::software::KeyMaterial;

/// How an object came to be; decides what it must say of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Birth {
    /// In the token: it never was anywhere else.
    Generated,
    /// Put in from outside.
    Imported,
}

const fn key_type(algorithm: Algorithm) -> KeyType {
    match algorithm {
        Algorithm::Ed25519 => KeyType::EC_EDWARDS,
        Algorithm::Secp256k1 => KeyType::EC,
    }
}

/// Makes a key pair in the token; its public key is read from the token's object.
pub(super) fn generate(
    session: &Session,
    algorithm: Algorithm,
    id: &CkaId,
    label: &str,
) -> Result<PublicKey, TokenError> {
    let mechanism = generation(algorithm);
    let mut refused = None;
    // Tokens differ in which spelling of a curve they take.
    for ec_params in curve::params(algorithm) {
        let public = [public_template(algorithm, ec_params, id, label), vec![Attribute::Verify(true)]].concat();
        let private = private_template(algorithm, id, label);
        match session.generate_key_pair(&mechanism, &public, &private) {
            Ok((public, private)) => {
                let made = confine(session, private, Birth::Generated)
                    .and_then(|()| read_public_key(session, public, algorithm));
                if made.is_err() {
                    destroy(session, &[public, private]);
                }
                return made;
            }
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.map_or_else(|| no_object("key pair"), TokenError::from))
}

/// A key pair that is gone with its session.
pub(super) fn generate_for_session(
    session: &Session,
    algorithm: Algorithm,
) -> Result<(PublicKey, ObjectHandle), TokenError> {
    let passing = |template: Vec<Attribute>| -> Vec<Attribute> {
        let stays = |attribute: &Attribute| {
            !matches!(attribute, Attribute::Token(_) | Attribute::Id(_) | Attribute::Label(_))
        };
        let mut template: Vec<_> = template.into_iter().filter(stays).collect();
        template.push(Attribute::Token(false));
        template
    };
    let (id, mut refused) = (CkaId::random().map_err(|_| no_object("id"))?, None);
    for ec_params in curve::params(algorithm) {
        let public = passing(public_template(algorithm, ec_params, &id, ""));
        let private = passing(private_template(algorithm, &id, ""));
        match session.generate_key_pair(&generation(algorithm), &public, &private) {
            Ok((public, private)) => return Ok((read_public_key(session, public, algorithm)?, private)),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.map_or_else(|| no_object("key pair"), TokenError::from))
}

const fn generation(algorithm: Algorithm) -> Mechanism<'static> {
    match algorithm {
        Algorithm::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
        Algorithm::Secp256k1 => Mechanism::EccKeyPairGen,
    }
}

/// Puts a key in. The copy that cryptoki needs lives for one call and is overwritten after it.
pub(super) fn import(
    session: &Session,
    material: &KeyMaterial,
    id: &CkaId,
    label: &str,
) -> Result<(), TokenError> {
    let algorithm = material.public_key().algorithm();
    let Some(ec_params) = curve::params(algorithm).first() else {
        return Err(no_object("curve"));
    };
    let mut private = private_template(algorithm, id, label);
    private.push(Attribute::Class(ObjectClass::PRIVATE_KEY));
    private.push(Attribute::EcParams(ec_params.to_vec()));
    private.push(Attribute::Value(material.secret().expose().to_vec()));
    let created = session.create_object(&private);
    if let Some(Attribute::Value(secret)) = private.last_mut() {
        secret.zeroize();
    }
    let private = created?;
    let mut public = public_template(algorithm, ec_params, id, label);
    public.push(Attribute::Class(ObjectClass::PUBLIC_KEY));
    public.push(Attribute::EcPoint(curve::ec_point(material.public_key())));
    let outcome = confine(session, private, Birth::Imported)
        .and_then(|()| session.create_object(&public).map(drop).map_err(TokenError::from));
    if outcome.is_err() {
        destroy(session, &[private]);
    }
    outcome
}

fn public_template(algorithm: Algorithm, ec_params: &[u8], id: &CkaId, label: &str) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::KeyType(key_type(algorithm)),
        Attribute::EcParams(ec_params.to_vec()),
        Attribute::Id(id.as_bytes().to_vec()),
        Attribute::Label(label.as_bytes().to_vec()),
    ]
}

fn private_template(algorithm: Algorithm, id: &CkaId, label: &str) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::KeyType(key_type(algorithm)),
        Attribute::Id(id.as_bytes().to_vec()),
        Attribute::Label(label.as_bytes().to_vec()),
    ]
}

/// Reads back what keeps a private key in, and refuses a token that gave less than was asked for.
fn confine(session: &Session, private: ObjectHandle, birth: Birth) -> Result<(), TokenError> {
    let asked = [
        AttributeType::Token,
        AttributeType::Private,
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::Sign,
        AttributeType::AlwaysSensitive,
        AttributeType::NeverExtractable,
        AttributeType::Local,
    ];
    let found = session.get_attributes(private, &asked)?;
    let must = |attribute: Attribute| {
        if found.contains(&attribute) {
            return Ok(());
        }
        Err(TokenError::new(
            Kind::Failed,
            format!("the token made a key without {attribute:?}"),
            "do not use this token for keys that must not leave it",
        ))
    };
    must(Attribute::Token(true))?;
    must(Attribute::Private(true))?;
    must(Attribute::Sensitive(true))?;
    must(Attribute::Extractable(false))?;
    must(Attribute::Sign(true))?;
    if birth == Birth::Generated {
        must(Attribute::AlwaysSensitive(true))?;
        must(Attribute::NeverExtractable(true))?;
        must(Attribute::Local(true))?;
    }
    Ok(())
}

fn read_public_key(
    session: &Session,
    public: ObjectHandle,
    algorithm: Algorithm,
) -> Result<PublicKey, TokenError> {
    session
        .get_attributes(public, &[AttributeType::EcPoint])?
        .into_iter()
        .find_map(|attribute| match attribute {
            Attribute::EcPoint(point) => curve::public_key(algorithm, &point),
            _ => None,
        })
        .ok_or_else(|| no_object("public key that is a point"))
}

/// The private key with this id: none, or the one. Two are a mix-up that nothing is signed with.
pub(super) fn find_private(session: &Session, id: &CkaId) -> Result<Option<ObjectHandle>, TokenError> {
    let found = session.find_objects(&[
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Id(id.as_bytes().to_vec()),
    ])?;
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        many => Err(TokenError::new(
            Kind::Failed,
            format!("{} private keys have the id {}", many.len(), hex::encode(id.as_bytes())),
            "remove the objects that sigward did not make",
        )),
    }
}

/// Destroys every object with this id; private keys first, so that what is left signs nothing.
pub(super) fn destroy_all(session: &Session, id: &CkaId) -> Result<(), TokenError> {
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        let template = [Attribute::Class(class), Attribute::Id(id.as_bytes().to_vec())];
        for object in session.find_objects(&template)? {
            session.destroy_object(object)?;
        }
    }
    Ok(())
}

fn destroy(session: &Session, objects: &[ObjectHandle]) {
    for object in objects {
        let _best_effort = session.destroy_object(*object);
    }
}

/// Signs `message`: pure Ed25519, or ECDSA over its SHA-256 with the lower of the two s.
pub(super) fn sign(
    session: &Session,
    private: ObjectHandle,
    algorithm: Algorithm,
    message: &[u8],
) -> Result<Signature, TokenError> {
    let signature = match algorithm {
        Algorithm::Ed25519 => {
            let pure = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519));
            session.sign(&pure, private, message)?.try_into().ok()
        }
        Algorithm::Secp256k1 => {
            let digest = Sha256::digest(message);
            curve::low_s(&session.sign(&Mechanism::Ecdsa, private, &digest)?)
        }
    };
    signature
        .map(Signature)
        .ok_or_else(|| no_object("signature of 64 bytes that is one"))
}

fn no_object(what: &str) -> TokenError {
    TokenError::new(
        Kind::Failed,
        format!("the token gave no {what}"),
        "`sigward hsm probe` shows what this token can do",
    )
}
