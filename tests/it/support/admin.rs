//! A gRPC client on the admin socket.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint, Uri};

/// Runs `act` on a runtime of its own.
pub(crate) fn block_on<T>(act: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(act)
}

/// Connects; waits until somebody listens.
pub(crate) async fn connect(socket: &Path) -> Channel {
    for _ in 0..500 {
        if tokio::net::UnixStream::connect(socket).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let path = socket.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://admin.sigward")
        .connect_with_connector(connector)
        .await
        .unwrap()
}
