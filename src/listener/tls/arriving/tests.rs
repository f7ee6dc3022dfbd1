//! Bodies that come whole, slowly, or never.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io;
use std::time::Duration;

use axum::body::BodyDataStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::super::bodies::{COMING_OF_HOLDER, OF_HOLDER};
use super::*;
use crate::clock::SystemClock;
use crate::listener::body::{Cut, linger, whole};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Build;

const SMALL: &str = "/sigward.v1.StatusService/Get";
const LARGE: &str = "/sigward.v1.StateService/Import";
const SOON: Duration = Duration::from_millis(50);

struct Hall {
    bodies: Arc<Bodies>,
    metrics: Arc<Metrics>,
}

type Sender = mpsc::Sender<Result<Bytes, io::Error>>;

impl Hall {
    fn new() -> Self {
        let build = Build {
            version: "0",
            commit: "unknown",
        };
        Self {
            bodies: Arc::default(),
            metrics: Metrics::new(build, &SystemClock),
        }
    }

    fn arrives(&self, who: &str, path: &str, body: Body) -> BodyDataStream {
        let request = Request::post(path).body(body).unwrap();
        let name = sigward_policies::model::caller::SubjectName::dns(who).unwrap();
        let who = Caller::Certificate { name };
        let request = Arriving::within(request, who, self.bodies.clone(), self.metrics.door());
        request.into_body().into_data_stream()
    }

    /// A body whose parts are sent by hand.
    fn sends(&self, who: &str, path: &str) -> (Sender, BodyDataStream) {
        let (send, receive) = mpsc::channel(64);
        let body = Body::from_stream(ReceiverStream::new(receive));
        (send, self.arrives(who, path, body))
    }

    /// The same, after two parts of it came and were read as far as they are passed on.
    async fn grows(&self, who: &str) -> (Sender, BodyDataStream, Option<Result<Bytes, axum::Error>>) {
        let (send, mut body) = self.sends(who, SMALL);
        for _ in 0..2 {
            part(&send, 1).await;
        }
        let first = body.next().await;
        (send, body, first)
    }
}

async fn part(send: &Sender, length: usize) {
    send.send(Ok(Bytes::from(vec![b' '; length]))).await.unwrap();
}

fn told(error: &axum::Error) -> &Status {
    error.source().unwrap().downcast_ref().unwrap()
}

fn refused(part: Option<Result<Bytes, axum::Error>>) -> Status {
    told(&part.unwrap().unwrap_err()).clone()
}

#[tokio::test]
async fn what_grows_has_a_share_and_what_is_one_part_needs_none() {
    let hall = Hall::new();
    let mut slow = Vec::new();
    for _ in 0..OF_HOLDER {
        let (send, body, first) = hall.grows("slow").await;
        assert_eq!(first.unwrap().unwrap(), " ");
        slow.push((send, body));
    }
    let (_send, mut body, first) = hall.grows("slow").await;
    let status = refused(first);
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().starts_with("busy: "), "{status}");
    // What comes after it is thrown away by whoever refused it, and does not wait for a place.
    timeout(Duration::from_secs(5), linger(&mut body)).await.unwrap();
    // The same holder's other requests go through, and those of others whatever they look like.
    let mut one = hall.arrives("slow", SMALL, Body::from("{}"));
    assert_eq!(whole(&mut one, 10).await.unwrap(), b"{}");
    let mut none = hall.arrives("slow", SMALL, Body::empty());
    assert_eq!(whole(&mut none, 10).await.unwrap(), b"");
    let (send, mut other) = hall.sends("other", SMALL);
    for _ in 0..20 {
        part(&send, 1).await;
    }
    drop(send);
    assert_eq!(whole(&mut other, 100).await.unwrap().len(), 20);
    // A place comes back with the end of a body, though somebody may keep it; and when it is dropped.
    let (send, mut body) = slow.pop().unwrap();
    drop(send);
    while body.next().await.is_some() {}
    let (_send, _body, first) = hall.grows("slow").await;
    first.unwrap().unwrap();
    slow.pop();
    let (_send, _body, first) = hall.grows("slow").await;
    first.unwrap().unwrap();
    drop(body);
}

