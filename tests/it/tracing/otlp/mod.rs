//! Traces sent to a collector: what it gets, what it never gets, and what becomes of signing when it is away.

mod away;
mod calls;
pub(crate) mod collector;
pub(crate) mod post;
mod votes;

use std::path::Path;

use toml::Table;

use crate::support::signer::Signer;

/// Has `signer` send its traces to `endpoint`.
pub(crate) fn send_to(signer: &Signer, endpoint: &str, more: &[(&str, toml::Value)]) {
    signer.configure(|config| {
        let mut otlp = Table::new();
        otlp.insert("endpoint".to_owned(), endpoint.into());
        for (name, value) in more {
            otlp.insert((*name).to_owned(), value.clone());
        }
        config.insert("otlp".to_owned(), otlp.into());
    });
}

/// A file of headers that is its owner's.
pub(crate) fn secret(file: &Path, text: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
}
