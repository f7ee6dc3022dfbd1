//! The threads that sign: each with its own session, fed by one bounded queue, watched by a clock.
//!
//! A C function that does not return cannot be ended. So an order never belongs to a thread that is inside one: it lies in a
//! [`Ticket`], from where the clock takes it when its time is up; a signature that comes later finds nobody and is dropped.
//!
//! # Invariants
//! * No thread ends before the pool does, whatever the module answers and whoever waits for it panics.
//! * Whoever closes a pool waits a moment for its threads, and not for ever: a module may never give one back.
//! * A signature is let out only together with the order that it was made for.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver},
    },
    thread::Thread,
    time::{Duration, Instant},
};

use sigward_policies::{
    model::{algorithm::Signature, payload::Consensus},
    proof::{ConsensusSignatures, SignOrder},
};
use ticket::{Share, Ticket};

use super::{
    client::{Access, Client},
    error::{Kind, TokenError, sane},
    look::Load,
    objects,
    record::Record,
    seat::{Handles, Seat},
};
use crate::{error::ProviderError, provider::Done};

mod ticket;

/// How many threads, how many may wait, and how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) threads: usize,
    pub(super) waiting: usize,
    pub(super) deadline: Duration,
}

/// The threads and what waits for them.
pub(super) struct Pool {
    shared: Arc<Shared>,
    /// Says nothing, and hangs up when the last thread has ended.
    alive: Mutex<Receiver<()>>,
}

/// How long closing waits for the threads to give their sessions back. Any of them may be inside a call that never returns.
const CLOSE: Duration = Duration::from_secs(1);

struct Shared {
    client: Arc<Client>,
    size: Size,
    state: Mutex<State>,
    clock: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(Arc<Ticket>, Share)>,
    /// Everything unanswered, oldest first; all have the same time, so the front is the next to be due.
    due: VecDeque<Arc<Ticket>>,
    /// What threads are at now, one entry each.
    inside: Vec<Arc<Ticket>>,
    /// Threads with nothing to do. The last to have finished is woken first: its session and its stack are still in the caches,
    /// and its processor is the least likely to sleep.
    idle: Vec<Thread>,
    closed: bool,
}

