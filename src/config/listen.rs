//! `[listen]`: the door for clients on other machines. TLS with client certificates, or no door.

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::Spanned;

use super::error::{ConfigError, quote};
use super::raw::{RawListen, Text};
use super::validate::Source;

/// `[listen]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenConfig {
    /// Where.
    pub address: SocketAddr,
    /// The server's certificate, and intermediate ones after it.
    pub certificate: PathBuf,
    /// Its private key.
    pub private_key: PathBuf,
    /// Whose client certificates are accepted.
    pub client_ca: PathBuf,
    /// Which of them are revoked.
    pub crl: Option<PathBuf>,
}

pub(super) fn listen(
    raw: Option<&Spanned<RawListen>>,
    source: &Source<'_>,
) -> Result<Option<ListenConfig>, ConfigError> {
    let Some(spanned) = raw else { return Ok(None) };
    let raw = spanned.as_ref();
    let text = raw.address.as_ref();
    let address = text.parse::<SocketAddr>().map_err(|_| {
        source.bad(
            &raw.address,
            "listen.address",
            format!("{} is no IP address with a port", quote(text)),
            "write 0.0.0.0:26660 for every address of this machine, [::]:26660 with IPv6, or the one that clients come in by",
        )
    })?;
    let file = |value: &Option<Text>, name: &str| match value {
        Some(value) => source.path(Some(value), &format!("listen.{name}"), name),
        // Without any of these somebody else could come in, or nobody.
        None => Err(source.bad(
            spanned,
            format!("listen.{name}"),
            format!("[listen] has no {name}"),
            "name it; `sigward pki init`, `sigward pki server` and `sigward pki client` make what is needed",
        )),
    };
    Ok(Some(ListenConfig {
        address,
        certificate: file(&raw.certificate, "certificate")?,
        private_key: file(&raw.private_key, "private_key")?,
        client_ca: file(&raw.client_ca, "client_ca")?,
        crl: raw
            .crl
            .as_ref()
            .map(|crl| source.path(Some(crl), "listen.crl", "crl.pem"))
            .transpose()?,
    }))
}