#[tokio::test]
async fn those_that_send_nothing_are_counted_too() {
    let hall = Hall::new();
    let mut waiting = Vec::new();
    for _ in 0..COMING_OF_HOLDER {
        let (send, mut body) = hall.sends("idle", SMALL);
        assert!(timeout(Duration::from_millis(1), body.next()).await.is_err());
        waiting.push((send, body));
    }
    let (_send, mut body) = hall.sends("idle", SMALL);
    let status = refused(timeout(SOON, body.next()).await.unwrap());
    assert!(status.message().starts_with("busy: "), "{status}");
    let (_send, mut body) = hall.sends("other", SMALL);
    assert!(timeout(SOON, body.next()).await.is_err());
    // One that was never asked for has no place.
    waiting.clear();
    let unread: Vec<_> = (0..200).map(|_| hall.sends("idle", SMALL)).collect();
    let (send, mut body) = hall.sends("idle", SMALL);
    part(&send, 3).await;
    drop(send);
    assert_eq!(whole(&mut body, 10).await.unwrap().len(), 3);
    drop(unread);
}

#[tokio::test]
async fn a_body_has_its_bytes_and_its_time() {
    let hall = Hall::new();
    let large = |path, length| hall.arrives("a", path, Body::from(vec![b' '; length]));
    let small = 64 << 10;
    assert_eq!(
        whole(&mut large(SMALL, small), 1 << 21).await.unwrap().len(),
        small
    );
    let Err(Cut::Broken(error)) = whole(&mut large(SMALL, small + PREFIX + 1), 1 << 21).await else {
        unreachable!("it is too long");
    };
    assert_eq!(
        told(&error).message(),
        "body_too_long: a body of this call has at most 64 KiB"
    );
    whole(&mut large(LARGE, 1 << 20), 1 << 21).await.unwrap();
    whole(&mut large(LARGE, (1 << 20) + PREFIX + 1), 1 << 21)
        .await
        .unwrap_err();

    // One sends nothing, the other a byte now and then: both are read no longer than a body may take.
    let (_send, mut silent) = hall.sends("a", SMALL);
    let (send, mut drips) = hall.sends("a", SMALL);
    let dripping = tokio::spawn(async move {
        while send.send(Ok(Bytes::from_static(b" "))).await.is_ok() {
            tokio::time::sleep(SOON).await;
        }
    });
    let (silent, drips) = tokio::join!(whole(&mut silent, 1 << 20), whole(&mut drips, 1 << 20));
    dripping.abort();
    for late in [silent, drips] {
        let Err(Cut::Broken(error)) = late else {
            unreachable!("it never ends");
        };
        assert_eq!(told(&error).code(), Code::DeadlineExceeded);
    }
    let counted = hall.metrics.encode().unwrap();
    assert!(
        counted.contains("tls_refused_requests_total{reason=\"deadline_exceeded\"} 2"),
        "{counted}"
    );
    assert!(
        counted.contains("tls_refused_requests_total{reason=\"body_too_long\"} 2"),
        "{counted}"
    );
}

/// A refusal of somebody else is not lost because the door would not have let in so much.
#[tokio::test]
async fn what_is_thrown_away_may_be_longer_than_what_is_read() {
    let hall = Hall::new();
    let (send, mut body) = hall.sends("a", SMALL);
    let sending = tokio::spawn(async move {
        for _ in 0..12 {
            part(&send, 16 << 10).await;
        }
    });
    linger(&mut body).await;
    sending.await.unwrap();
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_refusal() {
    let hall = Hall::new();
    let (send, mut body) = hall.sends("a", SMALL);
    part(&send, 1).await;
    send.send(Err(io::ErrorKind::ConnectionReset.into()))
        .await
        .unwrap();
    let Err(Cut::Broken(error)) = whole(&mut body, 10).await else {
        unreachable!("it broke off");
    };
    assert!(error.source().is_none_or(|why| !why.is::<Status>()));
}
