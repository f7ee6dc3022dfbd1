//! The body of a request behind a certificate, as it comes. What is kept of bodies that are not whole is bounded: for each, for each
//! holder, and for all of them together.
//!
//! Nearly every body is one part, with its end; it needs no place. Of one that is not whole, one part is kept here; when a second one
//! comes it grows, and needs a [`Bodies`] place. Who finds none is refused at once, and nothing is left unread in the meantime: a part of
//! one byte costs HTTP/2 as much as a large one.
//!
//! *Invariants:* nothing is asked for before somebody reads it, which is after admission; a place is given back with the last part, so
//! that an answer that is held open has none; what comes after a refusal is passed on for whoever throws it away.

use std::error::Error;
use std::future::Future as _;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::Request;
use hyper::body::{Body as HttpBody, Frame};
use sigward_policies::decision::{Failure, FailureCode};
use sigward_policies::model::caller::Caller;
use tokio::time::{Sleep, sleep};
use tonic::Status;

use super::bodies::{self, Bodies, Place};
use crate::listener::grpc;
use crate::telemetry::metrics::DoorMetrics;

/// gRPC's flag and length, before the message.
const PREFIX: usize = 5;

type Part = Result<Frame<Bytes>, Box<dyn Error + Send + Sync>>;

/// A body on its way in.
pub(super) struct Arriving {
    inner: Body,
    who: Caller,
    bodies: Arc<Bodies>,
    metrics: DoorMetrics,
    /// How many bytes it may have.
    most: usize,
    left: usize,
    stage: Stage,
    /// To be given out next.
    next: Option<Frame<Bytes>>,
    due: Option<Pin<Box<Sleep>>>,
}

enum Stage {
    /// Nobody has asked for it.
    Unread,
    /// Its first part is here, or nothing.
    Coming { first: Option<Frame<Bytes>>, one: Place },
    /// Its parts are passed on, and kept by whoever reads them.
    Growing { _one: Place, _place: Place },
    /// It is whole, or was refused.
    Over,
}

impl Arriving {
    /// The request of `who`, with its body so.
    pub(super) fn within(
        request: Request<Body>,
        who: Caller,
        bodies: Arc<Bodies>,
        metrics: DoorMetrics,
    ) -> Request<Body> {
        let most = grpc::most_of(request.uri().path());
        request.map(|inner| {
            Body::new(Self {
                inner,
                who,
                bodies,
                metrics,
                most,
                left: most.saturating_add(PREFIX),
                stage: Stage::Unread,
                next: None,
                due: None,
            })
        })
    }

    /// A place among those that are not whole, from now on and for as long as a body may take.
    fn begin(&mut self, first: Option<Frame<Bytes>>) -> Result<(), Status> {
        let one = self.bodies.comes(&self.who).ok_or_else(busy)?;
        self.stage = Stage::Coming { first, one };
        self.due = Some(Box::pin(sleep(bodies::TIME)));
        Ok(())
    }

    /// A part came. What is to be given out, if something is.
    fn take(&mut self, part: Frame<Bytes>) -> Result<Option<Frame<Bytes>>, Status> {
        let length = part.data_ref().map_or(0, Bytes::len);
        self.left = self.left.checked_sub(length).ok_or_else(|| too_long(self.most))?;
        let is_last = part.is_trailers() || self.inner.is_end_stream();
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Growing { .. } | Stage::Over | Stage::Unread | Stage::Coming { first: None, .. }
                if is_last =>
            {
                Ok(Some(part))
            }
            Stage::Coming { first, .. } if is_last => {
                self.next = Some(part);
                Ok(first)
            }
            growing @ Stage::Growing { .. } => {
                self.stage = growing;
                Ok(Some(part))
            }
            // A part of nothing is none.
            stage if length == 0 => {
                self.stage = stage;
                Ok(None)
            }
            Stage::Unread => self.begin(Some(kept(part))).map(|()| None),
            Stage::Coming { first: None, one } => {
                let first = Some(kept(part));
                self.stage = Stage::Coming { first, one };
                Ok(None)
            }
            Stage::Coming { first, one } => {
                let place = self.bodies.place_now(&self.who).ok_or_else(busy)?;
                self.stage = Stage::Growing {
                    _one: one,
                    _place: place,
                };
                self.next = Some(part);
                Ok(first)
            }
            Stage::Over => Ok(Some(part)),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Part>, Status>> {
        loop {
            if let Some(next) = self.next.take() {
                return Poll::Ready(Ok(Some(Ok(next))));
            }
            if let Stage::Over = self.stage {
                let part = ready!(Pin::new(&mut self.inner).poll_frame(cx));
                return Poll::Ready(Ok(part.map(|part| part.map_err(Into::into))));
            }
            if let Some(due) = &mut self.due
                && due.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Err(late()));
            }
            match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Ready(Some(Ok(part))) => {
                    if let Some(part) = self.take(part)? {
                        return Poll::Ready(Ok(Some(Ok(part))));
                    }
                }
                Poll::Ready(Some(Err(cut))) => {
                    self.stage = Stage::Over;
                    return Poll::Ready(Ok(Some(Err(cut.into()))));
                }
                Poll::Ready(None) => match mem::replace(&mut self.stage, Stage::Over) {
                    Stage::Coming {
                        first: Some(first), ..
                    } => return Poll::Ready(Ok(Some(Ok(first)))),
                    _ => return Poll::Ready(Ok(None)),
                },
                // The time is asked for once more, so that it wakes us.
                Poll::Pending if matches!(self.stage, Stage::Unread) => self.begin(None)?,
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        match ready!(self.poll(cx)) {
            Ok(part) => Poll::Ready(part),
            Err(status) => {
                self.stage = Stage::Over;
                let code = match status.code() {
                    tonic::Code::ResourceExhausted => "busy",
                    tonic::Code::DeadlineExceeded => "deadline_exceeded",
                    _ => "body_too_long",
                };
                self.metrics.refused(code);
                Poll::Ready(Some(Err(status.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let holds = self.next.is_some() || matches!(self.stage, Stage::Coming { first: Some(_), .. });
        !holds && self.inner.is_end_stream()
    }
}

/// Bytes that were cut out of what a connection has read would keep all of that.
fn kept(part: Frame<Bytes>) -> Frame<Bytes> {
    part.map_data(|data| Bytes::copy_from_slice(&data))
}

fn busy() -> Status {
    let why = "too many bodies of this caller, or of all, are on their way already; nothing was done: try again when they are there";
    grpc::status_of_failure(Failure::new(FailureCode::Busy, why))
}

fn late() -> Status {
    let why = format!("the body took more than {} s to come", bodies::TIME.as_secs());
    grpc::status_of_failure(Failure::new(FailureCode::DeadlineExceeded, why))
}

fn too_long(most: usize) -> Status {
    Status::out_of_range(format!(
        "body_too_long: a body of this call has at most {} KiB",
        most >> 10
    ))
}

#[cfg(test)]
mod tests;
