//! What a token can do for sigward, found out by having it done: `sigward hsm probe`.
//!
//! Everything is tried with session objects, which are gone when the session is: a probe leaves nothing in the token. Some tokens make
//! none (YubiHSM 2); of what such a token lists, nothing is known without leaving something in it.

use std::{
    error::Error as _,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use cryptoki::{mechanism::MechanismType, session::Session};
use sigward_policies::model::algorithm::Algorithm;

use super::{
    acts::Acts,
    client::{Access, Client},
    ecdsa::{self, Hashing},
    error::{Kind, TokenError},
    login::Tries,
    mechanism, objects,
    provider::{TokenConfig, connect, pool_size},
    token::TokenIdentity,
    wrap,
};
use crate::{
    ecdsa::Curve,
    error::{Operation, ProviderError},
    secret::Arena,
    verify::Verifier,
};

/// What sigward may want of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Consensus keys of CometBFT that never leave the token.
    ConsensusEd25519,
    /// The same on secp256k1; also keys of Ethereum accounts: the recovery id is found, and tried, here.
    Secp256k1,
    /// ECDSA on P-256: audit checkpoints, TLS. No consensus key is on it.
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
    /// It lists what is needed, and refused the session object to try it with: it may well serve.
    Unknown {
        /// What it refused, and how to find out.
        reason: String,
    },
    /// It does not.
    No {
        /// Why: the mechanism that is missing, or the C function that failed.
        reason: String,
    },
}

/// What one purpose came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The purpose.
    pub purpose: Purpose,
    /// How far the token serves it.
    pub verdict: Verdict,
    /// Operations in one session, one after the other: median and 99th percentile. None where it cannot be done.
    pub latency: Option<(Duration, Duration)>,
    /// Operations a second with as many sessions at once as are configured. None where it cannot be done.
    pub rate: Option<f64>,
}

/// What a token was found to do.
#[derive(Debug, Clone, PartialEq)]
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
    pub const ALL: [Self; 4] = [
        Self::ConsensusEd25519,
        Self::Secp256k1,
        Self::P256,
        Self::Wrapping,
    ];

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

/// What is signed: no message of any chain begins like this.
const MESSAGE: &[u8] = b"sigward probe";
/// How long one session may take for its rounds.
const PATIENCE: Duration = Duration::from_secs(60);

