//! Answers that are held open: whoever reads one is asked again, every two seconds, whether it still may.
//!
//! *Invariants:* nothing is sent after a no; an answer that is whole at once is not looked at; a stream that says nothing is asked as often
//! as one that floods.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, header};
use hyper::body::{Body as _, Frame, SizeHint};
use sigward_policies::decision::Refused;
use tokio::time::{Instant, Sleep, sleep_until};

use super::errors::status;

/// How often.
const EVERY: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 2_000 });

/// Whether the reader of an answer may go on.
pub(in crate::listener) type Stands = Box<dyn Fn() -> Result<(), Refused> + Send>;

/// `response`, whose body ends with the refusal as soon as its reader may not go on. What is no gRPC is left alone: it is whole.
pub(in crate::listener) fn while_standing(
    response: Response<Body>,
    stands: impl Fn() -> Result<(), Refused> + Send + 'static,
) -> Response<Body> {
    let kind = response.headers().get(header::CONTENT_TYPE);
    if response.body().is_end_stream()
        || !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
    {
        return response;
    }
    response.map(|inner| {
        Body::new(HeldOpen {
            inner: Some(inner),
            stands: Box::new(stands),
            due: Instant::now() + EVERY,
            sleep: None,
        })
    })
}

struct HeldOpen {
    /// None once it has ended: whoever writes it hears of that.
    inner: Option<Body>,
    stands: Stands,
    due: Instant,
    /// Only while nothing comes.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl HeldOpen {
    fn ends(&mut self, refused: Refused) -> Frame<Bytes> {
        self.inner = None;
        let mut trailers = HeaderMap::new();
        let _too_long = status(refused).add_header(&mut trailers);
        Frame::trailers(trailers)
    }
}

impl hyper::body::Body for HeldOpen {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            if self.inner.is_none() {
                return Poll::Ready(None);
            }
            if Instant::now() >= self.due {
                if let Err(refused) = (self.stands)() {
                    return Poll::Ready(Some(Ok(self.ends(refused))));
                }
                self.due = Instant::now() + EVERY;
                self.sleep = None;
            }
            let Some(inner) = self.inner.as_mut() else {
                return Poll::Ready(None);
            };
            if let Poll::Ready(frame) = Pin::new(inner).poll_frame(cx) {
                return Poll::Ready(frame);
            }
            let due = self.due;
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(|inner| inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(SizeHint::default, |inner| inner.size_hint())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use http_body_util::BodyExt as _;
    use sigward_policies::decision::{Refusal, RefusalCode};
    use tokio::sync::mpsc;
    use tokio_stream::StreamExt as _;
    use tokio_stream::wrappers::ReceiverStream;

    use super::*;

    fn grpc(body: Body) -> Response<Body> {
        let mut response = Response::new(body);
        let kind = header::HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    fn no() -> Refused {
        Refusal::new(RefusalCode::CertificateRefused, "it was revoked").into()
    }

    #[tokio::test]
    async fn a_stream_ends_when_its_reader_may_not_go_on_whether_it_speaks_or_not() {
        for speaks in [false, true] {
            let (send, receive) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
            let may = Arc::new(AtomicBool::new(true));
            let seen = may.clone();
            let body = Body::from_stream(ReceiverStream::new(receive));
            let held = while_standing(grpc(body), move || match seen.load(Ordering::Relaxed) {
                true => Ok(()),
                false => Err(no()),
            });
            let sending = tokio::spawn(async move {
                while speaks && send.send(Ok(Bytes::from_static(b"record"))).await.is_ok() {}
                send.closed().await;
            });
            tokio::spawn(async move {
                tokio::time::sleep(EVERY * 5).await;
                may.store(false, Ordering::Relaxed);
            });
            let mut body = held.into_body();
            let mut trailers = None;
            while let Some(frame) = body.frame().await {
                trailers = frame.unwrap().into_trailers().ok();
            }
            let told = trailers.unwrap();
            assert_eq!(told["grpc-status"], "16");
            assert!(
                told["grpc-message"]
                    .to_str()
                    .unwrap()
                    .contains("certificate_refused")
            );
            // Whoever wrote it has heard of its end.
            sending.await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_ends_by_itself_is_whole_and_what_is_whole_is_not_asked() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counting = |asked: &Arc<AtomicUsize>| {
            let asked = asked.clone();
            move || {
                asked.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        };
        let slow = tokio_stream::iter(["a", "b", "c"])
            .throttle(EVERY * 2)
            .map(|part| Ok::<_, std::io::Error>(Bytes::from(part)));
        let held = while_standing(grpc(Body::from_stream(slow)), counting(&asked));
        assert_eq!(held.into_body().collect().await.unwrap().to_bytes(), "abc");
        assert!(asked.swap(0, Ordering::Relaxed) >= 2);
        let whole = while_standing(grpc(Body::from("abc")), counting(&asked));
        assert_eq!(whole.into_body().collect().await.unwrap().to_bytes(), "abc");
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }
}
