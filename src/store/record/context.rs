//! What a record says of its circumstances: how it was established who asks, what decided, and in which trace it happened.
//!
//! *Invariant:* as everywhere in a record, one value has one encoding; what is not known is one byte.

use sigward_policies::authz::{PolicyVersion, RuleId, Ruling};
use sigward_policies::model::authentication::{Authentication, CredentialId, MAX_CREDENTIAL};
use sigward_policies::model::id::MAX_NAME;
use sigward_policies::model::trace::TraceId;

use crate::store::encoding::{DecodeError, Decoder, Encoder};

/// The circumstances of what happened, as far as they are known.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Context {
    /// How it was established who asks.
    pub authenticated: Option<Authentication>,
    /// What decided; none where nobody was asked.
    pub ruling: Option<Ruling>,
    /// In which trace.
    pub trace: Option<TraceId>,
}

impl Context {
    /// Of something that sigward does by itself.
    pub const SERVICE: Self = Self {
        authenticated: Some(Authentication::Service),
        ruling: None,
        trace: None,
    };

    pub(super) fn encode(&self, to: &mut Encoder) {
        match &self.authenticated {
            None => to.u8(0),
            Some(Authentication::Service) => to.u8(1),
            Some(Authentication::Dialled) => to.u8(2),
            Some(Authentication::PeerCredentials) => to.u8(3),
            Some(Authentication::ThisProcess) => to.u8(4),
            Some(Authentication::Certificate { sha256 }) => {
                to.u8(5);
                to.raw(sha256);
            }
            Some(Authentication::Token { key }) => {
                to.u8(6);
                to.sized(key.as_str().as_bytes());
            }
            Some(Authentication::ApiKey { id }) => {
                to.u8(7);
                to.sized(id.as_str().as_bytes());
            }
        }
        match &self.ruling {
            None => to.u8(0),
            Some(Ruling::BuiltIn) => to.u8(1),
            Some(Ruling::NoRule { policy }) => {
                to.u8(2);
                to.raw(&policy.0);
            }
            Some(Ruling::Rule { policy, rule }) => {
                to.u8(3);
                to.raw(&policy.0);
                to.sized(rule.as_str().as_bytes());
            }
        }
        to.flag(self.trace.is_some());
        if let Some(trace) = &self.trace {
            to.raw(trace.as_bytes());
        }
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            authenticated: authentication(from)?,
            ruling: ruling(from)?,
            trace: match from.flag("trace")? {
                false => None,
                true => Some(TraceId::new(from.array()?).ok_or(DecodeError::Value("trace"))?),
            },
        })
    }
}

fn authentication(from: &mut Decoder<'_>) -> Result<Option<Authentication>, DecodeError> {
    const FIELD: &str = "authentication";
    let wrong = DecodeError::Value(FIELD);
    let id = |from: &mut Decoder<'_>| {
        CredentialId::new(from.text(MAX_CREDENTIAL, FIELD)?).map_err(|_| DecodeError::Value(FIELD))
    };
    Ok(Some(match from.u8()? {
        0 => return Ok(None),
        1 => Authentication::Service,
        2 => Authentication::Dialled,
        3 => Authentication::PeerCredentials,
        4 => Authentication::ThisProcess,
        5 => Authentication::Certificate {
            sha256: from.array()?,
        },
        6 => Authentication::Token { key: id(from)? },
        7 => Authentication::ApiKey { id: id(from)? },
        _ => return Err(wrong),
    }))
}

fn ruling(from: &mut Decoder<'_>) -> Result<Option<Ruling>, DecodeError> {
    const FIELD: &str = "ruling";
    Ok(Some(match from.u8()? {
        0 => return Ok(None),
        1 => Ruling::BuiltIn,
        2 => Ruling::NoRule {
            policy: PolicyVersion(from.array()?),
        },
        3 => Ruling::Rule {
            policy: PolicyVersion(from.array()?),
            rule: RuleId::parse(from.text(MAX_NAME, FIELD)?).ok_or(DecodeError::Value(FIELD))?,
        },
        _ => return Err(DecodeError::Value(FIELD)),
    }))
}
