//! Files of certificates, as they are read: bounded, in PEM (RFC 7468), and a private key only where it is its owner's alone.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, SubjectPublicKeyInfoDer,
};
use zeroize::Zeroizing;

use super::error::{TlsError, TlsWhat};

/// A CRL of a hundred thousand certificates has less.
const MAX_FILE: u64 = 8 << 20;
/// Group may read; nobody but the owner may write, and others may nothing.
const FORBIDDEN: u32 = 0o037;

/// Whoever may write it decides who comes in, or who we are.
const EVERYBODYS: u32 = 0o002;

/// The bytes of a file.
pub fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |why: std::io::Error| TlsError::new(TlsWhat::Unreadable, path, why);
    read_from(path, File::open(path).map_err(unreadable)?)
}

/// The bytes of a file that not everybody on this machine may write.
pub fn read_guarded(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |why: std::io::Error| TlsError::new(TlsWhat::Unreadable, path, why);
    let file = File::open(path).map_err(unreadable)?;
    // Of what is open, not of the path: nobody exchanges it in between.
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if mode & EVERYBODYS != 0 {
        let why = format!(
            "it has mode {:04o}: everybody on this machine may write it",
            mode & 0o7777
        );
        return Err(TlsError::new(TlsWhat::Writable, path, why));
    }
    read_from(path, file)
}

fn read_from(path: &Path, file: File) -> Result<Vec<u8>, TlsError> {
    let unreadable = |why: std::io::Error| TlsError::new(TlsWhat::Unreadable, path, why);
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        let why = format!("it has more than {} MiB", MAX_FILE >> 20);
        return Err(TlsError::new(TlsWhat::Invalid, path, why));
    }
    Ok(bytes)
}

/// The bytes of a file that is its owner's.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let mode = std::fs::metadata(path)
        .map_err(|why| TlsError::new(TlsWhat::Unreadable, path, why))?
        .permissions()
        .mode();
    if mode & FORBIDDEN != 0 {
        let why = format!("it has mode {:04o}", mode & 0o7777);
        return Err(TlsError::new(TlsWhat::Permissions, path, why));
    }
    read(path).map(Zeroizing::new)
}

/// Every certificate in `pem`, at least one.
pub fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    all(path, pem, "certificate")
}

/// Every CRL in `pem`, at least one.
pub fn crls(path: &Path, pem: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    all(path, pem, "CRL")
}

/// The private key in `pem`.
pub fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|why| TlsError::new(TlsWhat::Invalid, path, format!("no private key in it: {why}")))
}

/// Every public key (SubjectPublicKeyInfo) in `pem`, at least one.
pub fn public_keys(path: &Path, pem: &[u8]) -> Result<Vec<Vec<u8>>, TlsError> {
    let found: Vec<SubjectPublicKeyInfoDer<'static>> = all(path, pem, "public key")?;
    Ok(found.iter().map(|key| key.to_vec()).collect())
}

fn all<T: PemObject>(path: &Path, pem: &[u8], what: &str) -> Result<Vec<T>, TlsError> {
    let found: Result<Vec<T>, _> = T::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => {
            Err(TlsError::new(TlsWhat::Invalid, path, format!("no {what} in it")))
        }
        Ok(found) => Ok(found),
        Err(why) => Err(TlsError::new(TlsWhat::Invalid, path, why)),
    }
}

/// `der` as PEM, in lines of 64 (RFC 7468, section 2).
pub fn to_pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(BASE64_STANDARD.encode(der));
    let mut pem = Zeroizing::new(String::with_capacity(body.len() + body.len() / 32 + 64));
    pem.push_str("-----BEGIN ");
    pem.push_str(label);
    pem.push_str("-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII: any index is between two characters.
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str("-----END ");
    pem.push_str(label);
    pem.push_str("-----\n");
    pem
}
