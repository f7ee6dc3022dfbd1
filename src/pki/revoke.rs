//! The CRL: what it revokes, and a new edition of it. An entry never leaves it.

use std::time::Duration;

use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevocationReason, RevokedCertParams,
    SerialNumber,
};

use super::authority::{Authority, from_until};
use super::disk::{self, PUBLIC};
use super::error::PkiError;
use super::show::{Kind, on_record};
use crate::tls::{TlsError, TlsWhat, files, x509};

/// What a revocation did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revoked {
    /// What is meant; at least one certificate.
    pub meant: Vec<x509::Facts>,
    /// Whether it was revoked before, all of it.
    pub already: bool,
    /// What the CRL says now.
    pub crl: x509::CrlFacts,
}

impl Authority {
    /// Revokes what `what` means: the certificate of this serial number, or all that stand under this name, that of its file or one of its
    /// own, as `show`, rules or records write it (`dns:admin`, `cert:dns:admin`) or without its kind. Renewed ones have the same names and
    /// one key, so that who revokes one of them alone has revoked nothing. Those that are not alike are told apart by number.
    pub fn revoke(&self, what: &str, (now, days): (Duration, u32)) -> Result<Revoked, PkiError> {
        let crl = self.read_crl()?;
        let gone = |facts: &x509::Facts| crl.revoked.iter().any(|entry| entry.serial == facts.serial);
        let called = |facts: &x509::Facts| {
            facts.common_name.as_deref() == Some(what)
                || facts.names().iter().any(|name| is_written(name, what))
        };
        let all = on_record(&self.folder)?;
        let by_serial = all
            .iter()
            .find(|facts| x509::serial_text(&facts.serial) == what.to_ascii_lowercase());
        let mut meant: Vec<_> = match by_serial {
            Some(one) => vec![one],
            None => all.iter().filter(|facts| called(facts)).collect(),
        };
        if meant.len() > 1 {
            let standing = meant.iter().copied().filter(|facts| {
                !gone(facts) && u64::try_from(facts.not_after).is_ok_and(|end| end >= now.as_secs())
            });
            let standing: Vec<_> = standing.collect();
            if !standing.is_empty() {
                meant = standing;
            }
        }
        let Some((first, rest)) = meant.split_first() else {
            return Err(PkiError::NotIssued(what.to_owned()));
        };
        let alike = |other: &x509::Facts| (other.usage, other.names()) == (first.usage, first.names());
        if !rest.iter().all(|other| alike(other)) {
            return Err(PkiError::Ambiguous {
                name: what.to_owned(),
                found: meant.iter().map(|facts| told(facts)).collect(),
            });
        }
        let new: Vec<_> = meant
            .iter()
            .filter(|facts| !gone(facts))
            .map(|facts| facts.serial.clone())
            .collect();
        Ok(Revoked {
            already: new.is_empty(),
            crl: self.write_crl(&crl, new, (now, days))?,
            meant: meant.into_iter().cloned().collect(),
        })
    }

    /// The same CRL with a new date.
    pub fn renew_crl(&self, (now, days): (Duration, u32)) -> Result<x509::CrlFacts, PkiError> {
        self.write_crl(&self.read_crl()?, Vec::new(), (now, days))
    }

    pub(super) fn is_revoked(&self, serial: &[u8]) -> Result<bool, PkiError> {
        Ok(self
            .read_crl()?
            .revoked
            .iter()
            .any(|entry| entry.serial == serial))
    }

    /// What the CRL says. Without one nothing goes on: an empty one would let the revoked back in.
    fn read_crl(&self) -> Result<x509::CrlFacts, PkiError> {
        let path = self.crl();
        let der = files::crls(&path, &files::read(&path)?)?;
        let der = der.first().map_or(&[][..], |der| der);
        x509::crl_facts(der).map_err(|why| {
            TlsError {
                what: TlsWhat::Invalid,
                file: path,
                why: why.to_string(),
            }
            .into()
        })
    }

    fn write_crl(
        &self,
        old: &x509::CrlFacts,
        new: Vec<Vec<u8>>,
        (now, days): (Duration, u32),
    ) -> Result<x509::CrlFacts, PkiError> {
        let mut revoked: Vec<_> = old
            .revoked
            .iter()
            .map(|entry| {
                entry_of(
                    &entry.serial,
                    Duration::from_secs(entry.at.unsigned_abs()),
                    entry.reason,
                )
            })
            .collect();
        revoked.extend(new.iter().map(|serial| entry_of(serial, now, 0)));
        let pem = sign(&self.issuer, number_after(&old.number), revoked, (now, days))?;
        disk::replace(&self.crl(), PUBLIC, pem.as_bytes())?;
        self.read_crl()
    }
}

/// Whether `what` is a way to write the name `kind:name`.
fn is_written(name: &str, what: &str) -> bool {
    let plain = name.split_once(':').map(|(_kind, plain)| plain);
    name == what || plain == Some(what) || what.strip_prefix("cert:") == Some(name)
}

/// One of several, so that it can be told from the others.
fn told(facts: &x509::Facts) -> String {
    let kind = if facts.usage.1 { Kind::Server } else { Kind::Client };
    let serial = x509::serial_text(&facts.serial);
    format!("{serial} ({} {})", kind.as_str(), facts.names().join(", "))
}

/// The first CRL.
pub(super) fn empty(issuer: &Issuer<'_, &KeyPair>, now: Duration, days: u32) -> Result<String, PkiError> {
    sign(issuer, vec![1], Vec::new(), (now, days))
}

fn sign<K: rcgen::SigningKey>(
    issuer: &Issuer<'_, K>,
    number: Vec<u8>,
    revoked_certs: Vec<RevokedCertParams>,
    (now, days): (Duration, u32),
) -> Result<String, PkiError> {
    let (this_update, next_update) = from_until(now, days);
    let params = CertificateRevocationListParams {
        this_update,
        next_update,
        crl_number: SerialNumber::from_slice(&number),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let made = params.signed_by(issuer)?;
    Ok(files::to_pem("X509 CRL", made.der()).to_string())
}

/// A number that grows with each edition (RFC 5280, section 5.2.3).
fn number_after(old: &[u8]) -> Vec<u8> {
    let old = old
        .iter()
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let next = old.saturating_add(1).to_be_bytes();
    let begin = next.iter().position(|byte| *byte != 0).unwrap_or(next.len() - 1);
    next.get(begin..).unwrap_or(&next).to_vec()
}

fn entry_of(serial: &[u8], at: Duration, reason: u8) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: SerialNumber::from_slice(serial),
        revocation_time: time::OffsetDateTime::UNIX_EPOCH + at,
        reason_code: (reason == 1).then_some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    }
}
