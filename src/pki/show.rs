//! What an authority has made, and until when it holds.

use std::path::Path;

use super::error::PkiError;
use crate::tls::{TlsError, TlsWhat, files, x509};

/// One thing that an authority made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// What it is.
    pub kind: Kind,
    /// What it is called.
    pub name: String,
    /// Its other names.
    pub names: Vec<String>,
    /// Its serial number in hexadecimal; of a CRL its number.
    pub serial: String,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    /// Seconds since 1970 when it was revoked.
    pub revoked: Option<i64>,
}

/// What a thing is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// The authority.
    Authority,
    /// The CRL.
    Crl,
    /// A server's certificate.
    Server,
    /// A client's certificate.
    Client,
}

impl Kind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authority => "authority",
            Self::Crl => "crl",
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// The authority, its CRL, then what it issued, servers before clients, the first to end first. Needs no private key.
pub fn show(folder: &Path) -> Result<Vec<Shown>, PkiError> {
    let certificate = folder.join("ca.crt");
    if !certificate.exists() {
        return Err(PkiError::Missing(folder.to_owned()));
    }
    let authority = read(&certificate)?;
    let path = folder.join("crl.pem");
    let crls = files::crls(&path, &files::read(&path)?)?;
    let crl = x509::crl_facts(crls.first().map_or(&[][..], |der| der)).map_err(invalid(&path))?;
    let mut issued: Vec<_> = on_record(folder)?
        .into_iter()
        .map(|facts| {
            let kind = if facts.usage.1 { Kind::Server } else { Kind::Client };
            let entry = crl.revoked.iter().find(|entry| entry.serial == facts.serial);
            shown(kind, &facts, entry.map(|entry| entry.at))
        })
        .collect();
    issued.sort_by(|a, b| (a.kind, a.not_after, &a.name).cmp(&(b.kind, b.not_after, &b.name)));
    let list = Shown {
        kind: Kind::Crl,
        name: format!("{} revoked", crl.revoked.len()),
        names: Vec::new(),
        serial: x509::serial_text(&crl.number),
        not_before: crl.this_update,
        not_after: crl.next_update.unwrap_or(i64::MAX),
        revoked: None,
    };
    let mut all = vec![shown(Kind::Authority, &authority, None), list];
    all.append(&mut issued);
    Ok(all)
}

/// Everything that was ever issued.
pub(super) fn on_record(folder: &Path) -> Result<Vec<x509::Facts>, PkiError> {
    let issued = folder.join("issued");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(&issued).map_err(PkiError::io(&issued))? {
        let path = entry.map_err(PkiError::io(&issued))?.path();
        if path.extension().is_some_and(|extension| extension == "crt") {
            all.push(read(&path)?);
        }
    }
    Ok(all)
}

/// What the certificate in a file says.
pub(super) fn read(path: &Path) -> Result<x509::Facts, PkiError> {
    let der = files::certificates(path, &files::read(path)?)?;
    Ok(x509::facts(der.first().map_or(&[][..], |der| der)).map_err(invalid(path))?)
}

fn invalid(path: &Path) -> impl Fn(x509::Unreadable) -> TlsError {
    |why| TlsError {
        what: TlsWhat::Invalid,
        file: path.to_owned(),
        why: why.to_string(),
    }
}

fn shown(kind: Kind, facts: &x509::Facts, revoked: Option<i64>) -> Shown {
    Shown {
        kind,
        name: facts.common_name.clone().unwrap_or_default(),
        names: facts.names(),
        serial: x509::serial_text(&facts.serial),
        not_before: facts.not_before,
        not_after: facts.not_after,
        revoked,
    }
}
