//! The edition of certificates in force, and the one who looks whether the files hold another one.
//!
//! *Invariants:* files that are bad, or do not belong together, leave the edition in force as it is; whether a peer's certificate
//! stands is asked again for every request, of the edition that is in force then and by the time of then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{Error, ServerConnection};
use sha2::{Digest as _, Sha256};
use sigward_policies::model::authentication::Authentication;
use sigward_policies::model::caller::SubjectName;

use super::error::TlsError;
use super::server::{Material, ServerFiles};
use super::verifier::name_of;
use super::x509;

/// Holds what the listener proves and demands.
#[derive(Debug)]
pub struct Keeper {
    files: ServerFiles,
    now: RwLock<Arc<Material>>,
    last: Mutex<Last>,
}

/// What was seen when the files were looked at last.
#[derive(Debug)]
struct Last {
    /// Of what was taken over.
    taken: [u8; 32],
    /// Of what was there but could not be used; of files that cannot be read, what was wrong.
    refused: Option<Seen>,
}

#[derive(PartialEq, Eq, Debug)]
enum Seen {
    Digest([u8; 32]),
    Unread(String),
}

/// What a look at the files came to.
#[derive(Debug)]
pub enum Looked {
    /// They are what is in force.
    Same,
    /// They were taken over.
    Taken(Arc<Material>),
    /// They are of no use; what was in force stays.
    Bad(TlsError),
    /// They are of no use and have just changed: somebody may be at work on them.
    Unsettled(TlsError),
}

/// The client at the other end of a connection.
#[derive(Debug)]
pub struct Peer {
    chain: Vec<CertificateDer<'static>>,
    name: SubjectName,
    /// Of the certificate that names it.
    sha256: [u8; 32],
    ends: i64,
    /// The edition and the second in which its certificate was verified last.
    verified: Mutex<(u64, u64)>,
}

impl Keeper {
    /// Reads the files; at a start, what is bad refuses.
    pub fn open(files: ServerFiles) -> Result<Self, TlsError> {
        let bytes = files.read()?;
        let material = files.material(&bytes, 1, seconds())?;
        Ok(Self {
            now: RwLock::new(Arc::new(material)),
            last: Mutex::new(Last {
                taken: bytes.digest(),
                refused: None,
            }),
            files,
        })
    }

    /// Only judges files, for a check of the configuration.
    pub fn check(files: &ServerFiles) -> Result<Material, TlsError> {
        files.material(&files.read()?, 1, seconds())
    }

    /// Looks at the files, and takes over what is new in them. Blocks: off the runtime's workers.
    pub fn look(&self) -> Looked {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = match self.files.read() {
            Ok(bytes) => bytes,
            Err(error) => return refuse(&mut last, Seen::Unread(error.to_string()), error),
        };
        let digest = bytes.digest();
        if digest == last.taken {
            last.refused = None;
            return Looked::Same;
        }
        let next = self.material().edition.saturating_add(1);
        match self.files.material(&bytes, next, seconds()) {
            Ok(material) => {
                let material = Arc::new(material);
                *self.now.write().unwrap_or_else(PoisonError::into_inner) = material.clone();
                *last = Last {
                    taken: digest,
                    refused: None,
                };
                Looked::Taken(material)
            }
            Err(error) => refuse(&mut last, Seen::Digest(digest), error),
        }
    }

    /// The edition in force.
    pub fn material(&self) -> Arc<Material> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who is at the other end of a finished handshake.
    pub fn peer(&self, connection: &ServerConnection) -> Result<Peer, Error> {
        let chain: Vec<_> = connection
            .peer_certificates()
            .unwrap_or_default()
            .iter()
            .map(|der| der.clone().into_owned())
            .collect();
        // The handshake may have begun under an older edition.
        let (name, verified) = self.verify(&chain)?;
        let own = chain.first().ok_or(Error::NoCertificatesPresented)?;
        Ok(Peer {
            sha256: Sha256::digest(own).into(),
            ends: x509::facts(own).map_or(i64::MAX, |facts| facts.not_after),
            chain,
            name,
            verified: Mutex::new(verified),
        })
    }

    /// Whether the peer's certificate stands, by what is in force now.
    pub fn stands(&self, peer: &Peer) -> Result<(), Error> {
        let mut verified = peer.lock();
        // Dates are in seconds: nothing can have changed within one but the edition.
        if *verified != (self.material().edition, UnixTime::now().as_secs()) {
            *verified = self.verify(&peer.chain)?.1;
        }
        Ok(())
    }

    fn verify(&self, chain: &[CertificateDer<'_>]) -> Result<(SubjectName, (u64, u64)), Error> {
        let (end_entity, intermediates) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        let (material, now) = (self.material(), UnixTime::now());
        let verifier = material.verifier.as_ref().ok_or(Error::NoCertificatesPresented)?;
        verifier.verify_client_cert(end_entity, intermediates, now)?;
        Ok((name_of(end_entity)?, (material.edition, now.as_secs())))
    }
}

impl Peer {
    /// Whom its certificate names.
    pub const fn name(&self) -> &SubjectName {
        &self.name
    }

    /// By what it is known.
    pub const fn authentication(&self) -> Authentication {
        Authentication::Certificate { sha256: self.sha256 }
    }

    /// The last second in which its certificate is good.
    pub const fn ends(&self) -> i64 {
        self.ends
    }

    fn lock(&self) -> MutexGuard<'_, (u64, u64)> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse(last: &mut Last, seen: Seen, error: TlsError) -> Looked {
    let settled = last.refused.as_ref() == Some(&seen);
    last.refused = Some(seen);
    match settled {
        true => Looked::Bad(error),
        false => Looked::Unsettled(error),
    }
}

fn seconds() -> i64 {
    let now = Duration::from_secs(UnixTime::now().as_secs());
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
