//! Bodies of requests: read whole within a bound, or thrown away within another one. Knows neither gRPC nor JSON.

use std::time::Duration;

use axum::body::BodyDataStream;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;

/// How long, and for how much, somebody is listened to whose request was refused.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 << 10;

/// Why there is no whole body.
#[derive(Debug)]
pub(super) enum Cut {
    /// It has more bytes than it may have.
    Long,
    /// It broke off, or was not let in.
    Broken(axum::Error),
}

/// On a request whose body is made of another one while it is read: who refuses it leaves that to whoever makes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made;

/// The whole body, if it has no more than `most` bytes.
pub(super) async fn whole(body: &mut BodyDataStream, most: usize) -> Result<Vec<u8>, Cut> {
    let mut whole = Vec::new();
    while let Some(part) = body.next().await {
        let part = part.map_err(Cut::Broken)?;
        if part.len() > most.saturating_sub(whole.len()) {
            return Err(Cut::Long);
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole)
}

/// What is on its way of a refused request is thrown away, within bounds: left unread it would become a reset of its stream, and
/// some clients look at that and not at the answer.
pub(super) async fn linger(body: &mut BodyDataStream) {
    let reading = async {
        let (mut left, mut was_refused) = (LINGER_BYTES, false);
        loop {
            match body.next().await {
                Some(Ok(part)) if part.len() <= left => left -= part.len(),
                // A door that does not let it in says so once; what still comes is thrown away as well.
                Some(Err(_refused)) if !was_refused => was_refused = true,
                _ => return,
            }
        }
    };
    let _there_or_not = timeout(LINGER, reading).await;
}