/// The token that is tried.
struct Token<'a> {
    client: &'a Arc<Client>,
    acts: Acts,
    offered: &'a [MechanismType],
    sessions: usize,
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
    let offered = client.look(mechanism::offered).map_err(failed)?;
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
    let at_once = pool_size(config.sessions, token.info.max_session_count());
    let tried = Token {
        client: &client,
        acts: Acts::new(&client),
        offered: &offered,
        sessions: at_once,
    };
    let mut findings = Vec::new();
    for purpose in Purpose::ALL {
        findings.push(find_out(&tried, purpose, rounds));
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

/// What a purpose needs, and the name of the mechanism that it is served by; or what is missing.
fn served_by(purpose: Purpose, offered: &[MechanismType]) -> Result<&'static str, String> {
    let one_of = |wanted: &[(MechanismType, &'static str)]| {
        let found = wanted.iter().find(|(mechanism, _)| offered.contains(mechanism));
        found.map(|(_, name)| *name).ok_or_else(|| {
            let names: Vec<_> = wanted.iter().map(|(_, name)| *name).collect();
            format!("the token does not list {}", names.join(" or "))
        })
    };
    match purpose {
        Purpose::ConsensusEd25519 => {
            one_of(&[(
                MechanismType::ECC_EDWARDS_KEY_PAIR_GEN,
                "CKM_EC_EDWARDS_KEY_PAIR_GEN",
            )])?;
            one_of(&[(MechanismType::EDDSA, "CKM_EDDSA")])
        }
        Purpose::Secp256k1 | Purpose::P256 => {
            one_of(&[(MechanismType::ECC_KEY_PAIR_GEN, "CKM_EC_KEY_PAIR_GEN")])?;
            one_of(&[
                (MechanismType::ECDSA, "CKM_ECDSA"),
                (MechanismType::ECDSA_SHA256, "CKM_ECDSA_SHA256"),
            ])
        }
        Purpose::Wrapping => {
            one_of(&[(MechanismType::AES_KEY_GEN, "CKM_AES_KEY_GEN")])?;
            let method = wrap::best_method(offered);
            method
                .map(wrap::Method::as_str)
                .ok_or_else(|| "the token lists no mechanism to wrap with".to_owned())
        }
    }
}

fn find_out(token: &Token<'_>, purpose: Purpose, rounds: usize) -> Finding {
    let not_served = |verdict| Finding {
        purpose,
        verdict,
        latency: None,
        rate: None,
    };
    let mechanism = match served_by(purpose, token.offered) {
        Ok(mechanism) => mechanism,
        Err(reason) => return not_served(Verdict::No { reason }),
    };
    match measure(token, purpose, rounds) {
        Ok((times, rate)) => Finding {
            purpose,
            verdict: match purpose {
                Purpose::Wrapping => Verdict::WrappedByHardware { mechanism },
                _ => Verdict::InHardware { mechanism },
            },
            latency: percentiles(times),
            rate,
        },
        Err(error) => not_served(verdict_of(&error, purpose)),
    }
}

/// A session object that is refused says nothing of keys that stay.
fn verdict_of(error: &ProviderError, purpose: Purpose) -> Verdict {
    let reason = match error.source() {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    };
    let refused = error
        .source()
        .and_then(|cause| cause.downcast_ref::<TokenError>())
        .is_some_and(|cause| cause.kind == Kind::Template);
    if !refused {
        return Verdict::No { reason };
    }
    let try_it = match purpose {
        Purpose::ConsensusEd25519 => "`sigward keys create` makes a key that stays, and tries it",
        Purpose::Secp256k1 => {
            "`sigward keys create --algorithm secp256k1` makes a key that stays, and tries it"
        }
        Purpose::P256 => "try it with the maker's tool",
        Purpose::Wrapping => "`sigward seal move --to pkcs11` makes a key that stays, and tries it",
    };
    Verdict::Unknown {
        reason: format!("the token makes no session object to try it with ({reason}); {try_it}"),
    }
}

/// One session for the latency, then all of them at once for the rate.
fn measure(
    token: &Token<'_>,
    purpose: Purpose,
    rounds: usize,
) -> Result<(Vec<Duration>, Option<f64>), ProviderError> {
    let offered = token.offered.to_vec();
    let times = token.acts.run(Operation::Sign, move |session| {
        let mut once = prepare(session, purpose, &offered)?;
        (0..rounds)
            .map(|_| {
                let began = Instant::now();
                once().map(|()| began.elapsed())
            })
            .collect()
    })?;
    Ok((times, rate(token, purpose, rounds)))
}

/// Operations a second of all sessions together. None where one of them failed, or did not answer: a figure of fewer would be
/// taken for that of all.
fn rate(token: &Token<'_>, purpose: Purpose, rounds: usize) -> Option<f64> {
    // Sessions that start at once: those that wait here have their keys.
    let (ready, is_ready) = mpsc::channel();
    let (done, is_done) = mpsc::channel();
    let mut start = Vec::new();
    for _ in 0..token.sessions {
        let (go, at_go) = mpsc::channel::<()>();
        start.push(go);
        let (ready, done) = (ready.clone(), done.clone());
        let (client, offered) = (Arc::clone(token.client), token.offered.to_vec());
        let work = move || {
            let (live, _) = client.connect(Access::Write, Tries::Spare).ok()?;
            let worked = client.within(&live, |session| {
                let mut once = prepare(session, purpose, &offered)?;
                let _nobody_waits = ready.send(());
                if at_go.recv().is_ok() {
                    (0..rounds).try_for_each(|_| once())?;
                }
                Ok(())
            });
            client.close(live);
            worked.ok()
        };
        std::thread::Builder::new()
            .name("pkcs11-probe".to_owned())
            .spawn(move || {
                let _nobody_waits = done.send(work());
            })
            .ok()?;
    }
    for _ in 0..token.sessions {
        is_ready.recv_timeout(PATIENCE).ok()?;
    }
    let began = Instant::now();
    start.iter().try_for_each(|go| go.send(())).ok()?;
    for _ in 0..token.sessions {
        is_done.recv_timeout(PATIENCE).ok()??;
    }
    let operations = u32::try_from(token.sessions.saturating_mul(rounds)).ok()?;
    Some(f64::from(operations) / began.elapsed().as_secs_f64())
}

/// One operation of a purpose, with a key of this session, after its first result was checked: a token that signs wrongly serves
/// nobody.
fn prepare<'a>(
    session: &'a Session,
    purpose: Purpose,
    offered: &[MechanismType],
) -> Result<Box<dyn FnMut() -> Result<(), TokenError> + 'a>, TokenError> {
    let wrong = |what: String| TokenError::new(Kind::Failed, what, "do not use this token");
    let mut hashing = Hashing::default();
    match purpose {
        Purpose::ConsensusEd25519 => {
            let (public_key, private) = objects::generate_for_session(session, Algorithm::Ed25519)?;
            let mut sign = move || objects::sign(session, private, Algorithm::Ed25519, MESSAGE, &mut hashing);
            let first = sign()?;
            Verifier::new(&public_key)
                .and_then(|verifier| verifier.verify(MESSAGE, &first))
                .map_err(|error| wrong(error.to_string()))?;
            Ok(Box::new(move || sign().map(drop)))
        }
        Purpose::Secp256k1 | Purpose::P256 => {
            let curve = match purpose {
                Purpose::P256 => Curve::P256,
                _ => Curve::Secp256k1,
            };
            let (key, private) = ecdsa::generate_for_session(session, curve)?;
            // Recovering the key from the signature verifies it too.
            ecdsa::sign_recoverable(session, (&key, private), MESSAGE, &mut hashing)?;
            Ok(Box::new(move || {
                ecdsa::sign(session, private, curve, MESSAGE, &mut hashing).map(drop)
            }))
        }
        Purpose::Wrapping => {
            let method = wrap::best_method(offered).ok_or_else(|| wrong("no way to wrap".to_owned()))?;
            wrap::unwrapper(session, method)
        }
    }
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
            assert!(finding.latency.is_some() && finding.rate.is_some_and(|rate| rate > 0.0));
        }
        let (client, _) = connect(&config, &arena(8), Tries::Spare).unwrap();
        let (live, _) = client.connect(Access::Read, Tries::Spare).unwrap();
        let left = client
            .within(&live, |session| Ok(session.find_objects(&[])?.len()))
            .unwrap();
        assert_eq!(left, 0);
    }

    /// YubiHSM 2 answers so to `CKA_TOKEN` false. That it cannot do it would be wrong.
    #[test]
    fn a_token_without_session_objects_is_not_said_to_serve_nothing() {
        let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
        let config = TokenConfig {
            module: shim.module.clone(),
            ..softhsm::token(folder.path())
        };
        shim.tell("resident no-eddsa");
        let probe = probe(&config, &arena(8), 2, |_| {}).unwrap();
        for finding in &probe.findings {
            match (finding.purpose, &finding.verdict) {
                (Purpose::ConsensusEd25519, Verdict::No { reason }) => {
                    assert!(reason.contains("CKM_EDDSA"), "what is not listed is not there");
                }
                (Purpose::Secp256k1 | Purpose::P256 | Purpose::Wrapping, Verdict::Unknown { reason }) => {
                    assert!(reason.contains("CKR_ATTRIBUTE_VALUE_INVALID"), "{reason}");
                }
                other => unreachable!("{other:?}"),
            }
        }
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
