//! Connections of ours to servers of others: an RPC of a chain. May import rustls.
//!
//! *Invariants:* TLS 1.3 only; the server proves its name by the machine's own certificate authorities (`SSL_CERT_FILE` and
//! `SSL_CERT_DIR` name others); nothing switches that off.

use std::io;
use std::sync::{Arc, LazyLock};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The authorities of this machine.
pub(super) fn machine_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(
            "this machine has no certificate authorities: install ca-certificates, or set SSL_CERT_FILE"
                .to_owned(),
        );
    }
    Ok(roots)
}

static CLIENT: LazyLock<Result<Arc<ClientConfig>, String>> = LazyLock::new(|| {
    let roots = machine_roots()?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
});

/// A TLS connection over `stream` to a server that proves that it is `host`.
pub async fn connect<S>(host: &str, stream: S) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = CLIENT.as_ref().map_err(|why| io::Error::other(why.clone()))?;
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(config.clone()).connect(name, stream).await
}
