//! What a token answered, sorted by what to do about it.
//!
//! May import: cryptoki's errors, `error`. Every message names the C function that failed, as the vendor's manual does.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use cryptoki::error::{Error, RvError};

use crate::error::{Operation, ProviderError};

/// What a failed call means for the session, the login and the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The session, the token or the whole initialisation is gone; a new one may do.
    Lost,
    /// Another token is where ours was. It is as away as a lost one, and starting the module anew is unlikely to bring it.
    Stranger,
    /// The session is there, the login is not.
    LoggedOut,
    /// A handle that was found before means nothing any more: the object is gone, or was reloaded.
    StaleHandle,
    /// An object that should be there is not shown. It may be gone; or the module has lost sight of a token that was away.
    Missing,
    /// The token has no room: sessions, memory.
    Full,
    /// The PIN was wrong; trying it again costs one of the few tries.
    WrongPin,
    /// The token takes no PIN any more, or none yet.
    PinUnusable,
    /// The token cannot do that, ever.
    Unsupported,
    /// An answer that cannot be: a length or a number that no memory holds. What state the session is in nobody knows.
    Nonsense,
    /// It refuses what a template asks for: a value, or how attributes go together.
    Template,
    /// Everything else.
    Failed,
}

/// A failed call to a token.
#[derive(Debug, thiserror::Error)]
pub struct TokenError {
    pub(super) kind: Kind,
    what: String,
    remedy: Option<String>,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl TokenError {
    pub(super) fn new(kind: Kind, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            remedy: Some(remedy.into()),
        }
    }

    /// Says with which mechanism it was.
    pub(super) fn with(mut self, mechanism: &str) -> Self {
        self.what = format!("{} ({mechanism})", self.what);
        self
    }

    /// Says something more.
    pub(super) fn and(mut self, more: &str) -> Self {
        self.what = format!("{}; {more}", self.what);
        self
    }

    /// One line of what to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// The stable code of the error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.kind {
            Kind::Lost | Kind::Stranger | Kind::LoggedOut | Kind::StaleHandle => "token_unavailable",
            Kind::Full => "token_full",
            Kind::WrongPin => "wrong_pin",
            Kind::PinUnusable => "pin_unusable",
            Kind::Unsupported => "unsupported",
            Kind::Missing | Kind::Nonsense | Kind::Template | Kind::Failed => "token_failed",
        }
    }

    /// As a provider's error.
    pub(super) fn during(self, operation: Operation) -> ProviderError {
        match self.kind {
            // What is unavailable has no remedy of its own: the reason says it.
            Kind::Lost | Kind::Stranger | Kind::LoggedOut | Kind::StaleHandle => ProviderError::Unavailable {
                reason: match self.remedy {
                    Some(remedy) => format!("{}; {remedy}", self.what),
                    None => self.what,
                },
            },
            Kind::Missing | Kind::Nonsense | Kind::Template | Kind::Failed => {
                ProviderError::fault(operation, self)
            }
            Kind::Full | Kind::WrongPin | Kind::PinUnusable | Kind::Unsupported => ProviderError::Refused {
                code: self.code(),
                remedy: self.remedy.clone(),
                message: self.what,
            },
        }
    }
}

/// Runs `calls`. cryptoki believes the lengths and counts that a module gives, and panics where no memory holds them: that is an error
/// of this one call, and the end of no thread. `functions`: which C functions it may have been.
///
/// A length that memory could hold and does not is beyond this: the allocator ends the process.
pub(super) fn sane<T>(
    functions: &str,
    calls: impl FnOnce() -> Result<T, TokenError>,
) -> Result<T, TokenError> {
    catch_unwind(AssertUnwindSafe(calls)).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a panic");
        Err(TokenError::new(
            Kind::Nonsense,
            format!("{functions} answered what cannot be: {what}"),
            "look for a newer version of the module; `sigward hsm probe` shows what works",
        ))
    })
}

