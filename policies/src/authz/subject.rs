//! Subjects: patterns of callers, by what `authn` proved of them.
//!
//! *Invariant:* sigward itself is no subject; what it does at its start is not asked of a document.

use std::fmt;

use super::glob::{Glob, MAX_PATTERN};
use crate::model::caller::Caller;
use crate::model::suggest;

/// The kinds, as documents write them.
const KINDS: [&str; 6] = ["dns", "uri", "jwt", "apikey", "uid", "node"];

/// Callers that are alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum SubjectPattern {
    /// Whoever has proved to be somebody.
    Anyone,
    /// `dns:…`: the DNS name of a client certificate; parts are labels, in lower case.
    Dns(Glob),
    /// `uri:…`: the URI of a client certificate, SPIFFE ids among them; parts are segments.
    Uri(Glob),
    /// `jwt:ISSUER/SUBJECT`: whoever an issuer of tokens vouches for; parts of the subject are segments.
    Jwt { issuer: Glob, subject: Glob },
    /// `apikey:NAME`: whoever shows the API key of that name.
    ApiKey(Glob),
    /// `uid:…`: a user of this machine on the admin socket; `None` is each of them.
    Uid(Option<u32>),
    /// `node:CHAIN/NODE`: a node that sigward dials.
    Node { chain: Glob, node: Glob },
}

