//! What a provider refuses, as the operator hears it.

use sigward_hsm::error::ProviderError;
use sigward_policies::decision::{Failure, FailureCode, Refusal, RefusalCode, Refused};

/// A provider's refusal keeps its code, where that is one of ours, and its advice; its faults are ours.
pub(super) fn provider_refused(error: ProviderError) -> Refused {
    let remedy = error
        .remedy()
        .map(|remedy| format!("; {remedy}"))
        .unwrap_or_default();
    if let Some(code) = refusal_code(error.code()) {
        return Refusal::new(code, format!("{error}{remedy}")).into();
    }
    let message = format!("{}: {error}{remedy}", error.code());
    match &error {
        ProviderError::Refused { .. } => Refusal::new(RefusalCode::InvalidParameters, message).into(),
        ProviderError::Unavailable { .. } => Failure::new(FailureCode::ProviderUnavailable, message).into(),
        _ => Failure::new(FailureCode::ProviderFault, message).into(),
    }
}

/// What a provider calls a refusal that operators know by the same code.
pub(super) fn refusal_code(code: &str) -> Option<RefusalCode> {
    [
        RefusalCode::KeyNotFound,
        RefusalCode::TokenKeyNotFound,
        RefusalCode::TokenKeyMayHaveLeft,
        RefusalCode::WrongPin,
        RefusalCode::PinUnusable,
        RefusalCode::TokenFull,
        RefusalCode::Unsupported,
        RefusalCode::ForeignStore,
        RefusalCode::KeyExists,
        RefusalCode::KeyNotExportable,
        RefusalCode::PublicKeyExists,
    ]
    .into_iter()
    .find(|known| known.as_str() == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_token_refuses_reaches_the_operator_by_its_own_code() {
        for code in [
            "wrong_pin",
            "pin_unusable",
            "token_full",
            "unsupported",
            "token_key_not_found",
            "token_key_may_have_left",
            "key_exists",
        ] {
            let refused = provider_refused(ProviderError::Refused {
                code,
                message: "C_Login failed".to_owned(),
                remedy: Some("look".to_owned()),
            });
            assert_eq!(refused.to_string(), format!("{code}: C_Login failed; look"));
        }
        let unsupported = ProviderError::Unsupported {
            operation: sigward_hsm::error::Operation::Derive,
            reason: "no",
        };
        assert_eq!(provider_refused(unsupported).code(), "unsupported");
        let other = ProviderError::Refused {
            code: "file_exists",
            message: "there".to_owned(),
            remedy: None,
        };
        assert_eq!(
            provider_refused(other).to_string(),
            "invalid_parameters: file_exists: there"
        );
    }
}
