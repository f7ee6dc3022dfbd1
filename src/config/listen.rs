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
    // Only `[listen.bearer]` and `[listen.plain]` stand there, doors of their own, or `[listen.bounds]`, which is none.
    let of_this = [
        &raw.address,
        &raw.certificate,
        &raw.private_key,
        &raw.client_ca,
        &raw.crl,
    ];
    let others = raw.bearer.is_some() || raw.plain.is_some() || raw.bounds.is_some();
    if others && of_this.iter().all(|field| field.is_none()) {
        return Ok(None);
    }
    let address = raw.address.as_ref().ok_or_else(|| {
        source.bad(
            spanned,
            "listen.address",
            "[listen] has no address",
            "add `address = \"0.0.0.0:26660\"`, or take the table out",
        )
    })?;
    let text = address.as_ref();
    let address = text.parse::<SocketAddr>().map_err(|_| {
        source.bad(
            address,
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
