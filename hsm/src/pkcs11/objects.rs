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
    object::{Attribute, AttributeType, ObjectClass, ObjectHandle},
    session::Session,
};
use sigward_policies::model::algorithm::{Algorithm, PublicKey, Signature};
use zeroize::Zeroize as _;

use super::{
    curve::{self, Params},
    ecdsa::{self, Hashing},
    error::{Kind, TokenError},
    protection::Protection,
    record::CkaId,
};
use crate::{ecdsa::Curve, software::KeyMaterial};

/// How an object came to be; decides what it must say of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Birth {
    /// In the token: it never was anywhere else.
    Generated,
    /// Put in from outside.
    Imported,
}

/// Makes a key pair in the token; its public key, and how it is confined, are read from the token's objects.
pub(super) fn generate(
    session: &Session,
    algorithm: Algorithm,
    id: &CkaId,
    label: &str,
) -> Result<(PublicKey, Protection), TokenError> {
    let curve = Params::from(algorithm);
    let private = private_template(curve, id, label);
    let (public, private) = in_some_spelling(session, curve, &private, |ec_params| {
        [
            public_template(curve, ec_params, id, label),
            vec![Attribute::Verify(true)],
        ]
        .concat()
    })?;
    let made = confine(session, private, Birth::Generated).and_then(|protection| {
        let point = read_point(session, public)?;
        let public_key = curve::public_key(algorithm, &point).ok_or_else(no_point)?;
        Ok((public_key, protection))
    });
    if made.is_err() {
        destroy(session, &[public, private]);
    }
    made
}

/// A key pair that is gone with its session: the `CKA_EC_POINT`, and the private key.
pub(super) fn generate_passing(
    session: &Session,
    curve: Params,
) -> Result<(Vec<u8>, ObjectHandle), TokenError> {
    let passing = |template: Vec<Attribute>| -> Vec<Attribute> {
        let stays = |attribute: &Attribute| {
            !matches!(
                attribute,
                Attribute::Token(_) | Attribute::Id(_) | Attribute::Label(_)
            )
        };
        let mut template: Vec<_> = template.into_iter().filter(stays).collect();
        template.push(Attribute::Token(false));
        template
    };
    let id = CkaId::random().map_err(|_| no_object("id"))?;
    let private = passing(private_template(curve, &id, ""));
    let (public, private) = in_some_spelling(session, curve, &private, |ec_params| {
        passing(public_template(curve, ec_params, &id, ""))
    })?;
    Ok((read_point(session, public)?, private))
}

/// [`generate_passing`] for a key of the model.
pub(super) fn generate_for_session(
    session: &Session,
    algorithm: Algorithm,
) -> Result<(PublicKey, ObjectHandle), TokenError> {
    let (point, private) = generate_passing(session, Params::from(algorithm))?;
    let public_key = curve::public_key(algorithm, &point).ok_or_else(no_point)?;
    Ok((public_key, private))
}

/// Tokens differ in which spelling of a curve they take; the first refusal is the one to tell of.
fn in_some_spelling(
    session: &Session,
    curve: Params,
    private: &[Attribute],
    public: impl Fn(&'static [u8]) -> Vec<Attribute>,
) -> Result<(ObjectHandle, ObjectHandle), TokenError> {
    let (mechanism, name) = curve.generation();
    let mut first = None;
    for spelling in curve.spellings() {
        let error = match session.generate_key_pair(&mechanism, &public(spelling), private) {
            Ok(pair) => return Ok(pair),
            Err(error) => TokenError::from(error).with(name),
        };
        // A full token is not asked again, nor one that does not know us.
        if matches!(error.kind, Kind::Full | Kind::LoggedOut) {
            return Err(error);
        }
        first.get_or_insert(error);
    }
    Err(first.unwrap_or_else(no_point))
}

/// Puts a key in. The copy that cryptoki needs lives for one call and is overwritten after it.
pub(super) fn import(
    session: &Session,
    material: &KeyMaterial,
    id: &CkaId,
    label: &str,
) -> Result<Protection, TokenError> {
    let algorithm = material.public_key().algorithm();
    let curve = Params::from(algorithm);
    let ec_params = curve.usual_spelling();
    let mut private = private_template(curve, id, label);
    private.push(Attribute::Class(ObjectClass::PRIVATE_KEY));
    private.push(Attribute::EcParams(ec_params.to_vec()));
    private.push(Attribute::Value(material.secret().expose().to_vec()));
    let created = session.create_object(&private);
    if let Some(Attribute::Value(secret)) = private.last_mut() {
        secret.zeroize();
    }
    let private = created?;
    let mut public = public_template(curve, ec_params, id, label);
    public.push(Attribute::Class(ObjectClass::PUBLIC_KEY));
    public.push(Attribute::EcPoint(curve::ec_point(material.public_key())));
    let outcome = confine(session, private, Birth::Imported).and_then(|protection| {
        session.create_object(&public)?;
        Ok(protection)
    });
    if outcome.is_err() {
        destroy(session, &[private]);
    }
    outcome
}

fn public_template(curve: Params, ec_params: &[u8], id: &CkaId, label: &str) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::KeyType(curve.key_type()),
        Attribute::EcParams(ec_params.to_vec()),
        Attribute::Id(id.as_bytes().to_vec()),
        Attribute::Label(label.as_bytes().to_vec()),
    ]
}

