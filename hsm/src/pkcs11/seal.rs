//! The token as root: an AES key that never leaves it seals the key-encryption key of the software store.
//!
//! A stolen disk holds a wrapped key and nothing to unwrap it with.
//!
//! # Invariants
//! * What was wrapped is unwrapped again, in another session, and compared, before its file exists: a wrapping key that is gone with
//!   its session would take everything with it that is sealed.
//! * A wrapping key is destroyed only after the file that needs another one is on disk; one that no file came to need is destroyed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cryptoki::object::{Attribute, ObjectClass};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    acts::Acts,
    client::Client,
    error::{Kind, TokenError},
    login::Tries,
    mechanism,
    provider::{TokenConfig, connect},
    record::CkaId,
    token::TokenIdentity,
    wrap::{
        Method, best_method, confined, destroy_wrapping_keys, find_wrapping_key, make_wrapping_key, unwrap,
        wrap,
    },
};
use crate::{
    envelope::Kek,
    error::{Operation, ProviderError},
    private_file::{self, Existing},
    secret::{Arena, SecretBytes},
};

/// Largest file that is read.
const MAX_FILE: usize = 4096;

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

impl WrappedKek {
    /// Reads a file; asks no token.
    ///
    /// # Errors
    /// `seal_damaged`, or what is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, ProviderError> {
        let bytes = private_file::read_sealed(path, MAX_FILE)
            .map_err(|error| ProviderError::from_file(Operation::Initialize, error))?;
        let wrapped: Self = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(format!("{} is no wrapped key: {error}", path.display())))?;
        match wrapped.version {
            1 => Ok(wrapped),
            other => Err(damaged(format!(
                "{} has the unknown version {other}",
                path.display()
            ))),
        }
    }

    /// The serial number of the token that wrapped it.
    #[must_use]
    pub fn token_serial(&self) -> &str {
        &self.token_serial
    }

    /// `CKA_ID` of the wrapping key, in hex.
    #[must_use]
    pub fn wrapping_key(&self) -> &str {
        &self.cka_id
    }

    /// The mechanism, as PKCS#11 spells it.
    #[must_use]
    pub const fn mechanism(&self) -> &'static str {
        self.mechanism.as_str()
    }

    fn write(&self, path: &Path, existing: Existing) -> Result<(), ProviderError> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| ProviderError::fault(Operation::Generate, error))?;
        text.push(b'\n');
        private_file::write(path, &text, existing)
            .map_err(|error| ProviderError::from_file(Operation::Generate, error))
    }
}

