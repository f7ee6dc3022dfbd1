//! `--server`: the same commands, asked of a sigward on another machine, by its door for clients with certificates, or the one for
//! clients with tokens.
//!
//! *Invariant:* what is given for another machine never happens on this one: a command that cannot go there is refused.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint, Uri};
use zeroize::Zeroizing;

use super::exit::{RefusedByRule, WrongUsage};
use super::signed::{Shown, bearer, signed};
use super::token;
use crate::authn::api_key::ApiKey;
use crate::tls::{ClientFiles, Dialer, TlsWhat, files};

/// What every API key begins with.
const API_KEY: &[u8] = b"sigward_";
/// The ports of the doors, where the URL has none.
const PORT: u16 = 26660;
const BEARER_PORT: u16 = 26661;

/// Where, and who asks. The files may stand in the environment; the server may not: what is meant for another machine says so.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Another machine (see docs/tls.md)")]
pub(super) struct Args {
    /// Ask the sigward at this address, instead of the one of --home on this machine
    #[arg(long, global = true, value_name = "https://HOST:PORT")]
    server: Option<String>,
    /// Our certificate for it [default: $SIGWARD_CERTIFICATE]
    #[arg(long, global = true, value_name = "FILE", requires = "server")]
    certificate: Option<PathBuf>,
    /// The private key of the certificate [default: $SIGWARD_PRIVATE_KEY]
    #[arg(long, global = true, value_name = "FILE", requires = "server")]
    private_key: Option<PathBuf>,
    /// The authority of the server's certificate [default: $SIGWARD_CA]
    #[arg(long, global = true, value_name = "FILE", requires = "server")]
    ca: Option<PathBuf>,
    /// Sign each call with this key, in place of a certificate (see docs/bearer.md) [default: $SIGWARD_TOKEN_KEY]
    #[arg(long, global = true, value_name = "FILE", requires = "server", conflicts_with_all = ["certificate", "private_key"])]
    token_key: Option<PathBuf>,
    /// Who asks, by --token-key [default: the name of its file, for both]
    #[arg(long, global = true, value_name = "ISSUER/SUBJECT", requires = "server")]
    token_as: Option<String>,
    /// What the server's configuration calls itself [default: https://HOST:PORT of --server]
    #[arg(long, global = true, value_name = "AUDIENCE", requires = "server")]
    token_audience: Option<String>,
    /// Show the API key in this file, in place of a certificate (see docs/api-keys.md)
    #[arg(long, global = true, value_name = "FILE", requires = "server", conflicts_with_all = ["certificate", "private_key", "token_key"])]
    api_key: Option<PathBuf>,
}

/// A sigward elsewhere.
#[derive(Debug)]
pub(super) struct Server {
    host: String,
    port: u16,
    dialer: Dialer,
    shown: Option<Shown>,
}

/// Said once, before any command runs.
static SERVER: OnceLock<Server> = OnceLock::new();

/// The sigward elsewhere that is meant, if one is.
pub(super) fn server() -> Option<&'static Server> {
    SERVER.get()
}

/// Refuses what only happens on this machine.
pub(super) fn only_here(what: &str) -> anyhow::Result<()> {
    match server() {
        None => Ok(()),
        Some(_) => Err(refused(what)),
    }
}

fn refused(what: &str) -> anyhow::Error {
    RefusedByRule(format!(
        "only_here: {what} works on the machine of the signer alone\nlog in there, and leave out --server"
    ))
    .into()
}

