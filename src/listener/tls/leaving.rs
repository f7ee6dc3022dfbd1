//! An answer that is whole, on its way out. What was made and is not taken is bounded: for each connection, for each holder, and for all of
//! them together; and nobody is waited for who takes nothing.
//!
//! A request needs room for a small answer before anything is done for it: who finds none is refused at once, and nothing was done. An
//! answer that is larger takes more when it is there.
//!
//! *Invariants:* room is given back when the last byte has left, or is thrown away, and not when an answer is handed over: HTTP/2 keeps
//! what a client has no window for; no answer is too large, as one counts for half of a share at most; what is held open needs no room
//! and is not waited for here: it is made as it is read.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Response;
use axum::http::response::Parts;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use sigward_policies::model::caller::Caller;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use super::bodies::Shares;

/// Bytes that wait for their clients, of one door.
const ALL: usize = 64 << 20;
/// Of those, of one holder; an issuer is one with all whom it vouches for.
const OF_HOLDER: usize = ALL / 8;
/// Of those, of one connection.
const OF_CONNECTION: usize = 2 << 20;
const MOST: [usize; 3] = [OF_CONNECTION, OF_HOLDER, ALL];
/// What a request needs before anything is done for it. Nearly every act is answered in less; and what it costs to keep an answer that has
/// no bytes is in it.
const LEAST: u32 = 4 << 10;
/// What is handed over at once: a frame of HTTP/2 (RFC 9113, section 4.2).
const PIECE: usize = 16 << 10;
/// Answers without room, which say that nothing was done, of one connection. Whoever takes none of so many is told by heads alone, for
/// which there is always a window.
const BARE: usize = 16;
/// Whoever takes nothing of an answer for so long does not want it.
const UNTAKEN: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 30_000 });

/// The room of one door.
#[derive(Debug)]
pub(super) struct Rooms {
    all: Arc<Semaphore>,
    holders: Shares,
}

/// Room for one answer, until it is dropped: of its connection, of its holder and of all.
#[derive(Debug)]
pub(super) struct Room([OwnedSemaphorePermit; 3]);

impl Default for Rooms {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(ALL)),
            holders: Shares::new(OF_HOLDER),
        }
    }
}

impl Rooms {
    /// Room for an answer to `who`, if there is some now. Those who need not say who they are count as one.
    pub(super) fn room(&self, who: Option<&Caller>, client: &Untaken) -> Option<Room> {
        let holder = match who {
            Some(Caller::Token { holder }) => format!("issuer:{}", holder.issuer()),
            Some(who) => who.to_string(),
            None => String::new(),
        };
        let take = |of: Arc<Semaphore>| of.try_acquire_many_owned(LEAST).ok();
        Some(Room([
            take(client.room.clone())?,
            take(self.holders.of(holder))?,
            take(self.all.clone())?,
        ]))
    }
}

impl Room {
    /// Takes what an answer of `length` needs; whether there is as much.
    fn grow(&mut self, length: usize) -> bool {
        self.0.iter_mut().zip(MOST).all(|(held, most)| {
            let more = length.min(most / 2).saturating_sub(held.num_permits());
            let more = u32::try_from(more).unwrap_or(u32::MAX);
            match held.semaphore().clone().try_acquire_many_owned(more) {
                Ok(more) => {
                    held.merge(more);
                    true
                }
                Err(_full) => false,
            }
        })
    }
}

/// The answers that one client has not taken yet.
#[derive(Debug)]
pub(super) struct Untaken {
    room: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// Those that have no room.
    small: usize,
    /// When something of each was taken last.
    since: BTreeMap<u64, Instant>,
}

impl Default for Untaken {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(OF_CONNECTION)),
            waiting: Mutex::default(),
        }
    }
}

impl Untaken {
    /// Ends when one of them has waited too long.
    pub(super) async fn waits_too_long(&self) {
        loop {
            let first = self.lock().since.values().min().copied();
            let end = first.unwrap_or_else(Instant::now) + UNTAKEN;
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }

    /// One more of them; none, where too many have no room.
    fn begin(self: &Arc<Self>, room: Option<Room>) -> Option<Arc<Answer>> {
        let mut waiting = self.lock();
        if room.is_none() {
            if waiting.small >= BARE {
                return None;
            }
            waiting.small += 1;
        }
        let number = waiting.next;
        waiting.next += 1;
        waiting.since.insert(number, Instant::now());
        drop(waiting);
        Some(Arc::new(Answer {
            client: self.clone(),
            number,
            room,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them, until nothing of it is left.
struct Answer {
    client: Arc<Untaken>,
    number: u64,
    room: Option<Room>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        let mut waiting = self.client.lock();
        waiting.since.remove(&self.number);
        waiting.small -= usize::from(self.room.is_none());
    }
}

/// A part of one, until it was taken: whoever sends it drops it then.
struct Piece {
    data: Bytes,
    of: Arc<Answer>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.of.client.lock().since.insert(self.of.number, Instant::now());
    }
}

type Part = Result<Frame<Bytes>, axum::Error>;

/// An answer, all of which is there.
pub(super) struct Whole {
    head: Parts,
    parts: VecDeque<Part>,
}

impl Whole {
    /// All of `response`, which does not end by what its reader does.
    pub(super) async fn of(response: Response<Body>) -> Self {
        let (head, mut body) = response.into_parts();
        let mut parts = VecDeque::new();
        while let Some(part) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            parts.push_back(part);
        }
        Self { head, parts }
    }

    /// Whether there is as much room as it needs, which `room` then is.
    pub(super) fn fits(&self, room: &mut Room) -> bool {
        room.grow(self.parts.iter().map(length).sum())
    }

    /// The same, on its way to `client`. One that has no room is small.
    pub(super) fn leave(self, room: Option<Room>, client: &Arc<Untaken>) -> Response<Body> {
        let Self { head, parts } = self;
        let body = client
            .begin(room)
            .map(|answer| Body::new(Leaving { parts, answer }));
        Response::from_parts(head, body.unwrap_or_default())
    }
}

/// What is still to be handed over.
struct Leaving {
    parts: VecDeque<Part>,
    answer: Arc<Answer>,
}

fn length(part: &Part) -> usize {
    let data = part.as_ref().ok().and_then(Frame::data_ref);
    data.map_or(0, Bytes::len)
}

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Part>> {
        let Some(part) = self.parts.pop_front() else {
            return Poll::Ready(None);
        };
        let part = part.map(|frame| match frame.into_data() {
            Ok(mut data) => {
                if data.len() > PIECE {
                    let rest = data.split_off(PIECE);
                    self.parts.push_front(Ok(Frame::data(rest)));
                }
                let of = self.answer.clone();
                Frame::data(Bytes::from_owner(Piece { data, of }))
            }
            Err(trailers) => trailers,
        });
        Poll::Ready(Some(part))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let is_data = |part: &Part| part.as_ref().is_ok_and(Frame::is_data);
        if !self.parts.iter().all(is_data) {
            return SizeHint::default();
        }
        let length: usize = self.parts.iter().map(length).sum();
        u64::try_from(length).map_or_else(|_| SizeHint::default(), SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests;
