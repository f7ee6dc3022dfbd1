//! What a token can do for sigward, found out by having it done: `sigward hsm probe`.
//!
//! Everything is tried with session objects, which are gone when the session is: a probe leaves nothing in the token.

use std::time::{Duration, Instant};

use cryptoki::{
    mechanism::{Mechanism, MechanismType},
    object::{Attribute, KeyType},
    session::Session,
};
use sigward_policies::model::algorithm::Algorithm;

use super::{
    acts::Acts,
    curve,
    error::TokenError,
    objects,
    pin::Tries,
    provider::{TokenConfig, connect},
    token::TokenIdentity,
    wrap,
};
use crate::{
    error::{Operation, ProviderError},
    secret::Arena,
    verify::Verifier,
};

/// What sigward may want of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Consensus keys of CometBFT that never leave the token.
    ConsensusEd25519,
    /// The same on secp256k1; also keys of Ethereum accounts.
    Secp256k1,
    /// ECDSA on P-256: audit checkpoints, TLS.
    P256,
    /// Sealing of keys that no token can use (BN254, BLS12-381): unwrapped into locked memory while used.
    Wrapping,
}

/// How far a token serves a purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The key never leaves it.
    InHardware {
        /// The mechanism, as PKCS#11 names it.
        mechanism: &'static str,
    },
    /// The token keeps the key that seals; the sealed key is in memory while it is used.
    WrappedByHardware {
        /// The mechanism.
        mechanism: &'static str,
    },
    /// It does not.
    No {
        /// Why: the mechanism that is missing, or the C function that failed.
        reason: String,
    },
}

/// What one purpose came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The purpose.
    pub purpose: Purpose,
    /// How far the token serves it.
    pub verdict: Verdict,
    /// Operations in one session, one after the other: median and 99th percentile. None where it cannot be done.
    pub latency: Option<(Duration, Duration)>,
}

/// What a token was found to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Who it says it is.
    pub token: TokenIdentity,
    /// The module: description and versions.
    pub library: String,
    /// Sessions it allows at once; none where it does not say.
    pub sessions: Option<u64>,
    /// How many mechanisms it lists.
    pub mechanisms: usize,
    /// One finding a purpose.
    pub findings: Vec<Finding>,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 4] = [Self::ConsensusEd25519, Self::Secp256k1, Self::P256, Self::Wrapping];

    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConsensusEd25519 => "consensus keys, Ed25519",
            Self::Secp256k1 => "ECDSA keys, secp256k1",
            Self::P256 => "ECDSA keys, P-256",
            Self::Wrapping => "BN254 and BLS12-381, sealed",
        }
    }
}

/// Tries every purpose `rounds` times; `progress` hears of each purpose that is done.
///
/// # Errors
/// As `Pkcs11Provider::open`. A purpose that a token does not serve is a finding, not an error.
pub fn probe(
    config: &TokenConfig,
    arena: &Arena,
    rounds: usize,
    mut progress: impl FnMut(Purpose),
) -> Result<Probe, ProviderError> {
    let (client, token) = connect(config, arena, Tries::Spare)?;
    let failed = |error: TokenError| error.during(Operation::Initialize);
    let offered = client
        .look(|context, slot| Ok(context.get_mechanism_list(slot)?))
        .map_err(failed)?;
    let library = client
        .look(|context, _| {
            let info = context.get_library_info()?;
            Ok(format!(
                "{} {} (PKCS#11 {})",
                info.library_description(),
                info.library_version(),
                info.cryptoki_version()
            ))
        })
        .map_err(failed)?;
    let sessions = match token.info.max_session_count() {
        cryptoki::slot::Limit::Max(most) => Some(most),
        cryptoki::slot::Limit::Infinite | cryptoki::slot::Limit::Unavailable => None,
    };
    let acts = Acts::new(&client);
    let mut findings = Vec::new();
    for purpose in Purpose::ALL {
        findings.push(find_out(&acts, purpose, &offered, rounds));
        progress(purpose);
    }
    Ok(Probe {
        token: token.identity(),
        library,
        sessions,
        mechanisms: offered.len(),
        findings,
    })
}