impl SubjectPattern {
    /// Reads a pattern; `Err` is the sentence and the advice.
    pub(super) fn parse(text: &str) -> Result<Self, (String, String)> {
        if text == "*" {
            return Ok(Self::Anyone);
        }
        let Some((kind, rest)) = text.split_once(':') else {
            return Err((
                "a subject is a kind and a name".to_owned(),
                "write dns:NAME, uri:URI, jwt:ISSUER/SUBJECT, apikey:NAME, uid:NUMBER, node:CHAIN/NODE, or * for anyone"
                    .to_owned(),
            ));
        };
        if rest.is_empty() || rest.len() > MAX_PATTERN {
            return Err((
                format!("a pattern has 1 to {MAX_PATTERN} bytes"),
                "write what stands in the certificate, with * where it may differ".to_owned(),
            ));
        }
        if !rest.bytes().all(|b| (0x21..=0x7e).contains(&b)) {
            return Err((
                "a name has printable ASCII characters without spaces".to_owned(),
                "write an international name as it stands in the certificate (xn--…)".to_owned(),
            ));
        }
        match kind {
            "dns" => {
                let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'*' | b'?');
                if !rest.bytes().all(good) {
                    return Err((
                        "this is no DNS name".to_owned(),
                        "write letters, digits, - and dots, with * for a label and ** for several".to_owned(),
                    ));
                }
                Ok(Self::Dns(Glob::new(&rest.to_ascii_lowercase(), Some(b'.'))))
            }
            "uri" if rest.contains(':') => Ok(Self::Uri(Glob::new(rest, Some(b'/')))),
            "uri" => Err((
                "this is no URI: it has no scheme".to_owned(),
                "write it whole, such as uri:spiffe://example.org/ns/validators/sa/signer".to_owned(),
            )),
            // An issuer's name holds no slash; a subject may.
            "jwt" => match rest.split_once('/') {
                Some((issuer, subject)) if !issuer.is_empty() && !subject.is_empty() => Ok(Self::Jwt {
                    issuer: Glob::new(issuer, None),
                    subject: Glob::new(subject, Some(b'/')),
                }),
                _ => Err((
                    "who shows a token is written with its issuer".to_owned(),
                    "write jwt:ISSUER/SUBJECT, the issuer as [[listen.bearer.issuer]] calls it; jwt:ISSUER/** is everybody it vouches for"
                        .to_owned(),
                )),
            },
            "apikey" => {
                let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.*?".contains(&b);
                if !rest.bytes().all(good) {
                    return Err((
                        "this is no name of an API key".to_owned(),
                        "write what `sigward api-key list` shows, as in apikey:ci; apikey:* is every one".to_owned(),
                    ));
                }
                Ok(Self::ApiKey(Glob::new(rest, None)))
            }
            "uid" if rest == "*" => Ok(Self::Uid(None)),
            "uid" => match rest.parse() {
                Ok(uid) if rest.bytes().all(|b| b.is_ascii_digit()) => Ok(Self::Uid(Some(uid))),
                _ => Err((
                    "a user id is a number".to_owned(),
                    "write what `id -u NAME` prints, or uid:* for every user of the admin socket".to_owned(),
                )),
            },
            // A chain id may hold a slash; a node's name holds none.
            "node" => match rest.rsplit_once('/') {
                Some((chain, node)) if !chain.is_empty() && !node.is_empty() => Ok(Self::Node {
                    chain: Glob::new(chain, None),
                    node: Glob::new(node, None),
                }),
                _ => Err((
                    "a node is written with its chain".to_owned(),
                    "write node:CHAIN/NODE as `sigward node list` does; node:*/* is every node".to_owned(),
                )),
            },
            // As records show a certificate, and as `whoami` prints it.
            "cert" => Err((
                "a certificate is written by the name in it".to_owned(),
                format!("leave out `cert:`: write {}", cut(rest)),
            )),
            other => Err((
                format!("there is no kind of subject called {:?}", cut(other)),
                suggest::advice(other, &KINDS),
            )),
        }
    }

    /// Whether `caller` is one of them.
    pub(super) fn matches(&self, caller: &Caller) -> bool {
        match (self, caller) {
            (_, Caller::Service) => false,
            (Self::Anyone, _) => true,
            (Self::Dns(glob), Caller::Certificate { name }) => name
                .as_str()
                .strip_prefix("dns:")
                .is_some_and(|name| glob.matches(name)),
            (Self::Uri(glob), Caller::Certificate { name }) => name
                .as_str()
                .strip_prefix("uri:")
                .is_some_and(|name| glob.matches(name)),
            (Self::Jwt { issuer, subject }, Caller::Token { holder }) => {
                issuer.matches(holder.issuer().as_str()) && subject.matches(holder.subject())
            }
            (Self::ApiKey(glob), Caller::ApiKey { name }) => glob.matches(name.as_str()),
            (Self::Uid(wanted), Caller::LocalUser { uid }) => wanted.is_none_or(|wanted| wanted == *uid),
            (
                Self::Node { chain, node },
                Caller::Node {
                    chain: id,
                    node: name,
                },
            ) => chain.matches(id.as_str()) && node.matches(name.as_str()),
            (
                Self::Dns(_)
                | Self::Uri(_)
                | Self::Jwt { .. }
                | Self::ApiKey(_)
                | Self::Uid(_)
                | Self::Node { .. },
                _,
            ) => false,
        }
    }

    /// Whether somebody might be both: never `false` where somebody is.
    pub(super) fn may_meet(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Anyone, _) | (_, Self::Anyone) => true,
            (Self::Dns(a), Self::Dns(b)) | (Self::Uri(a), Self::Uri(b)) => a.may_meet(b),
            (
                Self::Jwt {
                    issuer: a,
                    subject: m,
                },
                Self::Jwt {
                    issuer: b,
                    subject: n,
                },
            ) => a.may_meet(b) && m.may_meet(n),
            (Self::ApiKey(a), Self::ApiKey(b)) => a.may_meet(b),
            (Self::Uid(a), Self::Uid(b)) => a.is_none() || b.is_none() || a == b,
            (Self::Node { chain: a, node: m }, Self::Node { chain: b, node: n }) => {
                a.may_meet(b) && m.may_meet(n)
            }
            (
                Self::Dns(_)
                | Self::Uri(_)
                | Self::Jwt { .. }
                | Self::ApiKey(_)
                | Self::Uid(_)
                | Self::Node { .. },
                _,
            ) => false,
        }
    }
}

