//! What no document decides: asked before any document is, and whatever one says.
//!
//! *Invariants:* whoever shows an API key is let near a signature and nothing else, since a key that lies in some program's environment
//! gets out sooner or later; who somebody is to us is told to whoever has proved to be somebody.

use std::fmt;

use super::rule::Question;
use crate::decision::{Refusal, RefusalCode};
use crate::model::caller::Caller;
use crate::model::operation::Operation;

/// An answer that was given before any document was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fixed {
    /// Yes: who proves to be somebody hears who that is.
    Everybodys,
    /// No: an API key is for signing only.
    SigningOnly,
}

impl Fixed {
    /// The answer to `caller` about `operation`, where documents have none to give.
    pub const fn of(caller: &Caller, operation: Operation) -> Option<Self> {
        match (caller, operation) {
            // A node calls nothing, and sigward knows who it is.
            (Caller::Node { .. } | Caller::Service, _) => None,
            (_, Operation::WhoAmI) => Some(Self::Everybodys),
            (Caller::ApiKey { .. }, operation) if !operation.signs() => Some(Self::SigningOnly),
            (
                Caller::ApiKey { .. }
                | Caller::LocalUser { .. }
                | Caller::Certificate { .. }
                | Caller::Token { .. },
                _,
            ) => None,
        }
    }

    /// Whether it is a yes.
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Everybodys)
    }

    /// The no, as `caller` hears it.
    pub fn refusal(self, caller: &Caller) -> Refusal {
        Refusal::new(
            RefusalCode::NotPermitted,
            format!("{caller} may not call this; {self}"),
        )
    }
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Everybodys => "whoever proves to be somebody may ask this, whatever a rule says",
            Self::SigningOnly => "an API key is for signing only (sign.*), whatever a rule says",
        })
    }
}

/// Whether the answer to `question` is no, whatever a document says.
pub(super) const fn is_denied(question: &Question<'_>) -> bool {
    matches!(
        Fixed::of(question.subject, question.operation),
        Some(Fixed::SigningOnly)
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::authz::{Foresight, Policy, PolicyVersion, Verdict};
    use crate::model::id::{ApiKeyName, UnixSeconds};

    const ALL: &str = "version = 1\n[[rule]]\nid = \"all\"\neffect = \"allow\"\nsubjects = [\"*\"]\noperations = [\"*\", \"sign.raw\", \"sign.bn254\"]\n";

    fn policy() -> Policy {
        // The one document that gives everything to everybody: `*` would give policy.write and keys to one subject.
        let two = "version = 1\n[[rule]]\nid = \"keys\"\neffect = \"allow\"\nsubjects = [\"apikey:*\"]\noperations = [\"key.*\", \"sign.*\", \"sign.raw\", \"sign.bn254\", \"state.*\", \"freeze\", \"unfreeze\", \"approval.*\", \"api_key.*\", \"whoami\", \"audit.*\"]\n";
        assert!(Policy::parse(ALL, PolicyVersion([1; 32])).is_err());
        Policy::parse(two, PolicyVersion([1; 32])).unwrap()
    }

    #[test]
    fn an_api_key_signs_and_does_nothing_else_whatever_a_document_says() {
        let policy = policy();
        let name = ApiKeyName::new("ci").unwrap();
        let subject = Caller::ApiKey { name };
        for operation in Operation::ALL.iter().copied() {
            let question = Question {
                subject: &subject,
                operation,
                key: None,
                chain: None,
                from: None,
                now: UnixSeconds(0),
            };
            let signs = operation.signs();
            if operation == Operation::WhoAmI {
                let explained = policy.explain(&question);
                assert!(
                    explained.is_allowed() && explained.looks.is_empty(),
                    "{explained}"
                );
                continue;
            }
            assert_eq!(policy.judge(&question).is_allowed(), signs, "{operation}");
            assert_eq!(policy.might_allow(&question), signs, "{operation}");
            let explained = policy.explain(&question);
            assert_eq!(explained.is_allowed(), signs, "{operation}: {explained}");
            if !signs {
                assert_eq!(policy.judge(&question), Verdict::Deny { rule: None });
                assert_eq!(policy.foresee(&question), Foresight::Never { rule: None });
                assert!(explained.looks.is_empty(), "{operation}: {explained}");
                assert!(explained.to_string().contains("for signing only"), "{explained}");
            }
        }
    }

    #[test]
    fn everybody_hears_who_they_are_and_nobody_else_is_bound() {
        let someone = [
            Caller::LocalUser { uid: 1 },
            Caller::ApiKey {
                name: ApiKeyName::new("ci").unwrap(),
            },
        ];
        for caller in &someone {
            assert_eq!(Fixed::of(caller, Operation::WhoAmI), Some(Fixed::Everybodys));
        }
        for operation in Operation::ALL.iter().copied() {
            assert_eq!(Fixed::of(&Caller::Service, operation), None);
            if operation != Operation::WhoAmI {
                assert_eq!(Fixed::of(&someone[0], operation), None, "{operation}");
            }
        }
    }
}
