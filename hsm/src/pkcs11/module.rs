//! The vendor's library: loaded once in the life of the process, initialised once at a time.
//!
//! A second `C_Initialize` beside a live one is undefined with some modules, and `C_Finalize` while another thread is inside a
//! C function is undefined by the standard (PKCS#11 v3.0, 5.4). So every call enters through [`Module::enter`], and a restart waits
//! until nobody is inside.
//!
//! # Invariants
//! * A session belongs to one initialisation, by its generation. A handle of an older one is never given to the module again: the
//!   same number may be somebody else's session by now.
//! * A call that never returns keeps the module from being restarted, and from nothing else: for a restart that cannot be, nobody
//!   is kept waiting.
//! * No lock is held during `C_Initialize` and `C_Finalize`, and nobody waits for another's without a limit ([`Place`]).
//! * Beside a token of the module that works, a restart is rare ([`Pace`]).

use std::{
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
};

use super::{
    error::{Kind, TokenError, sane},
    pace::Pace,
    place::{Place, State, held_up},
};

/// How long a restart may take before who wants to call the module is told so instead of waiting.
const RESTART: Duration = Duration::from_secs(2);
/// How long the end of a module waits for `C_Finalize`.
const END: Duration = Duration::from_secs(2);

/// Which initialisation of the module something belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Generation(u64);

/// A loaded module.
pub(super) struct Module {
    inside: Mutex<Inside>,
    left: Condvar,
    place: Arc<Place>,
}

struct Inside {
    /// None after a restart whose initialisation failed.
    context: Option<Pkcs11>,
    library: Pkcs11,
    generation: Generation,
    /// When each call under way began.
    calls: Vec<(u64, Instant)>,
    next_call: u64,
    restart: Option<UnderWay>,
    pace: Pace,
    users: Vec<Weak<AtomicBool>>,
}

/// A restart: until it is over nobody enters. Its foreign calls are made without a lock.
#[derive(Clone, Copy)]
struct UnderWay {
    since: Instant,
    /// What it waits for.
    function: &'static str,
}

/// One token's use of a module; says whether the token works.
pub(super) struct User(Arc<AtomicBool>);

impl User {
    /// Whether it works from now on.
    pub(super) fn works(&self, works: bool) {
        self.0.store(works, Ordering::Relaxed);
    }
}

/// What came of asking for a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    /// There is a new initialisation, by us or by somebody else.
    Done,
    /// It is too soon after the last one.
    NotNow,
    /// A call has not come back; nothing was done.
    Hangs,
}

/// Leave to call the module; while it is held nobody restarts it.
pub(super) struct Entered<'a> {
    module: &'a Module,
    context: Pkcs11,
    generation: Generation,
    call: u64,
}

impl Module {
    /// Loads and initialises the library at `path`, or gives the one that is loaded.
    pub(super) fn load(path: &Path) -> Result<Arc<Self>, TokenError> {
        let path = path.canonicalize().map_err(|cause| {
            TokenError::new(
                Kind::Failed,
                format!("no PKCS#11 module at {}: {cause}", path.display()),
                "set `module` to the vendor's PKCS#11 library",
            )
        })?;
        let place = Place::of(&path);
        if let Some(module) = place.take()? {
            return Ok(module);
        }
        let begun = sane("C_Initialize", || {
            let library = Pkcs11::new(&path)?;
            initialize(&library)?;
            Ok(library)
        });
        let library = begun.inspect_err(|_| place.becomes(State::Empty))?;
        let module = Arc::new(Self {
            inside: Mutex::new(Inside {
                context: Some(library.clone()),
                library,
                generation: Generation(1),
                calls: Vec::new(),
                next_call: 0,
                restart: None,
                #[cfg(not(test))]
                pace: Pace::new(),
                #[cfg(test)]
                pace: Pace::none(),
                users: Vec::new(),
            }),
            left: Condvar::new(),
            place: Arc::clone(&place),
        });
        place.becomes(State::Loaded(Arc::downgrade(&module)));
        Ok(module)
    }

    /// Somebody whose token is in this module; it does not work yet.
    pub(super) fn join(&self) -> User {
        let works = Arc::new(AtomicBool::new(false));
        let mut inside = self.lock();
        inside.users.retain(|user| user.strong_count() > 0);
        inside.users.push(Arc::downgrade(&works));
        User(works)
    }