impl fmt::Display for SubjectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("*"),
            Self::Dns(glob) => write!(f, "dns:{}", glob.as_str()),
            Self::Uri(glob) => write!(f, "uri:{}", glob.as_str()),
            Self::Jwt { issuer, subject } => write!(f, "jwt:{}/{}", issuer.as_str(), subject.as_str()),
            Self::ApiKey(glob) => write!(f, "apikey:{}", glob.as_str()),
            Self::Uid(Some(uid)) => write!(f, "uid:{uid}"),
            Self::Uid(None) => f.write_str("uid:*"),
            Self::Node { chain, node } => write!(f, "node:{}/{}", chain.as_str(), node.as_str()),
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::model::bearer::TokenHolder;
    use crate::model::caller::SubjectName;
    use crate::model::id::{ApiKeyName, ChainId, NodeName};

    fn certificate(name: &str) -> Caller {
        Caller::Certificate {
            name: SubjectName::parse(name).unwrap(),
        }
    }

    #[test]
    fn a_pattern_means_callers_of_its_kind_only() {
        let node = Caller::Node {
            chain: ChainId::new("a/b-1").unwrap(),
            node: NodeName::new("n0").unwrap(),
        };
        let callers = [
            certificate("dns:Alice.ops.example"),
            certificate("uri:spiffe://example/ns/v/sa/signer"),
            Caller::LocalUser { uid: 1000 },
            node,
            Caller::Token {
                holder: TokenHolder::parse("ci/deploy/7").unwrap(),
            },
            Caller::Service,
            Caller::ApiKey {
                name: ApiKeyName::new("ci-1").unwrap(),
            },
        ];
        for (pattern, wanted) in [
            ("*", [true, true, true, true, true, false, true]),
            (
                "dns:*.OPS.example",
                [true, false, false, false, false, false, false],
            ),
            ("dns:**", [true, false, false, false, false, false, false]),
            (
                "uri:spiffe://example/ns/*/sa/*",
                [false, true, false, false, false, false, false],
            ),
            (
                "uri:spiffe://example/*",
                [false, false, false, false, false, false, false],
            ),
            ("uid:1000", [false, false, true, false, false, false, false]),
            ("uid:*", [false, false, true, false, false, false, false]),
            ("uid:100", [false; 7]),
            ("node:a/b-*/n?", [false, false, false, true, false, false, false]),
            ("jwt:ci/*/7", [false, false, false, false, true, false, false]),
            ("jwt:*/**", [false, false, false, false, true, false, false]),
            ("jwt:ci/deploy", [false; 7]),
            ("jwt:c/deploy/7", [false; 7]),
            ("apikey:ci-*", [false, false, false, false, false, false, true]),
            ("apikey:ci", [false; 7]),
            ("node:*/*", [false, false, false, true, false, false, false]),
        ] {
            let parsed = SubjectPattern::parse(pattern).unwrap();
            for (caller, wanted) in callers.iter().zip(wanted) {
                assert_eq!(parsed.matches(caller), wanted, "{pattern} {caller}");
            }
        }
    }

    #[test]
    fn what_is_no_subject_is_refused_with_a_word_of_advice() {
        for bad in [
            "alice",
            "dns:",
            "dn:x",
            "uid:-1",
            "uid:+1",
            "uid:root",
            "uri:nothing",
            "node:chain",
            "node:/n",
            "jwt:ci",
            "apikey:",
            "apikey:a/b",
            "jwt:/a",
            "jwt:ci/",
            "dns:ä",
            "dns:a b",
            "dns:a/b",
        ] {
            assert!(SubjectPattern::parse(bad).is_err(), "{bad}");
        }
        assert!(
            SubjectPattern::parse("cert:dns:ada")
                .unwrap_err()
                .1
                .contains("write dns:ada")
        );
        assert!(SubjectPattern::parse("dsn:x").unwrap_err().1.contains("`dns`"));
        assert!(SubjectPattern::parse(&format!("dns:{}", "a".repeat(257))).is_err());
    }
}