/// The token that seals.
pub struct TokenSeal {
    pub(super) client: Arc<Client>,
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
        client
            .bind(token.info.serial_number())
            .map_err(|error| error.during(Operation::Initialize))?;
        Ok(Self {
            client,
            identity: token.identity(),
            arena: arena.clone(),
        })
    }

    /// Who the token says it is.
    #[must_use]
    pub const fn token(&self) -> &TokenIdentity {
        &self.identity
    }

    /// Every act has a session of its own: what lives as long as a session lives no longer than the act that made it.
    pub(super) fn acts(&self) -> Acts {
        Acts::new(&self.client)
    }

    /// Makes a key-encryption key, and a wrapping key called `label` for it in the token; the file appears after the first was
    /// unwrapped again.
    ///
    /// # Errors
    /// `file_exists`; `unsupported` where the token wraps in no way known here; as the token fails.
    pub fn create(&self, path: &Path, label: &str) -> Result<(), ProviderError> {
        let kek = SecretBytes::<32>::random(&self.arena)
            .map_err(|error| ProviderError::from_memory(Operation::Generate, error))?;
        let wrapped = self.wrapped(&kek, label)?;
        wrapped
            .write(path, Existing::Keep)
            .inspect_err(|_| self.abandon(&wrapped, path))
    }

    /// Unwraps the key of a file.
    ///
    /// # Errors
    /// What is wrong with the file; `other_token` where another token wrapped it; as the token fails.
    pub fn unwrap(&self, path: &Path) -> Result<Kek, ProviderError> {
        let key = self.unwrapped(&WrappedKek::read(path)?)?;
        Kek::raw(&self.arena, key).map_err(|error| ProviderError::refused(error.code(), error.to_string()))
    }

    /// Wraps the key of a file with a new wrapping key. Nothing is replaced yet: [`Rewrap::write`], then [`Rewrap::destroy_former`].
    ///
    /// # Errors
    /// As [`Self::unwrap`] and [`Self::create`].
    pub fn rewrap(&self, path: &Path, label: &str) -> Result<Rewrap<'_>, ProviderError> {
        let former = WrappedKek::read(path)?;
        let kek = self.unwrapped(&former)?;
        Ok(Rewrap {
            seal: self,
            path: path.to_owned(),
            now: self.wrapped(&kek, label)?,
            former,
        })
    }

    /// `CKA_ID` in hex of every secret key in the token that is called `label`.
    ///
    /// # Errors
    /// As the token fails.
    pub fn keys_called(&self, label: &str) -> Result<Vec<String>, ProviderError> {
        let label = label.as_bytes().to_vec();
        self.acts().run(Operation::List, move |session| {
            let template = [
                Attribute::Class(ObjectClass::SECRET_KEY),
                Attribute::Label(label.clone()),
            ];
            let mut ids = Vec::new();
            for object in session.find_objects(&template)? {
                for attribute in session.get_attributes(object, &[cryptoki::object::AttributeType::Id])? {
                    if let Attribute::Id(id) = attribute {
                        ids.push(hex::encode(id));
                    }
                }
            }
            ids.sort_unstable();
            Ok(ids)
        })
    }

    /// Destroys the one secret key that is called `label` and has this `CKA_ID`. Whether anything needs it is for the caller to know.
    ///
    /// # Errors
    /// `wrapping_key_not_found`; as the token fails.
    pub fn destroy_key(&self, label: &str, id: &str) -> Result<(), ProviderError> {
        let not_found = || ProviderError::Refused {
            code: "wrapping_key_not_found",
            message: format!("the token shows no one key with the label {label:?} and the id {id}"),
            remedy: Some("`sigward seal show --ask-token` lists them".to_owned()),
        };
        let bytes = hex::decode(id).map_err(|_| not_found())?;
        let label = label.as_bytes().to_vec();
        let destroyed = self.acts().run(Operation::Delete, move |session| {
            let template = [
                Attribute::Class(ObjectClass::SECRET_KEY),
                Attribute::Label(label.clone()),
                Attribute::Id(bytes.clone()),
            ];
            match session.find_objects(&template)?.as_slice() {
                [one] => session
                    .destroy_object(*one)
                    .map(|()| true)
                    .map_err(TokenError::from),
                _ => Ok(false),
            }
        })?;
        if destroyed { Ok(()) } else { Err(not_found()) }
    }

    /// A key-encryption key under a wrapping key that is made for it; unwrapped again, and compared.
    fn wrapped(&self, kek: &SecretBytes<32>, label: &str) -> Result<WrappedKek, ProviderError> {
        let id = CkaId::random().map_err(|error| ProviderError::fault(Operation::Generate, error))?;
        let method = self.method()?;
        let (for_act, secret) = (id.clone(), Zeroizing::new(kek.expose().to_vec()));
        let label = label.as_bytes().to_vec();
        let made = self.acts().run(Operation::Generate, move |session| {
            // A session that was lost on the way may have left one: the act is tried again with the same id.
            destroy_wrapping_keys(session, for_act.as_bytes())?;
            let place = [
                Attribute::Token(true),
                Attribute::Id(for_act.as_bytes().to_vec()),
                Attribute::Label(label.clone()),
            ];
            let key = make_wrapping_key(session, method, &place)?;
            wrap(session, method, key, &secret).inspect_err(|_| {
                let _best_effort = session.destroy_object(key);
            })
        });
        // The session that made it is closed by now.
        let judged = made.and_then(|(nonce, blob)| {
            let wrapped = WrappedKek {
                version: 1,
                token_serial: self.identity.serial.clone(),
                cka_id: hex::encode(id.as_bytes()),
                mechanism: method,
                nonce: hex::encode(nonce),
                wrapped: hex::encode(blob),
            };
            self.lasts(&id)?;
            if self.unwrapped(&wrapped)?.ct_eq(kek) {
                return Ok(wrapped);
            }
            Err(ProviderError::fault(
                Operation::Generate,
                "the token unwraps another key than it wrapped",
            ))
        });
        judged.inspect_err(|_| self.destroy(id.as_bytes()))
    }

    /// Looks again, in another session, at a wrapping key that was made: it must be there, and confined still.
    fn lasts(&self, id: &CkaId) -> Result<(), ProviderError> {
        let id = id.clone();
        self.acts().run(Operation::Generate, move |session| {
            let key = find_wrapping_key(session, id.as_bytes()).map_err(|error| {
                TokenError::new(
                    Kind::Failed,
                    format!("the token made a wrapping key that did not outlast its session: {error}"),
                    "do not use this token to seal",
                )
            })?;
            confined(session, key, true)
        })
    }

    /// Destroys the wrapping key of `wrapped`, unless the file at `path` names it or cannot be read: then nobody knows.
    fn abandon(&self, wrapped: &WrappedKek, path: &Path) {
        let named = match WrappedKek::read(path) {
            Ok(file) => file.cka_id == wrapped.cka_id,
            Err(error) => error.code() != "file_not_found",
        };
        if let (false, Ok(id)) = (named, hex::decode(&wrapped.cka_id)) {
            self.destroy(&id);
        }
    }

    /// As far as the token lets us: what stays is shown by `sigward seal show`.
    fn destroy(&self, id: &[u8]) {
        let id = id.to_vec();
        let _best_effort = self.acts().run(Operation::Delete, move |session| {
            destroy_wrapping_keys(session, &id)
        });
    }

    fn unwrapped(&self, wrapped: &WrappedKek) -> Result<SecretBytes<32>, ProviderError> {
        if wrapped.token_serial != self.identity.serial {
            return Err(ProviderError::Refused {
                code: "other_token",
                message: format!(
                    "the key was wrapped by the token with the serial {:?}, and this one has {:?}",
                    wrapped.token_serial, self.identity.serial
                ),
                remedy: Some("name the token that wrapped it in [[provider]]".to_owned()),
            });
        }
        let parse = |text: &str| hex::decode(text).map_err(|_| damaged("the wrapped key is no hex"));
        let (id, nonce, blob) = (
            parse(&wrapped.cka_id)?,
            parse(&wrapped.nonce)?,
            parse(&wrapped.wrapped)?,
        );
        let method = wrapped.mechanism;
        let secret = self.acts().run(Operation::Load, move |session| {
            let key = find_wrapping_key(session, &id)?;
            unwrap(session, method, key, &nonce, &blob)
        })?;
        if secret.len() != 32 {
            return Err(damaged("the wrapped key has no 32 bytes"));
        }
        SecretBytes::init_with(&self.arena, |into| {
            into.iter_mut()
                .zip(secret.iter())
                .for_each(|(to, from)| *to = *from);
        })
        .map_err(|error| ProviderError::from_memory(Operation::Load, error))
    }

    fn method(&self) -> Result<Method, ProviderError> {
        let offered = self
            .client
            .look(mechanism::offered)
            .map_err(|error| error.during(Operation::Initialize))?;
        best_method(&offered).ok_or(ProviderError::Unsupported {
            operation: Operation::Initialize,
            reason: "the token offers none of CKM_AES_GCM, CKM_AES_KEY_WRAP_PAD, CKM_AES_KEY_WRAP",
        })
    }
}

