//! The way to the admin services: the socket of a running daemon or, when none runs, the same services in this process.
//!
//! *Invariant:* what stops a signer needs neither a readable configuration nor a daemon in good health: where the file has a mistake
//! in it the daemon is looked for where it may listen, and one that does not answer is given up, with a word on what still works.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use anyhow::Context as _;
use hyper_util::rt::TokioIo;
use sigward_policies::model::text::{self, code_of};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Status};

use super::exit::RefusedByRule;
use super::remote;
use crate::app::{self, Holder};
use crate::config::{self, Config, ConfigCode, ConfigError};
use crate::store::{OpenCode, OpenError};

/// How often a daemon that is at work is asked for a sign of life, and how long that may take (RFC 9113, section 6.7). A process that
/// was stopped, or whose machine stands still, gives none; a long act does.
const HEARTBEAT: Duration = Duration::from_secs(3);
const SIGN_OF_LIFE: Duration = Duration::from_secs(7);
/// How long an answer may take that asks for no work: longer than a freeze waits for requests under way.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long an act may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Haste {
    /// As long as the daemon lives.
    Patient,
    /// [`PATIENCE`].
    Urgent,
}

/// Runs `act` with a channel to the admin services. It may take its time, as long as the daemon is alive.
pub(super) fn with_services<T, F>(home: &Path, act: impl FnOnce(Channel) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    reach(home, Haste::Patient, act)
}

/// The same for what is asked in a hurry and answered at once: holding back, and looking.
pub(super) fn at_once<T, F>(home: &Path, act: impl FnOnce(Channel) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    reach(home, Haste::Urgent, act)
}

fn reach<T, F>(home: &Path, haste: Haste, act: impl FnOnce(Channel) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    if let Some(server) = remote::server() {
        return elsewhere(server, haste, act);
    }
    let config = config::load(home);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        if let Some(found) = find(home, &config, haste).await? {
            if let Err(error) = &config {
                warn_of(error, &found.socket);
            }
            return found.named(act(found.channel.clone()).await);
        }
        let config = config.map_err(|error| stranded(home, error))?;
        // No daemon: take the state folder's lock and serve ourselves.
        let offline = app::Offline::open(&config).map_err(|error| no_socket(error, &config))?;
        let outcome = act(offline.channel().await?).await;
        offline.close().await;
        outcome
    });
    end(runtime);
    outcome
}

/// The same of what only a daemon can do, as nobody else writes while this process has the state: what it would wait for never comes, and
/// the lock would keep `serve` from starting.
pub(super) fn following<T, F>(home: &Path, act: impl FnOnce(Channel) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    if let Some(server) = remote::server() {
        return elsewhere(server, Haste::Urgent, act);
    }
    let config = config::load(home);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        if let Some(found) = find(home, &config, Haste::Urgent).await? {
            if let Err(error) = &config {
                warn_of(error, &found.socket);
            }
            return found.named(act(found.channel.clone()).await);
        }
        let config = config.map_err(|error| stranded(home, error))?;
        Err(RefusedByRule(format!(
            "not_serving: no sigward listens at {}, so nothing comes that could be followed\n\
             start it first (`sigward serve`); without --follow, what there is is printed",
            config.admin_socket.display()
        ))
        .into())
    })
}

/// Runs `act` with a channel to the daemon, which must run. It is found even where the file has a mistake in it or names another
/// socket by now: it shall hear of that file.
pub(super) fn with_daemon<T, F>(home: &Path, act: impl FnOnce(Channel) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    if let Some(server) = remote::server() {
        return elsewhere(server, Haste::Patient, act);
    }
    let config = config::load(home);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        if let Some(found) = find(home, &config, Haste::Patient).await? {
            return found.named(act(found.channel.clone()).await);
        }
        let config = config?;
        Err(RefusedByRule(format!(
            "not_serving: no sigward listens at {}, so there is nothing to ask: the next start reads {}\n\
             `sigward config check` judges it now",
            config.admin_socket.display(),
            home.join(config::FILE_NAME).display()
        ))
        .into())
    })
}

/// Asks a sigward on another machine. Nothing here is looked at.
fn elsewhere<T, F>(server: &remote::Server, haste: Haste, act: impl FnOnce(Channel) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let timeout = (haste == Haste::Urgent).then_some(PATIENCE);
        act(server.channel(PATIENCE, timeout).await?).await
    })
}

/// Where the daemon of `home` may listen: where the file says, even one that cannot be read as a whole, and where it is by default.
pub(super) fn sockets(home: &Path, config: &Result<Config, ConfigError>) -> Vec<PathBuf> {
    let said = match config {
        Ok(config) => Some(config.admin_socket.clone()),
        Err(_) => config::admin_socket_of_a_bad_file(home),
    };
    let by_default = home.join(config::ADMIN_SOCKET);
    let mut sockets: Vec<_> = said.into_iter().chain([by_default]).collect();
    sockets.dedup();
    sockets
}

