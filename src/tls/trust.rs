//! A server of others whose authority an operator may name: a collector of traces. Without a name it is one of the machine's, as in
//! `outgoing`.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::{TlsError, TlsWhat};
use super::outgoing::machine_roots;
use super::{files, provider};

/// Whom to believe, and what is spoken.
#[derive(Clone, Debug)]
pub struct Trust(Result<Arc<ClientConfig>, String>);

impl Trust {
    /// The authorities in the file `ca`, or those of the machine; `alpn` is what is spoken (RFC 7301).
    pub fn new(ca: Option<&Path>, alpn: &[u8]) -> Result<Self, TlsError> {
        let roots = match ca {
            None => machine_roots(),
            Some(ca) => Ok(roots_in(ca)?),
        };
        Ok(Self(roots.and_then(|roots| client(roots, alpn))))
    }

    /// A TLS connection over `stream` to a server that proves that it is `host`.
    pub async fn connect<S>(&self, host: &str, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.0.as_ref().map_err(|why| io::Error::other(why.clone()))?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(config.clone()).connect(name, stream).await
    }
}

fn roots_in(ca: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in files::certificates(ca, &files::read(ca)?)? {
        roots
            .add(authority)
            .map_err(|why| TlsError::new(TlsWhat::Invalid, ca, why))?;
    }
    Ok(roots)
}

fn client(roots: RootCertStore, alpn: &[u8]) -> Result<Arc<ClientConfig>, String> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(Arc::new(config))
}