/// A key-encryption key that was wrapped anew, before its file says so.
pub struct Rewrap<'a> {
    seal: &'a TokenSeal,
    path: PathBuf,
    now: WrappedKek,
    former: WrappedKek,
}

impl Rewrap<'_> {
    /// The key wrapped anew.
    #[must_use]
    pub const fn now(&self) -> &WrappedKek {
        &self.now
    }

    /// The key as it was wrapped before.
    #[must_use]
    pub const fn former(&self) -> &WrappedKek {
        &self.former
    }

    /// Replaces the file, in one step. Where it is not replaced, the new wrapping key is destroyed.
    ///
    /// # Errors
    /// As the disk fails.
    pub fn write(&self) -> Result<(), ProviderError> {
        self.now
            .write(&self.path, Existing::Replace)
            .inspect_err(|_| self.abandon())
    }

    /// Destroys the new wrapping key, unless the file names it.
    pub fn abandon(&self) {
        self.seal.abandon(&self.now, &self.path);
    }

    /// Destroys the former wrapping key: a copy of the former file opens nothing from then on.
    ///
    /// # Errors
    /// `seal_damaged` where the file does not say yet that another key wraps; as the token fails.
    pub fn destroy_former(&self) -> Result<(), ProviderError> {
        if WrappedKek::read(&self.path)? != self.now {
            return Err(damaged(
                "the file does not name the new wrapping key: the former one is kept",
            ));
        }
        let id = hex::decode(&self.former.cka_id).map_err(|_| damaged("the wrapped key is no hex"))?;
        self.seal.acts().run(Operation::Delete, move |session| {
            Ok(session.destroy_object(find_wrapping_key(session, &id)?)?)
        })
    }
}

fn damaged(what: impl Into<String>) -> ProviderError {
    ProviderError::Refused {
        code: "seal_damaged",
        message: what.into(),
        remedy: Some(
            "restore this file from a copy: it is no secret, and changes only with `sigward seal`".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests;