async fn find(
    home: &Path,
    config: &Result<Config, ConfigError>,
    haste: Haste,
) -> anyhow::Result<Option<Daemon>> {
    for socket in sockets(home, config) {
        match connect(&socket, haste).await {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => {}
            // Where the place is a guess, the mistake in the file is what to hear of.
            Err(error) if config.is_err() && !error.is::<NoAnswer>() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// A channel to the daemon's admin socket; `None` when nobody listens there.
pub(super) async fn daemon(path: &Path) -> anyhow::Result<Option<Channel>> {
    let found = connect(path, Haste::Patient).await?;
    Ok(found.map(|found| found.channel))
}

/// A daemon that listens.
struct Daemon {
    channel: Channel,
    socket: PathBuf,
    pid: Option<i32>,
}

impl Daemon {
    /// Names it where it did not answer.
    fn named<T>(&self, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
        outcome.map_err(|error| match error.is::<NoAnswer>() {
            true => NoAnswer { pid: self.pid }.into(),
            false => error,
        })
    }
}

async fn connect(path: &Path, haste: Haste) -> anyhow::Result<Option<Daemon>> {
    let socket = path.to_owned();
    let listening = match tokio::time::timeout(PATIENCE, UnixStream::connect(&socket)).await {
        Ok(Ok(listening)) => listening,
        Ok(Err(error))
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Ok(Err(error)) => {
            return Err(error)
                .with_context(|| format!("cannot connect to the admin socket {}", socket.display()));
        }
        Err(_elapsed) => return Err(NoAnswer { pid: None }.into()),
    };
    // Who listens, by the kernel's word (unix(7), SO_PEERCRED).
    let pid = listening.peer_cred().ok().and_then(|peer| peer.pid());
    drop(listening);
    let to = socket.clone();
    let connector = tower::service_fn(move |_: Uri| {
        let to = to.clone();
        async move { UnixStream::connect(to).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://admin.sigward")
        .connect_timeout(PATIENCE)
        .http2_keep_alive_interval(HEARTBEAT)
        .keep_alive_timeout(SIGN_OF_LIFE);
    let endpoint = match haste {
        Haste::Patient => endpoint,
        Haste::Urgent => endpoint.timeout(PATIENCE),
    };
    let channel = endpoint.connect_with_connector(connector).await?;
    Ok(Some(Daemon { channel, socket, pid }))
}

/// A daemon that takes connections and answers nothing.
#[derive(Debug, thiserror::Error)]
struct NoAnswer {
    pid: Option<i32>,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pid = self.pid.map_or_else(|| "PID".to_owned(), |pid| pid.to_string());
        write!(
            f,
            "the daemon (pid {pid}) does not answer within {} s: it was stopped, or stands still; whether it did what was asked is not known\n\
             `kill -USR1 {pid}` freezes everything as soon as it runs again; `kill -9 {pid}` ends it at once, which is always safe",
            PATIENCE.as_secs()
        )
    }
}

fn warn_of(error: &ConfigError, socket: &Path) {
    eprintln!(
        "sigward: warning: {}\nsigward: warning: the daemon at {} was asked all the same; it runs by what it read before",
        text::lines(&error.to_string()),
        socket.display()
    );
}

/// The file is bad, and nobody listens where a daemon may.
fn stranded(home: &Path, error: ConfigError) -> anyhow::Error {
    // Where it is by default: the file does not say.
    let state = home.join("state");
    if error.code == ConfigCode::Missing && !state.exists() {
        return error.into();
    }
    let holder = Holder::of(&state);
    OutOfReach {
        error: error.into(),
        holder,
    }
    .into()
}

/// Another process has the state, and its socket is gone.
fn no_socket(error: anyhow::Error, config: &Config) -> anyhow::Error {
    let locked = error
        .downcast_ref::<OpenError>()
        .is_some_and(|error| error.code == OpenCode::StoreLocked);
    if !locked {
        return error;
    }
    let holder = Holder::of(&config.store.dir);
    OutOfReach { error, holder }.into()
}

/// A daemon may run, and only a signal reaches it.
#[derive(Debug, thiserror::Error)]
struct OutOfReach {
    error: anyhow::Error,
    /// Who has the state, where that is known.
    holder: Option<Holder>,
}

impl fmt::Display for OutOfReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = &self.error;
        match &self.holder {
            Some(holder) => write!(
                f,
                "{error}\nif {holder} is `sigward serve`, `kill -USR1 {pid}` freezes everything; another command it would end, and freeze nothing",
                pid = holder.pid
            ),
            None => write!(
                f,
                "{error}\nif sigward runs all the same: `kill -USR1 PID` freezes everything; `ps -C sigward -fww` lists the PIDs, each with its command: \
                 take that of the `sigward serve` for this home"
            ),
        }
    }
}

fn end(runtime: Runtime) {
    runtime.shutdown_timeout(Duration::from_secs(2));
}

/// A refusal keeps its code and its advice; anything else is a failure.
pub(super) fn explain(status: Status) -> anyhow::Error {
    if is_silence(&status) {
        return NoAnswer { pid: None }.into();
    }
    if let Some(alert) = std::error::Error::source(&status).and_then(alert_in) {
        // The server says so after its handshake, in place of an answer (RFC 8446, section 4.4.2.4).
        return RefusedByRule(format!(
            "certificate_refused: {alert}\nshow a certificate of an authority that the server knows, that stands and that names you; whoever runs that authority sees which do (`sigward pki show`)"
        ))
        .into();
    }
    let text = status.message().to_owned();
    let stable = code_of(&text);
    if matches!(stable, Some("rate_limited" | "too_many_tokens")) {
        return RefusedByRule(text).into();
    }
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::FailedPrecondition => RefusedByRule(text).into(),
        // Our own codes say more than gRPC's.
        _ if stable.is_some() => anyhow::anyhow!(text),
        code => anyhow::anyhow!("{text} ({code})"),
    }
}

/// What the server said in its alert, if that is what ended the connection.
pub(super) fn alert_in(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if text.contains("fatal alert") {
            return Some(text);
        }
        cause = error.source();
    }
    None
}

/// Whether our own patience ended, and not the act.
fn is_silence(status: &Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        // The HTTP client's own type for a sign of life that did not come is private; its words are all there is to know it by.
        if error.is::<tonic::TimeoutExpired>() || error.to_string() == "keep-alive timed out" {
            return true;
        }
        cause = error.source();
    }
    false
}