impl From<Error> for TokenError {
    fn from(error: Error) -> Self {
        let (kind, remedy) = sort(&error);
        let what = match &error {
            Error::Pkcs11(rv, function) => format!("C_{function:?} failed: {}", code_name(rv)),
            Error::LibraryLoading(cause) => format!("cannot load the module: {cause}"),
            Error::MissingSymbol(symbol) => format!("the module lacks {symbol}: it is no PKCS#11 module"),
            Error::NullFunctionPointer => "the module leaves out a function that is needed".to_owned(),
            other => other.to_string(),
        };
        Self {
            kind,
            what,
            remedy: remedy.map(str::to_owned),
        }
    }
}

/// `CKR_…` as PKCS#11 spells it: `UserNotLoggedIn` becomes `CKR_USER_NOT_LOGGED_IN`.
fn code_name(rv: &RvError) -> String {
    let camel = format!("{rv:?}");
    let word = camel.split(['(', ' ', '{']).next().unwrap_or_default();
    let mut name = String::from("CKR");
    for letter in word.chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

fn sort(error: &Error) -> (Kind, Option<&'static str>) {
    let Error::Pkcs11(rv, _) = error else {
        return match error {
            Error::NullFunctionPointer | Error::NotSupported => (Kind::Unsupported, None),
            Error::LibraryLoading(_) | Error::MissingSymbol(_) => (
                Kind::Failed,
                Some(
                    "set `module` to the vendor's PKCS#11 library, and see that its own libraries are found",
                ),
            ),
            _ => (Kind::Failed, None),
        };
    };
    match rv {
        RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::DeviceRemoved
        | RvError::DeviceError
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        | RvError::CryptokiNotInitialized
        | RvError::GeneralError
        | RvError::FunctionFailed
        | RvError::FunctionCanceled
        | RvError::OperationActive => (
            Kind::Lost,
            Some("see that the token is there and answers: `sigward hsm probe`"),
        ),
        RvError::UserNotLoggedIn => (
            Kind::LoggedOut,
            Some(
                "the token ended the login, and does so again: see whether another program logs out, or its own timer",
            ),
        ),
        RvError::KeyHandleInvalid | RvError::ObjectHandleInvalid => (
            Kind::StaleHandle,
            Some("the token changes its objects while they are used: see whether another program does so"),
        ),
        RvError::SessionCount => (
            Kind::Full,
            Some("the token has no session left: lower `sessions`, or end other programs that use it"),
        ),
        RvError::DeviceMemory | RvError::HostMemory => (
            Kind::Full,
            Some("the token has no room left: remove objects that nobody needs"),
        ),
        RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange => (
            Kind::WrongPin,
            Some("put the right PIN where the configuration says; this one is not tried again"),
        ),
        RvError::PinLocked => (
            Kind::PinUnusable,
            Some("the token is locked: its security officer sets a new PIN"),
        ),
        RvError::PinExpired | RvError::UserPinNotInitialized => (
            Kind::PinUnusable,
            Some("set the user PIN with the vendor's tool first"),
        ),
        RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::FunctionNotSupported
        | RvError::CurveNotSupported => (
            Kind::Unsupported,
            Some("`sigward hsm probe` shows what this token can do"),
        ),
        RvError::AttributeValueInvalid | RvError::TemplateInconsistent => (Kind::Template, None),
        RvError::TokenWriteProtected => (Kind::Failed, Some("the token is write-protected")),
        _ => (Kind::Failed, None),
    }
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn a_failure_names_the_function_and_the_code_as_the_standard_does() {
        let error = TokenError::from(Error::Pkcs11(RvError::UserNotLoggedIn, Function::SignInit));
        assert_eq!(error.to_string(), "C_SignInit failed: CKR_USER_NOT_LOGGED_IN");
        assert_eq!(error.kind, Kind::LoggedOut);
        let error = TokenError::from(Error::Pkcs11(RvError::PinIncorrect, Function::Login));
        assert_eq!((error.code(), error.kind), ("wrong_pin", Kind::WrongPin));
        assert!(error.remedy().is_some());
    }
}
