//! What our listener proves and demands, from bytes of files to a configuration of rustls: all of it, or an error.
//!
//! *Invariants:* client certificates are demanded wherever an authority of clients is named; where CRLs are given, every certificate below the authority needs one that says that
//! it stands, and one of the past says nothing (RFC 5280, section 6.3.3: undetermined is refused here).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{Error, RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::error::{TlsError, TlsWhat};
use super::verifier::Named;
use super::{files, provider, x509};

/// Protocols over TLS, the better one first (RFC 7301).
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Where the listener's files are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerFiles {
    /// The server's certificate, and intermediate ones after it.
    pub certificate: PathBuf,
    /// Its private key.
    pub private_key: PathBuf,
    /// The authorities whose client certificates are demanded; without, clients are asked for none: tokens say who they are.
    pub client_ca: Option<PathBuf>,
    /// Their CRLs; without, a certificate stands until it expires.
    pub crl: Option<PathBuf>,
}

/// What the files held at one moment.
pub(super) struct Bytes {
    certificate: Vec<u8>,
    private_key: Zeroizing<Vec<u8>>,
    client_ca: Option<Vec<u8>>,
    crl: Option<Vec<u8>>,
}

/// Until when something holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expiry {
    /// `server`, `client_ca` or `crl`.
    pub what: &'static str,
    /// Seconds since 1970; of several, the first to end.
    pub at: i64,
}

/// Files that were read and belong together.
#[derive(Debug)]
pub struct Material {
    /// For the next handshake.
    pub(super) config: Arc<ServerConfig>,
    /// For the next request.
    pub(super) verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// Which edition this is, from 1.
    pub(super) edition: u64,
    expiries: Vec<Expiry>,
    uncovered: Vec<String>,
}

impl Material {
    /// The authorities of clients of which there is no CRL, where there are CRLs: whom they vouch for is let in by none of them.
    pub fn without_crl(&self) -> &[String] {
        &self.uncovered
    }

    /// Until when each part holds.
    pub fn expiries(&self) -> &[Expiry] {
        &self.expiries
    }

    /// For the next handshake.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Which edition this is, from 1.
    pub const fn edition(&self) -> u64 {
        self.edition
    }
}

impl ServerFiles {
    pub(super) fn read(&self) -> Result<Bytes, TlsError> {
        Ok(Bytes {
            certificate: files::read_guarded(&self.certificate)?,
            private_key: files::read_secret(&self.private_key)?,
            client_ca: self.client_ca.as_deref().map(files::read_guarded).transpose()?,
            crl: self.crl.as_deref().map(files::read_guarded).transpose()?,
        })
    }