    /// Enters; waits a while for a restart that is under way.
    pub(super) fn enter(&self) -> Result<Entered<'_>, TokenError> {
        let mut inside = self.when_open()?;
        let context = inside.context.clone().ok_or_else(not_initialised)?;
        let call = inside.next_call;
        inside.next_call = call.wrapping_add(1);
        inside.calls.push((call, Instant::now()));
        Ok(Entered {
            module: self,
            context,
            generation: inside.generation,
            call,
        })
    }

    /// Whether a restart for `user` would be tried now. `rare`: it is unlikely to help.
    pub(super) fn may_restart(&self, user: &User, rare: bool) -> bool {
        let inside = self.lock();
        inside.may_restart(user, rare) && !inside.hangs()
    }

    /// The token for which the module was restarted works.
    pub(super) fn restart_helped(&self) {
        self.lock().pace.helped();
    }

    /// Ends the initialisation `seen` and begins the next one; does nothing where somebody else did so already, where it would be too
    /// soon, or where a call hangs.
    pub(super) fn restart(
        &self,
        seen: Option<Generation>,
        user: &User,
        rare: bool,
    ) -> Result<Restart, TokenError> {
        let mut inside = self.when_open()?;
        if inside.context.is_some() && seen.is_some_and(|seen| seen < inside.generation) {
            return Ok(Restart::Done);
        }
        if inside.hangs() {
            return Ok(Restart::Hangs);
        }
        if !inside.may_restart(user, rare) {
            return Ok(Restart::NotNow);
        }
        let began = Instant::now();
        inside.pace.began(began);
        inside.restart = Some(UnderWay {
            since: began,
            function: "a call to the module",
        });
        while !inside.calls.is_empty() {
            let rest = inside.pace.patience().saturating_sub(began.elapsed());
            if rest.is_zero() {
                inside.restart = None;
                self.left.notify_all();
                return Ok(Restart::Hangs);
            }
            inside = self
                .left
                .wait_timeout(inside, rest)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let (library, context) = (inside.library.clone(), inside.context.take());
        drop(inside);
        // Its outcome does not matter: what was there is given up either way.
        if let Some(context) = context {
            self.is_in("C_Finalize");
            let _ended = sane("C_Finalize", || Ok(context.finalize()?));
        }
        self.is_in("C_Initialize");
        let outcome = sane("C_Initialize", || initialize(&library));
        let mut inside = self.lock();
        inside.generation = Generation(inside.generation.0.saturating_add(1));
        if outcome.is_ok() {
            inside.context = Some(library);
        }
        inside.restart = None;
        drop(inside);
        self.left.notify_all();
        outcome.map(|()| Restart::Done)
    }

    /// Says which function a restart is in now.
    fn is_in(&self, function: &'static str) {
        if let Some(restart) = &mut self.lock().restart {
            restart.function = function;
        }
    }

    /// What everybody waits for; nothing where the module can be called.
    pub(super) fn held_up(&self) -> Option<TokenError> {
        self.lock().restart.map(|restart| held_up(restart.function))
    }

    /// Locked, with no restart under way. One that takes long is an error for whoever waits for it.
    fn when_open(&self) -> Result<MutexGuard<'_, Inside>, TokenError> {
        let mut inside = self.lock();
        while let Some(restart) = inside.restart {
            let rest = RESTART.saturating_sub(restart.since.elapsed());
            if rest.is_zero() {
                return Err(held_up(restart.function));
            }
            inside = self
                .left
                .wait_timeout(inside, rest)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        Ok(inside)
    }

    /// How often it was restarted.
    #[cfg(test)]
    pub(super) fn restarts(&self) -> u64 {
        self.lock().generation.0
    }

    /// As rarely as in earnest from now on, or as often as asked for.
    #[cfg(test)]
    pub(super) fn set_pace(&self, pace: Pace) {
        self.lock().pace = pace;
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn may_restart(&self, user: &User, rare: bool) -> bool {
        let company = self
            .users
            .iter()
            .filter_map(Weak::upgrade)
            .any(|other| !Arc::ptr_eq(&other, &user.0) && other.load(Ordering::Relaxed));
        self.pace.allows(Instant::now(), rare || company)
    }

    /// Whether a call is under way that is not worth waiting for.
    fn hangs(&self) -> bool {
        self.calls
            .iter()
            .any(|(_, began)| began.elapsed() > self.pace.patience())
    }
}

/// Until `C_Finalize` is over nobody else initialises the module. It has a thread of its own: whoever was the last to use a token may
/// have no time for a module that hangs.
impl Drop for Module {
    fn drop(&mut self) {
        let Some(context) = self.lock().context.take() else {
            return self.place.becomes(State::Empty);
        };
        self.place.becomes(State::Ends);
        let (tell, told) = mpsc::sync_channel(1);
        let place = Arc::clone(&self.place);
        let ending = std::thread::Builder::new()
            .name("pkcs11-end".to_owned())
            .spawn(move || {
                let _ended = sane("C_Finalize", || Ok(context.finalize()?));
                place.becomes(State::Empty);
                let _nobody_waits = tell.send(());
            });
        match ending {
            Ok(_) => drop(told.recv_timeout(END)),
            // It stays initialised, which serves whoever loads it next as well.
            Err(_) => self.place.becomes(State::Empty),
        }
    }
}

impl Entered<'_> {
    /// The initialised library.
    pub(super) const fn context(&self) -> &Pkcs11 {
        &self.context
    }

    /// Which initialisation this is.
    pub(super) const fn generation(&self) -> Generation {
        self.generation
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut inside = self.module.lock();
        inside.calls.retain(|(call, _)| *call != self.call);
        if inside.restart.is_some() {
            self.module.left.notify_all();
        }
    }
}

fn initialize(library: &Pkcs11) -> Result<(), TokenError> {
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // Somebody else in this process did: their initialisation serves as well.
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn not_initialised() -> TokenError {
    TokenError::new(
        Kind::Lost,
        "C_Initialize failed when the module was last restarted",
        "see that the token and its configuration are there; it is tried again",
    )
}