fn find_out(acts: &Acts, purpose: Purpose, offered: &[MechanismType], rounds: usize) -> Finding {
    let no = |reason: String| Finding {
        purpose,
        verdict: Verdict::No { reason },
        latency: None,
    };
    let wanted: &[(MechanismType, &str)] = match purpose {
        Purpose::ConsensusEd25519 => &[
            (MechanismType::ECC_EDWARDS_KEY_PAIR_GEN, "CKM_EC_EDWARDS_KEY_PAIR_GEN"),
            (MechanismType::EDDSA, "CKM_EDDSA"),
        ],
        Purpose::Secp256k1 | Purpose::P256 => &[
            (MechanismType::ECC_KEY_PAIR_GEN, "CKM_EC_KEY_PAIR_GEN"),
            (MechanismType::ECDSA, "CKM_ECDSA"),
        ],
        Purpose::Wrapping => &[(MechanismType::AES_KEY_GEN, "CKM_AES_KEY_GEN")],
    };
    if let Some((_, missing)) = wanted.iter().find(|(mechanism, _)| !offered.contains(mechanism)) {
        return no(format!("the token does not list {missing}"));
    }
    let tried = match purpose {
        Purpose::ConsensusEd25519 => acts.run(Operation::Sign, move |session| {
            sign_rounds(session, Algorithm::Ed25519, rounds)
        }),
        Purpose::Secp256k1 => acts.run(Operation::Sign, move |session| {
            sign_rounds(session, Algorithm::Secp256k1, rounds)
        }),
        Purpose::P256 => acts.run(Operation::Sign, move |session| p256_rounds(session, rounds)),
        Purpose::Wrapping => match wrap::best_method(offered) {
            Some(method) => acts.run(Operation::Load, move |session| {
                wrap::unwrap_rounds(session, method, rounds)
            }),
            None => return no("the token lists no mechanism to wrap with".to_owned()),
        },
    };
    match tried {
        Ok(times) => Finding {
            purpose,
            verdict: match (purpose, wanted.last()) {
                (Purpose::Wrapping, _) => Verdict::WrappedByHardware {
                    mechanism: wrap::best_method(offered).map_or("", wrap::Method::as_str),
                },
                (_, Some((_, mechanism))) => Verdict::InHardware { mechanism },
                (_, None) => Verdict::InHardware { mechanism: "" },
            },
            latency: percentiles(times),
        },
        Err(error) => no(match std::error::Error::source(&error) {
            Some(cause) => cause.to_string(),
            None => error.to_string(),
        }),
    }
}

/// Signs with a session key, and checks the first signature: a token that signs wrongly serves nobody.
fn sign_rounds(session: &Session, algorithm: Algorithm, rounds: usize) -> Result<Vec<Duration>, TokenError> {
    let (public_key, private) = objects::generate_for_session(session, algorithm)?;
    let message = b"sigward probe";
    let first = objects::sign(session, private, algorithm, message)?;
    Verifier::new(&public_key)
        .and_then(|verifier| verifier.verify(message, &first))
        .map_err(|error| TokenError::new(super::error::Kind::Failed, error.to_string(), "do not use this token"))?;
    timed(rounds, || objects::sign(session, private, algorithm, message).map(drop))
}

fn p256_rounds(session: &Session, rounds: usize) -> Result<Vec<Duration>, TokenError> {
    let public = [
        Attribute::Token(false),
        Attribute::KeyType(KeyType::EC),
        Attribute::EcParams(curve::P256.to_vec()),
        Attribute::Verify(true),
    ];
    let private = [
        Attribute::Token(false),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    let (_, key) = session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?;
    timed(rounds, || Ok(session.sign(&Mechanism::Ecdsa, key, &[7; 32]).map(drop)?))
}

/// Runs `work` so often, and says how long each time took.
pub(super) fn timed(
    rounds: usize,
    mut work: impl FnMut() -> Result<(), TokenError>,
) -> Result<Vec<Duration>, TokenError> {
    (0..rounds)
        .map(|_| {
            let began = Instant::now();
            work().map(|()| began.elapsed())
        })
        .collect()
}

fn percentiles(mut times: Vec<Duration>) -> Option<(Duration, Duration)> {
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
    Some((*at(50)?, *at(99)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        fixtures::arena,
        pkcs11::softhsm::{self, Shim},
    };

    #[test]
    fn softhsm_serves_every_purpose_and_keeps_nothing_of_the_probe() {
        let folder = tempfile::tempdir().unwrap();
        let config = softhsm::token(folder.path());
        let mut heard = Vec::new();
        let probe = probe(&config, &arena(8), 5, |purpose| heard.push(purpose)).unwrap();
        assert_eq!(heard, Purpose::ALL);
        for finding in &probe.findings {
            assert!(!matches!(finding.verdict, Verdict::No { .. }), "{finding:?}");
            assert!(finding.latency.is_some());
        }
        let (client, _) = connect(&config, &arena(8), Tries::Spare).unwrap();
        let (live, _) = client.connect(super::super::client::Access::Read, Tries::Spare).unwrap();
        let left = client.within(&live, |session| Ok(session.find_objects(&[])?.len())).unwrap();
        assert_eq!(left, 0);
    }

    #[test]
    fn a_mechanism_that_is_not_there_is_named() {
        let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
        let config = TokenConfig {
            module: shim.module.clone(),
            ..softhsm::token(folder.path())
        };
        shim.tell("no-eddsa");
        let probe = probe(&config, &arena(8), 2, |_| {}).unwrap();
        let finding = probe.findings.first().unwrap();
        let Verdict::No { reason } = &finding.verdict else {
            unreachable!("{finding:?}");
        };
        assert!(reason.contains("CKM_EDDSA"), "{reason}");
    }
}