impl Pool {
    pub(super) fn start(client: &Arc<Client>, size: Size) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            client: Arc::clone(client),
            size,
            state: Mutex::default(),
            clock: Condvar::new(),
        });
        let (alive, ended) = mpsc::channel::<()>();
        // Dropped, should a thread not start: those that did are told to end.
        let pool = Self {
            shared: Arc::clone(&shared),
            alive: Mutex::new(ended),
        };
        for number in 0..size.threads {
            let (shared, alive) = (Arc::clone(&shared), alive.clone());
            std::thread::Builder::new()
                .name(format!("pkcs11-{number}"))
                .spawn(move || {
                    shared.serve();
                    drop((shared, alive));
                })?;
        }
        std::thread::Builder::new()
            .name("pkcs11-clock".to_owned())
            .spawn(move || {
                shared.watch();
                drop((shared, alive));
            })?;
        Ok(pool)
    }

    /// Queues an order; answers at once when the queue is full or every thread hangs.
    pub(super) fn submit(&self, record: Arc<Record>, order: SignOrder<Consensus>, done: Done<Consensus>) {
        let deadline = Instant::now() + self.shared.size.deadline;
        let ticket = Arc::new(Ticket::new(record, deadline, order, done));
        let mut state = self.shared.lock();
        if let Some(reason) = self.refusal(&state) {
            drop(state);
            return ticket.fail(ProviderError::Unavailable { reason });
        }
        // A clock that has something to watch wakes by itself: what is due next is what came first.
        if state.due.is_empty() {
            self.shared.clock.notify_one();
        }
        state.due.push_back(Arc::clone(&ticket));
        let woken = state.hand_out(&ticket);
        drop(state);
        woken.into_iter().flatten().for_each(|thread| thread.unpark());
    }

    fn refusal(&self, state: &State) -> Option<String> {
        if state.closed {
            Some("the provider is closing".to_owned())
        } else if state.hanging() >= self.shared.size.threads {
            Some("the token hangs: C_Sign returned in no session; look at the token, nothing is signed with its keys before".to_owned())
        } else if state.waiting.len() >= self.shared.size.waiting {
            Some(format!(
                "{} orders wait for the token already; see why it is slow",
                state.waiting.len()
            ))
        } else {
            None
        }
    }

    /// How many threads there are, how many orders wait for one, and how many hang in a call.
    pub(super) fn load(&self) -> Load {
        let state = self.shared.lock();
        Load {
            sessions: self.shared.size.threads,
            waiting: state.waiting.len(),
            hanging: state.hanging(),
        }
    }

    /// How many threads hang in a call.
    pub(super) fn hanging(&self) -> usize {
        self.shared.lock().hanging()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let hanging = state.hanging() > 0;
        state.waiting.clear();
        let due = std::mem::take(&mut state.due);
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        idle.iter().for_each(Thread::unpark);
        self.shared.clock.notify_all();
        for ticket in due {
            ticket.fail(ProviderError::Unavailable {
                reason: "the provider is closing".to_owned(),
            });
        }
        // A thread that hangs in the module is left to it.
        if !hanging {
            let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
            let _ended_or_not = alive.recv_timeout(CLOSE);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A signing thread.
    fn serve(&self) {
        let mut seat = Seat::new(Arc::clone(&self.client), Access::Read);
        while let Some((ticket, share)) = self.next() {
            let outcome = sane("C_Sign", || {
                seat.run(ticket.deadline, |session, handles| {
                    sign(session, handles, &ticket, share)
                })
            });
            self.lock().leave(&ticket);
            // A waiter that panics harms itself only.
            let _panicked = catch_unwind(AssertUnwindSafe(|| ticket.finish(outcome)));
        }
    }

    /// What to sign next; none when the pool is closing.
    fn next(&self) -> Option<(Arc<Ticket>, Share)> {
        let me = std::thread::current();
        loop {
            let mut state = self.lock();
            // Who wakes by himself is idle no more either.
            state.idle.retain(|thread| thread.id() != me.id());
            if state.closed {
                return None;
            }
            while let Some((ticket, share)) = state.waiting.pop_front() {
                // Where its other part failed meanwhile, nobody wants this one.
                if ticket.is_open() {
                    state.inside.push(Arc::clone(&ticket));
                    return Some((ticket, share));
                }
            }
            state.idle.push(me.clone());
            drop(state);
            // An unpark between the two is not lost: it makes this one return at once.
            std::thread::park();
        }
    }

    /// The clock's thread: answers what the token does not.
    fn watch(&self) {
        let mut state = self.lock();
        while !state.closed {
            let Some(front) = state.due.front().cloned() else {
                state = self.clock.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let rest = front.deadline.saturating_duration_since(Instant::now());
            if front.is_open() && !rest.is_zero() {
                state = self
                    .clock
                    .wait_timeout(state, rest)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
                continue;
            }
            state.due.pop_front();
            // What was answered in time, which is nearly all, costs no more than this.
            if !front.is_open() {
                continue;
            }
            let before = state.waiting.len();
            state.waiting.retain(|(waiting, _)| !Arc::ptr_eq(waiting, &front));
            let never_began = state.waiting.len() < before;
            drop(state);
            let reason = self.overdue(never_began);
            let answer = || front.fail(ProviderError::Unavailable { reason });
            let _panicked = catch_unwind(AssertUnwindSafe(answer));
            state = self.lock();
        }
    }
}

impl Shared {
    fn overdue(&self, never_began: bool) -> String {
        let limit = self.size.deadline;
        if let Some(error) = self.client.held_up() {
            return format!("{error}; {}", error.remedy().unwrap_or_default());
        }
        if never_began {
            return format!(
                "no session was free within {limit:?}; raise `sessions`, or see why the token is slow"
            );
        }
        format!(
            "C_Sign did not return within {limit:?}: the token hangs or is too slow; see that it answers: `sigward hsm probe`"
        )
    }
}

impl State {
    /// Puts a ticket before the threads, and says whom to wake for it. Where all are busy, the first to finish takes it. Where two
    /// have nothing to do, each signs a part: a precommit with its extension then takes little longer than a prevote.
    fn hand_out(&mut self, ticket: &Arc<Ticket>) -> [Option<Thread>; 2] {
        if ticket.has_two_parts() && self.idle.len() >= 2 && self.waiting.is_empty() {
            self.waiting.push_back((Arc::clone(ticket), Share::Message));
            self.waiting.push_back((Arc::clone(ticket), Share::Extension));
            [self.idle.pop(), self.idle.pop()]
        } else {
            self.waiting.push_back((Arc::clone(ticket), Share::Whole));
            [self.idle.pop(), None]
        }
    }

    /// A thread is done with its share of a ticket, and with no other thread's.
    fn leave(&mut self, ticket: &Arc<Ticket>) {
        if let Some(at) = self.inside.iter().position(|inside| Arc::ptr_eq(inside, ticket)) {
            self.inside.swap_remove(at);
        }
    }

    /// Threads whose call has outlived its deadline.
    fn hanging(&self) -> usize {
        let now = Instant::now();
        self.inside.iter().filter(|ticket| ticket.deadline <= now).count()
    }
}

fn sign(
    session: &cryptoki::session::Session,
    handles: &mut Handles,
    ticket: &Ticket,
    share: Share,
) -> Result<ConsensusSignatures, TokenError> {
    let record = &ticket.record;
    let key = match handles.keys.get(&record.id) {
        Some(key) => *key,
        None => {
            let found = sane("C_FindObjects", || objects::find_private(session, &record.id))?;
            let key = found.ok_or_else(|| missing(record))?;
            handles.keys.insert(record.id.clone(), key);
            key
        }
    };
    let algorithm = record.public_key.algorithm();
    let hashing = &mut handles.hashing;
    let mut one = |message: Option<&[u8]>| -> Result<Option<Signature>, TokenError> {
        message
            .map(|message| {
                sane("C_Sign", || {
                    objects::sign(session, key, algorithm, message, hashing)
                })
            })
            .transpose()
    };
    Ok(ConsensusSignatures {
        message: one(ticket.message(share))?,
        extension: one(ticket.extension(share))?,
    })
}

/// A key that its token does not show: it is not forgotten, for it may come back, and nothing else takes its place.
fn missing(record: &Record) -> TokenError {
    TokenError::new(
        Kind::Missing,
        format!(
            "C_FindObjects found no private key for {} (id {})",
            record.name,
            hex::encode(record.id.as_bytes())
        ),
        "bring the object back from the token's backup; sigward keeps its record and its watermark",
    )
}
