//! The way to the admin services: the socket of a running daemon or, when none runs, the same services in this process.

use std::future::Future;
use std::io;
use std::path::Path;

use anyhow::Context as _;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Status};

use super::exit::RefusedByRule;
use crate::app;
use crate::config;

/// Runs `act` with a channel to the admin services.
pub(super) fn with_services<T, F>(home: &Path, act: impl FnOnce(Channel) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let config = config::load(home)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        if let Some(channel) = daemon(&config.admin_socket).await? {
            return act(channel).await;
        }
        // No daemon: take the state folder's lock and serve ourselves.
        let offline = app::Offline::open(&config)?;
        let outcome = act(offline.channel().await?).await;
        offline.close().await;
        outcome
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    outcome
}

/// Runs `act` with a channel to the daemon, which must run. It is found even where the file has a mistake in it or names another
/// socket by now, as long as it listens where sockets are by default: it shall hear of that file.
pub(super) fn with_daemon<T, F>(home: &Path, act: impl FnOnce(Channel) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let config = config::load(home);
    let mut sockets = vec![home.join(config::ADMIN_SOCKET)];
    if let Ok(config) = &config {
        sockets.insert(0, config.admin_socket.clone());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        for socket in sockets {
            if let Some(channel) = daemon(&socket).await? {
                return act(channel).await;
            }
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

/// A channel to the daemon's admin socket; `None` when nobody listens there.
pub(super) async fn daemon(path: &Path) -> anyhow::Result<Option<Channel>> {
    let path = path.to_owned();
    match UnixStream::connect(&path).await {
        Ok(_listening) => {}
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => {
            return Err(error)
                .with_context(|| format!("cannot connect to the admin socket {}", path.display()));
        }
    }
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let channel = Endpoint::from_static("http://admin.sigward")
        .connect_with_connector(connector)
        .await?;
    Ok(Some(channel))
}

/// A refusal keeps its code and its advice; anything else is a failure.
pub(super) fn explain(status: Status) -> anyhow::Error {
    let text = status.message().to_owned();
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition => RefusedByRule(text).into(),
        code => anyhow::anyhow!("{text} ({code})"),
    }
}
