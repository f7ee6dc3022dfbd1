//! The authority: making one, and opening one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, GeneralSubtree, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, NameConstraints, SerialNumber,
};
use zeroize::Zeroizing;

use super::disk::{self, PUBLIC, SECRET};
use super::error::PkiError;
use super::revoke;
use crate::tls::{TlsError, TlsWhat, files, x509};

pub(super) const DAY: u64 = 24 * 60 * 60;
/// A clock that is a little behind must not refuse what was just made.
pub(super) const BACKDATED: u64 = 60 * 60;

/// How long things are good for, in days.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lifetimes {
    /// The authority.
    pub authority: u32,
    /// A certificate of a server or client.
    pub certificate: u32,
    /// A CRL.
    pub crl: u32,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            authority: 3650,
            certificate: 90,
            crl: 30,
        }
    }
}

/// An authority that is to be made.
#[derive(Clone, Debug)]
pub struct NewAuthority<'a> {
    /// What it is called; without, `sigward CA` and the first half of its serial number: CRLs are found by their issuer's name, so two
    /// authorities of one name get in each other's way.
    pub name: Option<&'a str>,
    /// The DNS domains below which it may name anybody; none is everywhere.
    pub domains: &'a [String],
    /// How long it is good for.
    pub lifetimes: Lifetimes,
}

/// An authority in its folder.
#[derive(Debug)]
pub struct Authority {
    pub(super) folder: PathBuf,
    /// Its certificate.
    pub(super) facts: x509::Facts,
    pub(super) issuer: Issuer<'static, KeyPair>,
    _lock: File,
}

impl Authority {
    /// Makes one, with an empty CRL.
    pub fn create(folder: &Path, new: &NewAuthority<'_>, now: Duration) -> Result<Self, PkiError> {
        disk::folder(folder)?;
        disk::folder(&folder.join("issued"))?;
        let (certificate, key) = (folder.join("ca.crt"), folder.join("ca.key"));
        {
            let _lock = disk::lock(folder)?;
            disk::all_free(&[&certificate, &key, &folder.join("crl.pem")]).map_err(|error| match error {
                PkiError::Exists(file) => PkiError::AuthorityExists(file),
                other => other,
            })?;
            let pair = KeyPair::generate()?;
            let params = params(new, now)?;
            let made = params.self_signed(&pair)?;
            let issuer = Issuer::new(params, &pair);
            let crl = revoke::empty(&issuer, now, new.lifetimes.crl)?;
            let secret = Zeroizing::new(pair.serialize_der());
            disk::create(&key, SECRET, files::to_pem("PRIVATE KEY", &secret).as_bytes())?;
            disk::create(&folder.join("crl.pem"), PUBLIC, crl.as_bytes())?;
            // Last: a folder with it is an authority.
            disk::create(
                &certificate,
                PUBLIC,
                files::to_pem("CERTIFICATE", made.der()).as_bytes(),
            )?;
        }
        Self::open(folder)
    }

    /// Opens the one in `folder`. Others who would change it wait.
    pub fn open(folder: &Path) -> Result<Self, PkiError> {
        let (certificate, key) = (folder.join("ca.crt"), folder.join("ca.key"));
        if !certificate.exists() {
            return Err(PkiError::Missing(folder.to_owned()));
        }
        let lock = disk::lock(folder)?;
        let invalid = |file: &Path, why: String| {
            PkiError::from(TlsError {
                what: TlsWhat::Invalid,
                file: file.to_owned(),
                why,
            })
        };
        let der = files::certificates(&certificate, &files::read(&certificate)?)?;
        let facts = der.first().map_or(&[][..], |der| der);
        let facts = x509::facts(facts).map_err(|why| invalid(&certificate, why.to_string()))?;
        let (Some(name), Some(key_id), true) = (&facts.common_name, &facts.key_id, facts.authority) else {
            let why = "it is not the certificate of an authority that `sigward pki init` made".to_owned();
            return Err(invalid(&certificate, why));
        };
        let pair = files::private_key(&key, &files::read_secret(&key)?)?;
        let pair = KeyPair::try_from(&pair).map_err(|why| invalid(&key, why.to_string()))?;
        // The identifier is made from the key: another key would sign what nobody can verify.
        let mut params = CertificateParams::default();
        if params.key_identifier(&pair) != *key_id {
            return Err(TlsError {
                what: TlsWhat::Mismatch,
                file: key,
                why: format!("it is not the key of {}", certificate.display()),
            }
            .into());
        }
        params.distinguished_name = called(name);
        params.key_identifier_method = KeyIdMethod::PreSpecified(key_id.clone());
        params.key_usages = USAGES.to_vec();
        Ok(Self {
            folder: folder.to_owned(),
            issuer: Issuer::new(params, pair),
            facts,
            _lock: lock,
        })
    }

    /// Its certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// Its CRL.
    pub fn crl(&self) -> PathBuf {
        self.folder.join("crl.pem")
    }

    /// What its certificate says.
    pub const fn facts(&self) -> &x509::Facts {
        &self.facts
    }
}

const USAGES: [KeyUsagePurpose; 2] = [KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];

fn params(new: &NewAuthority<'_>, now: Duration) -> Result<CertificateParams, PkiError> {
    let number = serial()?;
    let made_up = format!(
        "sigward CA {}",
        x509::serial_text(number.as_ref().get(..8).unwrap_or_default())
    );
    let name = new.name.unwrap_or(&made_up);
    if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
        // RFC 5280, appendix A.1: ub-common-name.
        return Err(PkiError::Name(
            "an authority's name has 1 to 64 printable characters".to_owned(),
        ));
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = called(name);
    (params.not_before, params.not_after) = from_until(now, new.lifetimes.authority);
    params.serial_number = Some(number);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = USAGES.to_vec();
    params.key_identifier_method = KeyIdMethod::Sha256;
    if !new.domains.is_empty() {
        let mut permitted = Vec::new();
        for domain in new.domains {
            let plain = sigward_policies::model::caller::SubjectName::dns(domain)
                .map_err(|_| PkiError::Name(format!("{domain:?} is no DNS domain")))?;
            let plain = plain.as_str().trim_start_matches("dns:").to_owned();
            permitted.push(GeneralSubtree::DnsName(plain));
        }
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: permitted,
            excluded_subtrees: Vec::new(),
        });
    }
    Ok(params)
}

pub(super) fn called(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// The first and last moment of something that is made `now` for so many days.
pub(super) fn from_until(now: Duration, days: u32) -> (time::OffsetDateTime, time::OffsetDateTime) {
    let at = |since: Duration| time::OffsetDateTime::UNIX_EPOCH + since;
    let begin = now.saturating_sub(Duration::from_secs(BACKDATED));
    (at(begin), at(now + Duration::from_secs(u64::from(days) * DAY)))
}

/// 127 random bits: two certificates never share a number (CA/Browser Forum asks for 64).
pub(super) fn serial() -> Result<SerialNumber, PkiError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|why| PkiError::Failed(why.to_string()))?;
    // Positive, and never shorter than it looks (RFC 5280, section 4.1.2.2).
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}
