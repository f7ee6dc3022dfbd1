//! Acts at the token (making, bringing in, destroying, wrapping): one at a time, on a thread of their own, in a session with the right
//! to write. A token that hangs takes that thread, and nobody else.
//!
//! # Invariants
//! * An act that was given up before it began never begins.
//! * What an act that was given up leaves behind is undone by the next thing that the thread does.
//! * While one hangs, the others are told so at once; a few at most wait.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    },
    time::{Duration, Instant},
};

use cryptoki::session::Session;

use super::{
    client::{Access, Client},
    error::{Kind, TokenError, sane},
    seat::Seat,
};
use crate::error::{Operation, ProviderError};

/// How long an act may take: tokens make keys slowly.
const ACT: Duration = Duration::from_secs(30);
/// How long a look around may take.
const LOOK: Duration = Duration::from_secs(10);
/// How many acts may wait for the one under way.
const WAITING: usize = 8;
/// How long closing waits for the session to be given back.
const CLOSE: Duration = Duration::from_secs(1);

/// The thread for acts; started by the first one.
pub(super) struct Acts {
    client: Arc<Client>,
    limit: Duration,
    worker: Mutex<Option<Worker>>,
    now: Arc<Mutex<Option<UnderWay>>>,
}

struct Worker {
    jobs: SyncSender<Job>,
    /// Says nothing, and hangs up when the thread has ended.
    alive: Receiver<()>,
}

/// The act that the thread is at.
struct UnderWay {
    operation: Operation,
    stage: Arc<Stage>,
}

/// What an act does in the thread's seat; it answers by itself.
type Work = Box<dyn FnOnce(&mut Seat, &Stage) + Send>;

struct Job {
    operation: Operation,
    stage: Arc<Stage>,
    work: Work,
}

/// How far an act is. Whoever moves it on decides what becomes of it.
struct Stage(AtomicU8);

const WAITS: u8 = 0;
const RUNS: u8 = 1;
const DONE: u8 = 2;
const GIVEN_UP: u8 = 3;

impl Stage {
    const fn new() -> Self {
        Self(AtomicU8::new(WAITS))
    }

    fn moves(&self, from: u8, to: u8) -> bool {
        self.0
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    fn is_given_up(&self) -> bool {
        self.0.load(Ordering::SeqCst) == GIVEN_UP
    }
}

impl Acts {
    pub(super) fn new(client: &Arc<Client>) -> Self {
        Self::within(client, ACT)
    }

    /// With another limit for each act.
    pub(super) fn within(client: &Arc<Client>, limit: Duration) -> Self {
        Self {
            client: Arc::clone(client),
            limit,
            worker: Mutex::default(),
            now: Arc::default(),
        }
    }

    /// Runs an act.
    pub(super) fn run<T: Send + 'static>(
        &self,
        operation: Operation,
        work: impl FnMut(&Session) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, ProviderError> {
        self.run_or_undo(operation, work, None)
    }

