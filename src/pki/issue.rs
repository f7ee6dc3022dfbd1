//! Certificates for servers and clients: made, and made again before they end.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use sigward_policies::model::caller::SubjectName;
use zeroize::Zeroizing;

use super::authority::{Authority, called, from_until, serial};
use super::disk::{self, PUBLIC, SECRET};
use super::error::PkiError;
use super::show::read;
use crate::tls::{TlsError, TlsWhat, files, x509};

/// What a certificate is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// Somebody who listens.
    Server,
    /// Somebody who connects.
    Client,
}

/// Whom a certificate names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names {
    /// DNS names.
    pub dns: Vec<String>,
    /// IP addresses.
    pub ips: Vec<IpAddr>,
    /// A URI.
    pub uri: Option<String>,
}

/// A certificate that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issued {
    /// Its file.
    pub certificate: PathBuf,
    /// Its key's file.
    pub private_key: PathBuf,
    /// What it says.
    pub facts: x509::Facts,
}

impl Authority {
    /// Makes a key and a certificate, as `NAME.crt` and `NAME.key` in the folder `into`, for so many days.
    pub fn issue(
        &self,
        (name, into): (&str, &Path),
        of: Use,
        names: &Names,
        (now, days): (Duration, u32),
    ) -> Result<Issued, PkiError> {
        let stem_is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if name.is_empty()
            || name.len() > 64
            || name.starts_with(['.', '-'])
            || !name.bytes().all(stem_is_plain)
        {
            return Err(PkiError::Name(format!(
                "{name:?} is no name of a file here: use a-z A-Z 0-9 . _ - and at most 64 of them"
            )));
        }
        disk::folder(into)?;
        let certificate = into.join(format!("{name}.crt"));
        let private_key = into.join(format!("{name}.key"));
        disk::all_free(&[&certificate, &private_key])
            .map_err(|error| self.what_is_there(&certificate).unwrap_or(error))?;
        let pair = KeyPair::generate()?;
        let (der, facts) = self.sign(&pair, name, of, names, (now, days))?;
        let secret = Zeroizing::new(pair.serialize_der());
        disk::create(
            &private_key,
            SECRET,
            files::to_pem("PRIVATE KEY", &secret).as_bytes(),
        )?;
        disk::create(
            &certificate,
            PUBLIC,
            files::to_pem("CERTIFICATE", &der).as_bytes(),
        )?;
        Ok(Issued {
            certificate,
            private_key,
            facts,
        })
    }

    /// Makes the certificate anew with the names and the key that it has. The file changes in one step, so that whoever reads it with
    /// its key finds two that belong together.
    pub fn renew(&self, certificate: &Path, (now, days): (Duration, u32)) -> Result<Issued, PkiError> {
        let private_key = certificate.with_extension("key");
        let facts = read(certificate)?;
        if facts.authority {
            return Err(PkiError::NotRenewed(certificate.to_owned()));
        }
        if !self.issued(&facts.serial).exists() {
            return Err(PkiError::NotIssued(certificate.display().to_string()));
        }
        if self.is_revoked(&facts.serial)? {
            return Err(PkiError::Revoked(certificate.to_owned()));
        }
        let pair = files::private_key(&private_key, &files::read_secret(&private_key)?)?;
        let pair = KeyPair::try_from(&pair).map_err(|why| TlsError {
            what: TlsWhat::Invalid,
            file: private_key.clone(),
            why: why.to_string(),
        })?;
        let of = if facts.usage.1 { Use::Server } else { Use::Client };
        let names = Names {
            dns: facts.dns,
            ips: facts.ips,
            uri: facts.uris.into_iter().next(),
        };
        let called = facts.common_name.unwrap_or_default();
        let (der, facts) = self.sign(&pair, &called, of, &names, (now, days))?;
        disk::replace(certificate, PUBLIC, files::to_pem("CERTIFICATE", &der).as_bytes())?;
        Ok(Issued {
            certificate: certificate.to_owned(),
            private_key,
            facts,
        })
    }

    /// Why nothing is written over `certificate`, where that is one of ours; what helps depends on whether it stands.
    fn what_is_there(&self, certificate: &Path) -> Option<PkiError> {
        let facts = read(certificate).ok()?;
        let ours = self.issued(&facts.serial).exists();
        let revoked = self.is_revoked(&facts.serial).ok().filter(|_| ours)?;
        Some(match revoked {
            true => PkiError::RevokedExists(certificate.to_owned()),
            false => PkiError::Stands(certificate.to_owned()),
        })
    }

    fn sign(
        &self,
        pair: &KeyPair,
        name: &str,
        of: Use,
        names: &Names,
        (now, days): (Duration, u32),
    ) -> Result<(Vec<u8>, x509::Facts), PkiError> {
        let mut params = CertificateParams::default();
        let number: SerialNumber = serial()?;
        params.distinguished_name = called(name);
        (params.not_before, params.not_after) = from_until(now, days);
        // Nothing outlives who vouches for it.
        let end = from_until(Duration::from_secs(self.facts.not_after.unsigned_abs()), 0).1;
        params.not_after = params.not_after.min(end);
        params.serial_number = Some(number.clone());
        params.subject_alt_names = alternative(names)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match of {
            Use::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Use::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let made = params.signed_by(pair, &self.issuer)?;
        let facts = x509::facts(made.der()).map_err(|why| PkiError::Failed(why.to_string()))?;
        let nobody = match of {
            Use::Client => facts.identity().is_err(),
            Use::Server => facts.dns.is_empty() && facts.ips.is_empty(),
        };
        if nobody {
            return Err(PkiError::Name(
                "a server needs --name or --ip; a client one DNS name, or one --uri".to_owned(),
            ));
        }
        // On record first: what is out there can be revoked.
        let record = self.issued(&facts.serial);
        disk::create(
            &record,
            PUBLIC,
            files::to_pem("CERTIFICATE", made.der()).as_bytes(),
        )?;
        Ok((made.der().to_vec(), facts))
    }

    /// Where a certificate is kept on record.
    pub(super) fn issued(&self, serial: &[u8]) -> PathBuf {
        let name = format!("{}.crt", x509::serial_text(serial));
        self.folder.join("issued").join(name)
    }
}

fn alternative(names: &Names) -> Result<Vec<SanType>, PkiError> {
    let text = |text: &str| {
        text.try_into().map_err(|_| {
            PkiError::Name(format!(
                "{text:?} has characters that names in certificates have not"
            ))
        })
    };
    let mut all = Vec::new();
    for name in &names.dns {
        let name = SubjectName::dns(name)
            .map_err(|_| PkiError::Name(format!("{name:?} is no DNS name; wildcards are none")))?;
        all.push(SanType::DnsName(text(name.as_str().trim_start_matches("dns:"))?));
    }
    if let Some(uri) = &names.uri {
        SubjectName::uri(uri)
            .map_err(|_| PkiError::Name(format!("{uri:?} is no URI, such as spiffe://example.org/pod/7")))?;
        all.push(SanType::URI(text(uri)?));
    }
    all.extend(names.ips.iter().map(|ip| SanType::IpAddress(*ip)));
    Ok(all)
}
