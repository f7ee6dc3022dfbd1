//! Where keys are: the software store, which is always there, and the tokens of the configuration, by id.
//!
//! *Invariant:* a key's provider is the one that is recorded with it; no act falls back to another.

use std::collections::BTreeMap;
use std::sync::Arc;

use sigward_hsm::pkcs11::Pkcs11Provider;
use sigward_hsm::provider::{HsmProvider, KeyHandle, KeyStorageProvider as _, Sign};
use sigward_hsm::software::SoftwareProvider;
use sigward_policies::decision::{Failure, FailureCode, Refusal, RefusalCode, Refused};
use sigward_policies::model::key::KeyVersion;
use sigward_policies::model::payload::Consensus;

use super::Admin;
use super::refusals::{provider_refused, refusal_code};
use super::token::{Token, TokenTrouble};
use crate::config::SOFTWARE;

/// Every place where keys are. Those who have it clone it: it is handles.
#[derive(Clone)]
pub struct Providers {
    /// Sealed files.
    pub software: Arc<SoftwareProvider>,
    tokens: BTreeMap<String, Arc<Token>>,
}

/// One of them.
#[derive(Clone)]
pub(super) enum Place {
    /// The software store.
    Software(Arc<SoftwareProvider>),
    /// A token.
    Token(Arc<Token>),
}

impl Providers {
    /// These.
    pub fn new(software: Arc<SoftwareProvider>, tokens: impl IntoIterator<Item = Arc<Token>>) -> Self {
        Self {
            software,
            tokens: tokens
                .into_iter()
                .map(|token| (token.id().to_string(), token))
                .collect(),
        }
    }

    /// The tokens, by id.
    pub fn tokens(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.tokens.values()
    }

    /// The token called `id`.
    pub fn token(&self, id: &str) -> Result<&Arc<Token>, Refusal> {
        self.tokens.get(id).ok_or_else(|| {
            let known: Vec<_> = self.tokens.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "there is no [[provider]] in it".to_owned()
            } else {
                format!("it has {}", known.join(", "))
            };
            Refusal::new(
                RefusalCode::ProviderNotFound,
                format!("the configuration in force has no token {id:?}; {known}"),
            )
        })
    }

    pub(super) fn place(&self, id: &str) -> Result<Place, Refusal> {
        if id == SOFTWARE {
            return Ok(Place::Software(self.software.clone()));
        }
        self.token(id).cloned().map(Place::Token)
    }

    /// The token that keeps a key; none for a key in a sealed file, or of a token that the configuration does not have.
    pub fn token_of(&self, key: &KeyVersion) -> Option<&Arc<Token>> {
        self.tokens.get(&key.provider)
    }
}

impl Place {
    /// For acts. May open a token, and so take its time: off the runtime's workers.
    pub(super) fn backend(&self) -> Result<Arc<dyn HsmProvider>, Refused> {
        Ok(match self {
            Self::Software(provider) => provider.clone(),
            Self::Token(token) => open(token)?,
        })
    }

    /// For signing: the key's handle, and who takes orders for it. A token that is not open has no handles.
    pub(super) fn signer(&self, key: &KeyVersion) -> Result<(KeyHandle, Arc<dyn Sign<Consensus>>), Refused> {
        match self {
            Self::Software(provider) => {
                let handle = provider.load_key(&key.public_key).map_err(provider_refused)?;
                Ok((handle, provider.clone()))
            }
            Self::Token(token) => {
                let provider = token.opened().ok_or_else(|| {
                    let trouble = token.trouble();
                    trouble.map_or_else(
                        || {
                            Failure::new(FailureCode::ProviderUnavailable, "the token has just changed")
                                .into()
                        },
                        |trouble| troubled(token, trouble),
                    )
                })?;
                let handle = provider.load_key(&key.public_key).map_err(provider_refused)?;
                Ok((handle, token.clone()))
            }
        }
    }

    /// Whether it is a token that is not open now; whoever keeps it tells of that.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Token(token) if token.opened().is_none())
    }
}

/// The open token, for acts.
pub(super) fn open(token: &Token) -> Result<Arc<Pkcs11Provider>, Refused> {
    token.provider().map_err(|trouble| troubled(token, trouble))
}

fn troubled(token: &Token, trouble: TokenTrouble) -> Refused {
    // A PIN that is refused is not away: nothing comes right by waiting.
    if let Some(code) = refusal_code(trouble.code) {
        let message = format!("provider {}: {}; {}", token.id(), trouble.what, trouble.advice);
        return Refusal::new(code, message).into();
    }
    let failure = FailureCode::ProviderUnavailable;
    // The failure says its own code.
    let what = match trouble.code {
        code if code == failure.as_str() => trouble.what,
        code => format!("{code}: {}", trouble.what),
    };
    let message = format!("provider {}: {what}; {}", token.id(), trouble.advice);
    Failure::new(failure, message).into()
}

impl Admin {
    /// A key that is in a token stays there: whatever would carry it away says so, and what to do instead.
    pub(super) fn is_in_no_token(
        &self,
        name: &impl std::fmt::Display,
        key: &KeyVersion,
    ) -> Result<(), Refusal> {
        if key.provider == SOFTWARE {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalCode::KeyNotExportable,
            format!(
                "{name} is in the token {}, and its bytes never leave it: back up the token with its maker's tool; its watermark moves with `sigward state export`",
                key.provider
            ),
        ))
    }
}