impl Args {
    /// Remembers which sigward is meant. `goes` is whether the command can be asked of another machine at all.
    pub(super) fn remember(&self, goes: bool) -> anyhow::Result<()> {
        let Some(url) = &self.server else {
            return Ok(());
        };
        if !goes {
            return Err(refused("this command"));
        }
        let file = |given: &Option<PathBuf>, option: &str, variable: &str| {
            given
                .clone()
                .or_else(|| std::env::var_os(variable).map(PathBuf::from))
                .ok_or_else(|| {
                    let hint = match option {
                        "ca" => "it is the authority of the server's certificate: ca.crt, which whoever runs that sigward gives away",
                        _ => "`sigward pki client NAME` makes both, where the authority is; without any, show a token (--token-key FILE) or an API key (--api-key FILE)",
                    };
                    WrongUsage(format!("--server needs --{option} FILE, or ${variable}\n{hint}"))
                })
        };
        let uri: Uri = url.parse().ok().filter(is_plain).ok_or_else(|| {
            WrongUsage(format!("{url:?} is no address of a sigward\nwrite https://HOST:PORT, as in https://signer.example.org:26660"))
        })?;
        let host = uri.host().unwrap_or_default().to_owned();
        let token_key = self
            .token_key
            .clone()
            .or_else(|| match (&self.certificate, &self.api_key) {
                (None, None) => std::env::var_os("SIGWARD_TOKEN_KEY").map(PathBuf::from),
                _ => None,
            });
        let by_bearer = token_key.is_some() || self.api_key.is_some();
        let port = uri.port_u16().unwrap_or(match by_bearer {
            false => PORT,
            true => BEARER_PORT,
        });
        let shows = match by_bearer {
            true => None,
            false => Some((
                file(&self.certificate, "certificate", "SIGWARD_CERTIFICATE")?,
                file(&self.private_key, "private-key", "SIGWARD_PRIVATE_KEY")?,
            )),
        };
        let ca = file(&self.ca, "ca", "SIGWARD_CA")?;
        let mint = token_key.map(|key| {
            let origin = format!("https://{host}:{port}");
            let audience = self.token_audience.as_deref().unwrap_or(&origin);
            token::mint_for_calls(&key, self.token_as.as_deref(), audience)
        });
        let shown = match (mint.transpose()?, &self.api_key) {
            (Some(mint), _) => Some(Shown::Token(Arc::new(mint))),
            (None, Some(file)) => Some(Shown::ApiKey(bearer(&api_key(file)?)?)),
            (None, None) => None,
        };
        let server = Server {
            host,
            port,
            dialer: Dialer::new(&ClientFiles { shows, ca })?,
            shown,
        };
        let _said_once = SERVER.set(server);
        Ok(())
    }
}

/// The API key in a file that is its owner's.
fn api_key(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    // Not said back: an error is copied into tickets.
    if file.as_os_str().as_encoded_bytes().starts_with(API_KEY) && !file.exists() {
        return Err(WrongUsage(
            "--api-key wants a FILE, and was given an API key itself\nother users of this machine saw it in the list of processes: revoke it (`sigward api-key revoke`) and make another one".to_owned(),
        )
        .into());
    }
    let bytes = files::read_secret(file).map_err(|error| match error.what {
        TlsWhat::Permissions => anyhow::anyhow!(
            "file_permissions: {}: {}\nan API key is its owner's: chmod 0600; if somebody else may have read it, revoke it",
            error.file.display(),
            error.why
        ),
        _ => anyhow::anyhow!("file_io: cannot read {}: {}", error.file.display(), error.why),
    })?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let key = ApiKey::parse(text.trim()).with_context(|| {
        format!(
            "{} holds no whole API key: 80 characters that begin with sigward_, of which the last 8 are a checksum\ncopy it again, or make another one with `sigward api-key create`",
            file.display()
        )
    })?;
    Ok(key.text())
}

fn is_plain(uri: &Uri) -> bool {
    let bare = uri.path_and_query().is_none_or(|path| path.as_str() == "/");
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    uri.scheme_str() == Some("https") && bare && !authority.contains('@') && uri.host().is_some()
}

impl Server {
    /// A channel to it; connected, and its name proved.
    pub(super) async fn channel(
        &self,
        patience: Duration,
        timeout: Option<Duration>,
    ) -> anyhow::Result<Channel> {
        let (host, port, dialer) = (self.host.clone(), self.port, self.dialer.clone());
        let connector = tower::service_fn(move |_: Uri| {
            let (host, dialer) = (host.clone(), dialer.clone());
            async move { dialer.connect(&host, port).await.map(TokioIo::new) }
        });
        // The connector speaks TLS; to the channel it is a stream like any other.
        let mut endpoint = Endpoint::from_shared(format!("http://{}:{}", self.host, self.port))?
            .connect_timeout(patience)
            .http2_keep_alive_interval(Duration::from_secs(3))
            .keep_alive_timeout(Duration::from_secs(7));
        if let Some(timeout) = timeout {
            endpoint = endpoint.timeout(timeout);
        }
        let channel = endpoint.connect_with_connector(connector).await.with_context(|| {
            format!(
                "server_unreachable: no sigward at https://{}:{}\nsee that it runs with [listen] or [listen.bearer], that its certificate has this name, and that --ca is its authority",
                self.host, self.port
            )
        })?;
        match &self.shown {
            None => Ok(channel),
            Some(shown) => signed(channel, shown.clone()).await,
        }
    }
}