    /// Everything that is in the files, or why they are of no use at `now`.
    pub(super) fn material(&self, bytes: &Bytes, edition: u64, now: i64) -> Result<Material, TlsError> {
        let chain = files::certificates(&self.certificate, &bytes.certificate)?;
        let key = files::private_key(&self.private_key, &bytes.private_key)?;
        let authorities = match (&self.client_ca, &bytes.client_ca) {
            (Some(path), Some(pem)) => Some((path, files::certificates(path, pem)?)),
            _ => None,
        };
        let crls = match (&self.crl, &bytes.crl) {
            (Some(path), Some(pem)) => Some((path, files::crls(path, pem)?)),
            _ => None,
        };
        let (of_clients, revoking) = (
            authorities.as_ref().map(|(path, all)| (*path, all.as_slice())),
            crls.as_ref().map(|(_, crls)| crls.as_slice()),
        );
        let expiries = self.expiries(&chain, of_clients, revoking, now)?;
        // Told only of files that belong together: what does not is said first.
        let purposes = self.purposes(&chain, of_clients);
        let uncovered = uncovered(of_clients, revoking);

        let verifier = match authorities {
            Some((path, authorities)) => Some(verifier(path, authorities, crls)?),
            None => None,
        };
        let invalid = |why: Error| match why {
            Error::InconsistentKeys(_) => TlsError::new(
                TlsWhat::Mismatch,
                &self.private_key,
                format!("it is not the key of {}", self.certificate.display()),
            ),
            why => TlsError::new(TlsWhat::Invalid, &self.certificate, why),
        };
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(invalid)?;
        let mut config = match &verifier {
            Some(verifier) => config.with_client_cert_verifier(verifier.clone()),
            None => config.with_no_client_auth(),
        }
        .with_single_cert(chain, key)
        .map_err(invalid)?;
        purposes?;
        config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
        // Whoever comes again shows the certificate again: it may have been revoked.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(Material {
            config: Arc::new(config),
            verifier,
            edition,
            expiries,
            uncovered,
        })
    }

    /// What clients would refuse of us, or what would refuse every client: better said here than found out by them.
    fn purposes(
        &self,
        chain: &[CertificateDer<'_>],
        authorities: Option<(&PathBuf, &[CertificateDer<'_>])>,
    ) -> Result<(), TlsError> {
        let read = |path: &PathBuf, der: &CertificateDer<'_>| {
            x509::facts(der).map_err(|why| TlsError::new(TlsWhat::Invalid, path, why))
        };
        if let Some(own) = chain.first() {
            let facts = read(&self.certificate, own)?;
            if !facts.may_serve {
                let why = format!("the certificate of {} is not for servers", facts.subject);
                return Err(TlsError::new(TlsWhat::Purpose, &self.certificate, why));
            }
        }
        let Some((path, authorities)) = authorities else {
            return Ok(());
        };
        for authority in authorities {
            if read(path, authority)?.may_vouch() {
                return Ok(());
            }
        }
        let why = "no authority in it: nobody's certificate is of one of these";
        Err(TlsError::new(TlsWhat::Purpose, path, why))
    }

    fn expiries(
        &self,
        chain: &[CertificateDer<'_>],
        authorities: Option<(&PathBuf, &[CertificateDer<'_>])>,
        crls: Option<&[CertificateRevocationListDer<'_>]>,
        now: i64,
    ) -> Result<Vec<Expiry>, TlsError> {
        let of = |path: &PathBuf, all: &[CertificateDer<'_>]| {
            let facts: Result<Vec<_>, _> = all.iter().map(|der| x509::facts(der)).collect();
            facts.map_err(|why| TlsError::new(TlsWhat::Invalid, path, why))
        };
        let out_of_date = |path: &PathBuf, why: String| Err(TlsError::new(TlsWhat::OutOfDate, path, why));
        let server = of(&self.certificate, chain)?;
        for facts in &server {
            if now > facts.not_after || now < facts.not_before {
                let why = format!("the certificate of {} is not valid now", facts.subject);
                return out_of_date(&self.certificate, why);
            }
        }
        let first = |all: &[x509::Facts]| all.iter().map(|facts| facts.not_after).min();
        let mut expiries = Vec::new();
        let mut note = |what, at: Option<i64>| expiries.extend(at.map(|at| Expiry { what, at }));
        note("server", first(&server));
        if let Some((path, authorities)) = authorities {
            note("client_ca", first(&of(path, authorities)?));
        }
        if let (Some(path), Some(crls)) = (&self.crl, crls) {
            let facts: Result<Vec<_>, _> = crls.iter().map(|der| x509::crl_facts(der)).collect();
            let facts = facts.map_err(|why| TlsError::new(TlsWhat::Invalid, path, why))?;
            let next = facts.iter().filter_map(|crl| crl.next_update).min();
            if next.is_some_and(|next| now > next) {
                let why =
                    "another CRL was promised before now: nobody can be told from the revoked".to_owned();
                return out_of_date(path, why);
            }
            note("crl", next);
        }
        Ok(expiries)
    }
}

/// Authorities of clients whose CRL is not among `crls`, for people.
fn uncovered(
    authorities: Option<(&PathBuf, &[CertificateDer<'_>])>,
    crls: Option<&[CertificateRevocationListDer<'_>]>,
) -> Vec<String> {
    let (Some((_, authorities)), Some(crls)) = (authorities, crls) else {
        return Vec::new();
    };
    let issuers: Vec<_> = crls
        .iter()
        .filter_map(|der| x509::crl_facts(der).ok())
        .map(|crl| crl.issuer_in_der)
        .collect();
    authorities
        .iter()
        .filter_map(|der| x509::facts(der).ok())
        .filter(|facts| !issuers.contains(&facts.names_in_der.0))
        .map(|facts| facts.subject)
        .collect()
}

/// What demands a certificate of a client, of these authorities, and asks their CRLs.
fn verifier(
    path: &Path,
    authorities: Vec<CertificateDer<'static>>,
    crls: Option<(&PathBuf, Vec<CertificateRevocationListDer<'static>>)>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots
            .add(authority)
            .map_err(|why| TlsError::new(TlsWhat::Invalid, path, why))?;
    }
    let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let judged = match crls {
        Some((path, crls)) => {
            verifier = verifier.with_crls(crls).enforce_revocation_expiration();
            path.as_path()
        }
        None => path,
    };
    let verifier = verifier
        .build()
        .map_err(|why| TlsError::new(TlsWhat::Invalid, judged, why))?;
    Ok(Arc::new(Named(verifier)))
}

impl Bytes {
    /// Whether two readings are the same.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        let ca = self.client_ca.as_deref().unwrap_or_default();
        let crl = self.crl.as_deref().unwrap_or_default();
        for part in [&self.certificate, &*self.private_key, ca, crl] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}