fn private_template(curve: Params, id: &CkaId, label: &str) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::KeyType(curve.key_type()),
        Attribute::Id(id.as_bytes().to_vec()),
        Attribute::Label(label.as_bytes().to_vec()),
    ]
}

/// Reads back what keeps a private key in, and refuses a token that gave less than was asked for.
fn confine(session: &Session, private: ObjectHandle, birth: Birth) -> Result<Protection, TokenError> {
    let asked = [
        &[AttributeType::Token, AttributeType::Sign][..],
        &Protection::ASKED,
    ]
    .concat();
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
    Ok(Protection::of(&found))
}

/// `CKA_EC_POINT`, as the token spells it.
fn read_point(session: &Session, public: ObjectHandle) -> Result<Vec<u8>, TokenError> {
    session
        .get_attributes(public, &[AttributeType::EcPoint])?
        .into_iter()
        .find_map(|attribute| match attribute {
            Attribute::EcPoint(point) => Some(point),
            _ => None,
        })
        .ok_or_else(no_point)
}

fn no_point() -> TokenError {
    no_object("public key that is a point")
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
            format!(
                "{} private keys have the id {}",
                many.len(),
                hex::encode(id.as_bytes())
            ),
            "remove the objects that sigward did not make",
        )),
    }
}

/// Destroys every object with this id, which is 16 random bytes of ours; private keys first, so that what is left signs nothing.
pub(super) fn destroy_made(session: &Session, id: &CkaId) -> Result<(), TokenError> {
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        let template = [Attribute::Class(class), Attribute::Id(id.as_bytes().to_vec())];
        for object in session.find_objects(&template)? {
            session.destroy_object(object)?;
        }
    }
    Ok(())
}

/// Destroys the one key pair that has this id and this public key, private key first. An id that somebody else chose may be another
/// key's too: two private keys refuse, and one that `is_ours` does not know by what it signs.
pub(super) fn destroy_pair(
    session: &Session,
    id: &CkaId,
    public_key: &PublicKey,
    is_ours: impl FnOnce(ObjectHandle) -> Result<bool, TokenError>,
) -> Result<(), TokenError> {
    if let Some(private) = find_private(session, id)? {
        if !is_ours(private)? {
            return Err(TokenError::new(
                Kind::Failed,
                format!(
                    "the private key with the id {} is another one than {public_key}",
                    hex::encode(id.as_bytes())
                ),
                "nothing was destroyed: see what the token holds with its maker's tool",
            ));
        }
        session.destroy_object(private)?;
    }
    let template = [
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::Id(id.as_bytes().to_vec()),
    ];
    for public in session.find_objects(&template)? {
        let point = read_point(session, public)?;
        if curve::public_key(public_key.algorithm(), &point) == Some(*public_key) {
            session.destroy_object(public)?;
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
    hashing: &mut Hashing,
) -> Result<Signature, TokenError> {
    match algorithm {
        Algorithm::Ed25519 => {
            let pure = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519));
            session
                .sign(&pure, private, message)
                .map_err(|error| TokenError::from(error).with("CKM_EDDSA"))?
                .try_into()
                .map_err(|_| no_object("signature of 64 bytes"))
        }
        Algorithm::Secp256k1 => ecdsa::sign(session, private, Curve::Secp256k1, message, hashing),
    }
    .map(Signature)
}

pub(super) fn no_object(what: &str) -> TokenError {
    TokenError::new(
        Kind::Failed,
        format!("the token gave no {what}"),
        "`sigward hsm probe` shows what this token can do",
    )
}
