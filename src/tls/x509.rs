//! Names and dates of certificates and CRLs that were verified, or that are shown. Nothing here verifies.
//!
//! *Invariant:* the subject's common name names nobody (RFC 9525, section 2): only alternative names are looked at.

use std::fmt::Write as _;
use std::net::IpAddr;

use sigward_policies::model::caller::SubjectName;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

/// What a certificate says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Its serial number, big-endian.
    pub serial: Vec<u8>,
    /// Its subject, for people.
    pub subject: String,
    /// Its subject and its issuer, as they stand in it (DER), to be compared.
    pub(super) names_in_der: (Vec<u8>, Vec<u8>),
    /// Its common name, where it has one: an authority is called by it.
    pub common_name: Option<String>,
    /// Seconds since 1970 from which it is valid.
    pub not_before: i64,
    /// Seconds since 1970 after which it is not valid.
    pub not_after: i64,
    /// Its DNS names.
    pub dns: Vec<String>,
    /// Its URIs.
    pub uris: Vec<String>,
    /// Its IP addresses.
    pub ips: Vec<IpAddr>,
    /// Whether it may issue others.
    pub authority: bool,
    /// Whether it is for clients, and whether for servers.
    pub usage: (bool, bool),
    /// Whether nothing in it keeps it from being a server's: it says so, or does not say what it is for (RFC 5280, section 4.2.1.12).
    pub may_serve: bool,
    /// The identifier of its key.
    pub key_id: Option<Vec<u8>>,
}

/// What a CRL says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CrlFacts {
    /// Its issuer, for people.
    pub issuer: String,
    /// The same as it stands in it (DER), to be compared.
    pub(super) issuer_in_der: Vec<u8>,
    /// Its number, big-endian.
    pub number: Vec<u8>,
    /// Seconds since 1970 when it was made.
    pub this_update: i64,
    /// Seconds since 1970 until when another one is promised.
    pub next_update: Option<i64>,
    /// What it revokes.
    pub revoked: Vec<RevokedFacts>,
}

/// An entry of a CRL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RevokedFacts {
    /// The serial number, big-endian.
    pub serial: Vec<u8>,
    /// Seconds since 1970.
    pub at: i64,
    /// The reason's number (RFC 5280, section 5.3.1).
    pub reason: u8,
}

/// Bytes that are no certificate, or no CRL.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

/// What a certificate says.
pub fn facts(der: &[u8]) -> Result<Facts, Unreadable> {
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|why| Unreadable(format!("no certificate: {why}")))?;
    if !rest.is_empty() {
        return Err(Unreadable("something follows the certificate".to_owned()));
    }
    let mut facts = Facts {
        serial: plain(certificate.raw_serial()),
        subject: certificate.subject().to_string(),
        common_name: certificate
            .subject()
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok())
            .map(str::to_owned),
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
        dns: Vec::new(),
        uris: Vec::new(),
        ips: Vec::new(),
        authority: certificate.is_ca(),
        usage: (false, false),
        may_serve: true,
        names_in_der: (
            certificate.subject().as_raw().to_vec(),
            certificate.issuer().as_raw().to_vec(),
        ),
        key_id: None,
    };
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => {
                names.general_names.iter().for_each(|name| facts.name(name));
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                facts.usage = (usage.client_auth, usage.server_auth);
                facts.may_serve = usage.server_auth || usage.any;
            }
            ParsedExtension::SubjectKeyIdentifier(id) => facts.key_id = Some(id.0.to_vec()),
            _ => {}
        }
    }
    Ok(facts)
}

impl Facts {
    fn name(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::DNSName(name) => self.dns.push((*name).to_owned()),
            GeneralName::URI(uri) => self.uris.push((*uri).to_owned()),
            GeneralName::IPAddress(bytes) => {
                let ip = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                let ip = ip.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
                self.ips.extend(ip);
            }
            _ => {}
        }
    }

    /// Who the holder of a client certificate is: its one URI (a SPIFFE id has exactly one, X509-SVID section 2), else its one DNS name.
    pub fn identity(&self) -> Result<SubjectName, NotOneName> {
        let name = match (self.uris.as_slice(), self.dns.as_slice()) {
            ([uri], _) => SubjectName::uri(uri),
            ([], [name]) => SubjectName::dns(name),
            _ => return Err(NotOneName),
        };
        name.map_err(|_refusal| NotOneName)
    }

    /// Whether it can vouch for anybody but its own holder: it may issue, or is of a time in which that was not written down (X.509 v1).
    pub fn may_vouch(&self) -> bool {
        let (subject, issuer) = &self.names_in_der;
        self.authority || subject == issuer
    }

    /// All names, for people.
    pub fn names(&self) -> Vec<String> {
        let dns = self.dns.iter().map(|name| format!("dns:{name}"));
        let uris = self.uris.iter().map(|uri| format!("uri:{uri}"));
        let ips = self.ips.iter().map(|ip| format!("ip:{ip}"));
        dns.chain(uris).chain(ips).collect()
    }
}

/// A client certificate that names nobody, or several.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "a client certificate needs exactly one URI, or without any exactly one DNS name, as alternative name"
)]
pub struct NotOneName;

/// What a CRL says.
pub fn crl_facts(der: &[u8]) -> Result<CrlFacts, Unreadable> {
    let (_, crl) =
        CertificateRevocationList::from_der(der).map_err(|why| Unreadable(format!("no CRL: {why}")))?;
    let revoked = crl.iter_revoked_certificates().map(|entry| RevokedFacts {
        serial: plain(entry.raw_serial()),
        at: entry.revocation_date.timestamp(),
        reason: entry.reason_code().map_or(0, |(_, reason)| reason.0),
    });
    Ok(CrlFacts {
        issuer: crl.issuer().to_string(),
        issuer_in_der: crl.issuer().as_raw().to_vec(),
        number: crl
            .crl_number()
            .map(|number| number.to_bytes_be())
            .unwrap_or_default(),
        this_update: crl.last_update().timestamp(),
        next_update: crl.next_update().map(|time| time.timestamp()),
        revoked: revoked.collect(),
    })
}

/// A serial number as people write it: hexadecimal, without separators.
pub fn serial_text(serial: &[u8]) -> String {
    serial.iter().fold(String::new(), |mut text, byte| {
        let _into_a_string = write!(text, "{byte:02x}");
        text
    })
}

/// Without the zero that keeps a DER integer positive.
fn plain(serial: &[u8]) -> Vec<u8> {
    match serial {
        [0, rest @ ..] if !rest.is_empty() => rest.to_vec(),
        serial => serial.to_vec(),
    }
}
