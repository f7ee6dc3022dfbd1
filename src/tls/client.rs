//! The command line's side: it shows a certificate of its own, or none, and believes one authority, the one that it is given.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::{TlsError, TlsWhat};
use super::{files, provider};

/// Where a client's files are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientFiles {
    /// What it shows: its certificate, and the private key of that. Nothing, where tokens say who it is.
    pub shows: Option<(PathBuf, PathBuf)>,
    /// The authority of the server's certificate.
    pub ca: PathBuf,
}

/// Dials a server that speaks HTTP/2 over TLS.
#[derive(Clone, Debug)]
pub struct Dialer(Arc<ClientConfig>);

impl Dialer {
    /// Reads the files.
    pub fn new(from: &ClientFiles) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in files::certificates(&from.ca, &files::read(&from.ca)?)? {
            roots
                .add(authority)
                .map_err(|why| TlsError::new(TlsWhat::Invalid, &from.ca, why))?;
        }
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|why| TlsError::new(TlsWhat::Invalid, &from.ca, why))?
            .with_root_certificates(roots);
        let mut config = match &from.shows {
            None => config.with_no_client_auth(),
            Some((certificate, private_key)) => {
                let chain = files::certificates(certificate, &files::read(certificate)?)?;
                let key = files::private_key(private_key, &files::read_secret(private_key)?)?;
                let refused = |why: rustls::Error| match why {
                    rustls::Error::InconsistentKeys(_) => TlsError::new(
                        TlsWhat::Mismatch,
                        private_key,
                        format!("it is not the key of {}", certificate.display()),
                    ),
                    why => TlsError::new(TlsWhat::Invalid, certificate, why),
                };
                config.with_client_auth_cert(chain, key).map_err(refused)?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// A connection to `host`, which proves that it is called so.
    pub async fn connect(&self, host: &str, port: u16) -> io::Result<TlsStream<TcpStream>> {
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let stream = TcpStream::connect((bare.as_str(), port)).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(bare).map_err(io::Error::other)?;
        TlsConnector::from(self.0.clone()).connect(name, stream).await
    }
}