    /// Runs an act. `undo` is run after it, should it be given up and come back all the same.
    pub(super) fn run_or_undo<T: Send + 'static>(
        &self,
        operation: Operation,
        mut work: impl FnMut(&Session) -> Result<T, TokenError> + Send + 'static,
        undo: Option<Undo>,
    ) -> Result<T, ProviderError> {
        if let Some(reason) = self.hangs() {
            return Err(ProviderError::Unavailable { reason });
        }
        let limit = match operation {
            Operation::List => self.limit.min(LOOK),
            _ => self.limit,
        };
        let (tell, told) = mpsc::sync_channel(1);
        let stage = Arc::new(Stage::new());
        let deadline = Instant::now() + limit;
        let job = Job {
            operation,
            stage: Arc::clone(&stage),
            work: Box::new(move |seat, stage| {
                let outcome = seat.run(deadline, |session, _| {
                    if stage.is_given_up() {
                        return Err(given_up());
                    }
                    work(session)
                });
                stage.moves(RUNS, DONE);
                let _given_up = tell.send(outcome);
            }),
        };
        self.submit(job, operation)?;
        match told.recv_timeout(limit) {
            Ok(outcome) => return outcome.map_err(|error| error.during(operation)),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(TokenError::new(
                    Kind::Nonsense,
                    format!("the thread that was to {operation} ended in a panic"),
                    "try again; look for a newer version of the module",
                )
                .during(operation));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if stage.moves(WAITS, GIVEN_UP) {
            return Err(ProviderError::Unavailable {
                reason: format!(
                    "the token was busy for {limit:?} with what came before; nothing was done to {operation}: try again"
                ),
            });
        }
        if !stage.moves(RUNS, GIVEN_UP)
            && let Ok(outcome) = told.recv()
        {
            return outcome.map_err(|error| error.during(operation));
        }
        let undone = undo.is_some_and(|undo| self.later(operation, undo));
        let then = if undone {
            "what it makes is removed if it comes back"
        } else {
            "it may still be done when the token comes back: look before trying again (`sigward hsm list --search`)"
        };
        Err(ProviderError::Unavailable {
            reason: format!(
                "the call of the module to {operation} has not come back within {limit:?}; {then}; look at the token and its network"
            ),
        })
    }

    /// Undoes an act that was done, as soon as the token comes to it; waits for it a while.
    pub(super) fn undo(&self, operation: Operation, mut undo: Undo) {
        let (tell, told) = mpsc::sync_channel(1);
        let telling: Undo = Box::new(move |session| {
            let outcome = undo(session);
            let _nobody_waits = tell.try_send(());
            outcome
        });
        if self.later(operation, telling) && self.hangs().is_none() {
            let _done_or_not = told.recv_timeout(self.limit);
        }
    }

    /// Why no act is begun: one that was given up has not come back.
    fn hangs(&self) -> Option<String> {
        let now = lock(&self.now);
        let under_way = now.as_ref().filter(|act| act.stage.is_given_up())?;
        Some(format!(
            "the token hangs: a call of the module to {} has not come back, and nothing else is begun before; look at the token and its \
             network; if it stays so, restart sigward",
            under_way.operation
        ))
    }

    /// Has `undo` done after what is under way, and waits for nothing.
    fn later(&self, operation: Operation, mut undo: Undo) -> bool {
        let job = Job {
            operation,
            stage: Arc::new(Stage::new()),
            work: Box::new(move |seat, _| {
                let _best_effort = seat.run(Instant::now() + ACT, |session, _| undo(session));
            }),
        };
        self.submit(job, operation).is_ok()
    }

    fn submit(&self, job: Job, operation: Operation) -> Result<(), ProviderError> {
        let mut worker = lock(&self.worker);
        let worker = match &mut *worker {
            Some(worker) => worker,
            none => {
                let started = self
                    .start()
                    .map_err(|error| ProviderError::fault(operation, error))?;
                none.insert(started)
            }
        };
        worker.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => ProviderError::Unavailable {
                reason: format!(
                    "{WAITING} acts wait for the token already; see why it is slow, and try again"
                ),
            },
            TrySendError::Disconnected(_) => ProviderError::Unavailable {
                reason: "the provider is closing".to_owned(),
            },
        })
    }

    fn start(&self) -> std::io::Result<Worker> {
        let (jobs, queue) = mpsc::sync_channel::<Job>(WAITING);
        let (ends, alive) = mpsc::channel();
        let (client, now) = (Arc::clone(&self.client), Arc::clone(&self.now));
        std::thread::Builder::new()
            .name("pkcs11-acts".to_owned())
            .spawn(move || {
                let mut seat = Seat::new(client, Access::Write);
                for job in queue {
                    serve(&mut seat, job, &now);
                }
                drop(seat);
                drop::<mpsc::Sender<()>>(ends);
            })?;
        Ok(Worker { jobs, alive })
    }
}

/// Undoes an act.
pub(super) type Undo = Box<dyn FnMut(&Session) -> Result<(), TokenError> + Send>;

fn serve(seat: &mut Seat, job: Job, now: &Mutex<Option<UnderWay>>) {
    if !job.stage.moves(WAITS, RUNS) {
        return;
    }
    *lock(now) = Some(UnderWay {
        operation: job.operation,
        stage: Arc::clone(&job.stage),
    });
    let _answered_by_hanging_up = sane("a C function of this act", || {
        (job.work)(seat, &job.stage);
        Ok(())
    });
    *lock(now) = None;
}

impl Drop for Acts {
    fn drop(&mut self) {
        let hangs = self.hangs().is_some();
        if let Some(Worker { jobs, alive }) = lock(&self.worker).take() {
            drop(jobs);
            if !hangs {
                let _ended_or_not = alive.recv_timeout(CLOSE);
            }
        }
    }
}

fn given_up() -> TokenError {
    TokenError::new(
        Kind::Failed,
        "the act was given up",
        "see that the token answers, and try again",
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
