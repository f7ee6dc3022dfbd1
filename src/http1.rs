//! One HTTP/1.1 exchange over a stream of its caller's. Imports nothing of ours.
//!
//! *Invariant:* nothing is left behind: a caller who gives up ends the connection, and no more than a bound is read.

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes of an answer's head, at most.
const MOST_HEAD: usize = 64 << 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The connection failed, or what came is not HTTP/1.1.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    /// The body has more bytes than this.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
}

/// Sends `request`, and reads the answer: its status, whatever that is, and a body of at most `most` bytes.
pub async fn exchange<S>(
    request: Request<Full<Bytes>>,
    stream: S,
    most: usize,
) -> Result<(StatusCode, Bytes), NoAnswer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MOST_HEAD)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), most).collect().await;
        let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(broken) => NoAnswer::Broken(*broken),
            Err(_) => NoAnswer::TooLarge(most),
        })?;
        Ok((status, body.to_bytes()))
    };
    // Driven here and not by a task of its own: when this future is dropped, so is the connection.
    tokio::pin!(exchange);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(error.into()),
        },
    }
}
