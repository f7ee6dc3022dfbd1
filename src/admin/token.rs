//! A token of the configuration: opened when it is there, closed until then, and never in the way of anything else.
//!
//! In a daemon each token has a thread that opens it, tries again while it is away, and looks for keys that it lost. Without a
//! daemon it is opened by the first act that needs it. May import: `sigward-hsm`, the configuration's names.
//!
//! # Invariants
//! * Nobody waits for a token that is not open: a signature of its keys is refused at once, and every other key signs on.
//! * A PIN that was refused is not tried again until another one is in its place or an operator says so.
//! * A key that the token does not show is told of, and never forgotten.
//! * Nobody calls a module while holding the state of its token.
//! * Nothing that a module answers ends the thread of its token.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use sigward_hsm::error::ProviderError;
use sigward_hsm::pkcs11::{
    Load, LoggedIn, PinSource, Pkcs11Provider, Presence, TokenConfig, TokenIdentity, TokenKey, log_in_once,
    recorded_keys,
};
use sigward_hsm::provider::{Done, KeyHandle, Sign};
use sigward_hsm::secret::Arena;
use sigward_policies::model::payload::Consensus;
use sigward_policies::proof::SignOrder;
use tokio::sync::Notify;

use super::pin_place::PinPlace;
use crate::config::ProviderId;

/// How often the thread of a token looks whether anything has changed.
const GLANCE: Duration = Duration::from_millis(500);
/// How often it looks whether the keys are all there.
const LOOK: Duration = Duration::from_secs(5);
/// The same, after a look that failed.
const LOOK_LATER: Duration = Duration::from_secs(60);
/// How soon a token that is away is tried again: at first, and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(8));
/// How long opening may take before it is told that it hangs.
const OPENS_WITHIN: Duration = Duration::from_secs(10);

/// Why a token is of no use now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenTrouble {
    /// The stable code.
    pub code: &'static str,
    /// What happened; names the C function that failed.
    pub what: String,
    /// What to do.
    pub advice: String,
}

/// A configured token.
pub struct Token {
    id: ProviderId,
    arena: Arena,
    config: Mutex<TokenConfig>,
    state: Mutex<State>,
    nudge: Condvar,
    changed: Arc<Notify>,
    kept: AtomicBool,
}

struct State {
    now: Now,
    /// An operator has said something: look at once, and try what was given up.
    nudged: bool,
    missing: Vec<TokenKey>,
    /// What lay in the PIN's place when the token was last opened.
    pin: Option<PinPlace>,
}

enum Now {
    Closed,
    Opening(Instant),
    Refused {
        trouble: TokenTrouble,
        at: PinPlace,
        shut_out: bool,
    },
    Open(Arc<Pkcs11Provider>),
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Token {
    /// A token that is not opened yet. `changed` is told whenever it opens or is found otherwise than before.
    pub fn new(id: ProviderId, config: TokenConfig, arena: Arena, changed: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            id,
            arena,
            config: Mutex::new(config),
            state: Mutex::new(State {
                now: Now::Closed,
                nudged: false,
                missing: Vec::new(),
                pin: None,
            }),
            nudge: Condvar::new(),
            changed,
            kept: AtomicBool::new(false),
        })
    }

    /// What the configuration calls it.
    pub const fn id(&self) -> &ProviderId {
        &self.id
    }

    /// How the configuration describes it.
    pub fn config(&self) -> TokenConfig {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on a thread of its own opens it, and looks after it. For a daemon.
    pub fn keep(self: &Arc<Self>) -> std::io::Result<()> {
        self.kept.store(true, Ordering::Relaxed);
        let token = Arc::downgrade(self);
        std::thread::Builder::new()
            .name(format!("token-{}", self.id))
            .spawn(move || keep(&token))
            .map(drop)
    }

    /// Waits until it was tried once, for `limit` at most.
    pub fn wait_until_tried(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        while matches!(state.now, Now::Closed | Now::Opening(_)) {
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return;
            }
            state = self
                .nudge
                .wait_timeout(state, rest)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// The open token. Without a daemon it is opened now, which may take its time.
    ///
    /// # Errors
    /// Why it is not open.
    pub fn provider(&self) -> Result<Arc<Pkcs11Provider>, TokenTrouble> {
        if let Some(open) = self.opened() {
            return Ok(open);
        }
        if !self.kept.load(Ordering::Relaxed) {
            self.open();
        }
        match &self.lock().now {
            Now::Open(provider) => Ok(provider.clone()),
            Now::Refused { trouble, .. } => Err(trouble.clone()),
            Now::Closed => Err(self.not_open("the token was not opened yet".to_owned())),
            Now::Opening(since) => Err(self.opens_since(*since)),
        }
    }

    /// The token where it is open; nothing is tried.
    pub fn opened(&self) -> Option<Arc<Pkcs11Provider>> {
        match &self.lock().now {
            Now::Open(provider) => Some(provider.clone()),
            _ => None,
        }
    }

    /// What is wrong with it now; nothing for a token that works and shows all its keys.
    pub fn trouble(&self) -> Option<TokenTrouble> {
        let state = self.lock();
        let provider = match &state.now {
            Now::Open(provider) => provider,
            Now::Refused { trouble, .. } => return Some(trouble.clone()),
            // Without a daemon nothing is known of a token that no act has needed yet.
            Now::Closed if !self.kept.load(Ordering::Relaxed) => return None,
            Now::Closed => return Some(self.not_open("the token was not opened yet".to_owned())),
            Now::Opening(since) => return Some(self.opens_since(*since)),
        };
        match provider.presence() {
            Presence::Down(why) => return Some(self.not_open(why)),
            Presence::ShutOut(why) => return Some(shut_out(why)),
            Presence::Up => {}
        }
        let load = provider.load();
        if load.hanging > 0 {
            return Some(TokenTrouble {
                code: "provider_unavailable",
                what: format!(
                    "{} of {} sessions are inside C_Sign and have not come back within their deadline",
                    load.hanging, load.sessions
                ),
                advice: "the token hangs: look at it and its network; if it stays so, restart sigward"
                    .to_owned(),
            });
        }
        (!state.missing.is_empty()).then(|| missing(&state.missing))
    }

    /// What is wrong although it signs, and will be trouble when it is next logged in to.
    pub fn warning(&self) -> Option<TokenTrouble> {
        self.opened().filter(|provider| provider.has_few_tries())?;
        Some(TokenTrouble {
            code: "pin_tries_low",
            what: "a wrong PIN was tried on the token, by another program, and few tries are left (C_GetTokenInfo): it signs for as \
                   long as sigward stays logged in, and not after the next restart of either"
                .to_owned(),
            advice: format!(
                "see what else uses the token; before the next restart have the count cleared by a login with the right PIN, by the \
                 maker's tool or by `sigward hsm login --once {}` with sigward stopped",
                self.id
            ),
        })
    }

    /// Whether signatures can be had from it, as last seen. A key that is missing does not count: the others sign.
    pub fn is_up(&self) -> bool {
        self.opened().is_some_and(|provider| {
            let load = provider.load();
            provider.presence() == Presence::Up && load.hanging < load.sessions
        })
    }

    /// How busy it is; nothing of a token that is not open.
    pub fn load(&self) -> Option<Load> {
        self.opened().map(|provider| provider.load())
    }

    /// Who it says it is; nothing of a token that is not open.
    pub fn identity(&self) -> Option<TokenIdentity> {
        self.opened().map(|provider| provider.token().clone())
    }

    /// The keys that are recorded as being in it, whether it is there or not.
    ///
    /// # Errors
    /// What is wrong with the folder of the records.
    pub fn recorded(&self) -> Result<Vec<TokenKey>, sigward_hsm::FileError> {
        recorded_keys(&self.config().folder)
    }

    /// Recorded keys that it does not show, as last seen.
    pub fn missing(&self) -> Vec<TokenKey> {
        self.lock().missing.clone()
    }

    /// Somebody has mended something: it is tried now, even where it was given up. `pin`: where the PIN is from now on.
    pub fn look_again(&self, pin: Option<PinSource>) {
        if let Some(pin) = pin {
            if let Some(open) = self.opened() {
                open.pin_is_at(pin.clone());
            }
            self.config.lock().unwrap_or_else(PoisonError::into_inner).pin = pin;
        }
        self.lock().nudged = true;
        self.nudge.notify_all();
    }

    /// Logs in although few tries are left, or although this PIN was refused before; then it is tried as usual. Takes its time.
    ///
    /// # Errors
    /// As the token answers.
    pub fn log_in_once(&self) -> Result<(TokenIdentity, LoggedIn), ProviderError> {
        let done = log_in_once(&self.config(), &self.arena)?;
        self.look_again(None);
        Ok(done)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn become_(&self, now: Now) {
        let before = std::mem::replace(&mut self.lock().now, now);
        self.nudge.notify_all();
        self.changed.notify_one();
        if let Now::Open(provider) = before {
            close(provider);
        }
    }

    fn open(&self) {
        let config = self.config();
        let at = PinPlace::look(&config.pin);
        self.lock().pin = Some(at.clone());
        self.become_(Now::Opening(Instant::now()));
        let now = match Pkcs11Provider::open(&config, &self.arena) {
            Ok(provider) => {
                let missing = provider.missing_keys().unwrap_or_default();
                self.lock().missing = missing;
                Now::Open(Arc::new(provider))
            }
            Err(error) => Now::Refused {
                at,
                shut_out: matches!(error.code(), "wrong_pin" | "pin_unusable"),
                trouble: self.trouble_of(&error),
            },
        };
        self.become_(now);
    }

    /// One look of the thread; how soon it is to look again.
    fn step(&self, retry: &mut Duration, looked: &mut Instant) -> Duration {
        let nudged = std::mem::take(&mut self.lock().nudged);
        let open = self.opened();
        match open {
            Some(provider) => self.look_after(provider, nudged, looked),
            None => {
                let given_up = match &self.lock().now {
                    Now::Refused { shut_out, at, .. } => *shut_out && at.is_as_it_was(),
                    _ => false,
                };
                if given_up && !nudged {
                    return GLANCE;
                }
                self.open();
                let pause = *retry;
                *retry = if self.opened().is_some() {
                    RETRY.0
                } else {
                    (pause * 2).min(RETRY.1)
                };
                pause
            }
        }
    }

    /// What the module answered ended a look in a panic: it is told, and tried again.
    fn stumbled(&self) -> Duration {
        if self.opened().is_none() {
            self.become_(Now::Refused {
                trouble: TokenTrouble {
                    code: "provider_fault",
                    what: "the module answered what cannot be when the token was opened (a panic; the log has it)".to_owned(),
                    advice: "look for a newer version of the module; it is tried again".to_owned(),
                },
                at: PinPlace::look(&self.config().pin),
                shut_out: false,
            });
        }
        RETRY.1
    }

    fn look_after(&self, provider: Arc<Pkcs11Provider>, nudged: bool, looked: &mut Instant) -> Duration {
        match provider.presence() {
            Presence::ShutOut(_) if nudged || self.has_another_pin() => {
                drop(provider);
                self.become_(Now::Closed);
                return Duration::ZERO;
            }
            Presence::Up if provider.load().hanging == 0 && (nudged || Instant::now() >= *looked) => {
                let found = provider.missing_keys();
                *looked = Instant::now() + if found.is_ok() { LOOK } else { LOOK_LATER };
                if let Ok(missing) = found {
                    self.lock().missing = missing;
                }
            }
            _ => {}
        }
        GLANCE
    }

    /// Whether something else lies in the PIN's place than when the token was opened.
    fn has_another_pin(&self) -> bool {
        self.lock().pin.as_ref().is_some_and(|pin| !pin.is_as_it_was())
    }

    fn trouble_of(&self, error: &ProviderError) -> TokenTrouble {
        let mut what = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(source) = cause {
            what = format!("{what}: {source}");
            cause = source.source();
        }
        let advice = match error.remedy() {
            Some(remedy) => remedy.to_owned(),
            None => self.default_advice(),
        };
        TokenTrouble {
            code: error.code(),
            what,
            advice,
        }
    }

    fn default_advice(&self) -> String {
        format!(
            "see that the token is there and answers: `sigward hsm probe --provider {}`; it is looked for all the time",
            self.id
        )
    }

    fn not_open(&self, what: String) -> TokenTrouble {
        TokenTrouble {
            code: "provider_unavailable",
            what,
            advice: self.default_advice(),
        }
    }

    fn opens_since(&self, since: Instant) -> TokenTrouble {
        if since.elapsed() < OPENS_WITHIN {
            return self.not_open("the token is being opened".to_owned());
        }
        // No seconds: what is said once is not said anew each second. Nothing else is waited for so long: who waits for another's
        // call is told of it.
        TokenTrouble {
            code: "provider_unavailable",
            what: format!(
                "opening the token is inside its module for more than {} s (C_Initialize, C_GetSlotList, C_GetTokenInfo, C_OpenSession or \
                 C_Login has not come back)",
                OPENS_WITHIN.as_secs()
            ),
            advice: "the token hangs: look at it and its network; if it stays so, restart sigward".to_owned(),
        }
    }
}

/// Keys sign through the token's present provider: one that was opened anew signs for the same handles.
impl Sign<Consensus> for Token {
    fn submit(&self, key: &KeyHandle, order: SignOrder<Consensus>, done: Done<Consensus>) {
        match self.opened() {
            Some(provider) => provider.submit(key, order, done),
            None => {
                // The order goes first: its position is free before anybody hears that it was not used.
                drop(order);
                let reason = self
                    .trouble()
                    .map_or_else(|| "the token is being opened".to_owned(), |trouble| trouble.what);
                done(Err(ProviderError::Unavailable { reason }));
            }
        }
    }
}

fn shut_out(why: String) -> TokenTrouble {
    TokenTrouble {
        code: "wrong_pin",
        what: why,
        advice: "put the right PIN in its place and `sigward reload`; or, sure of the PIN, `sigward hsm login --once`"
            .to_owned(),
    }
}

fn missing(keys: &[TokenKey]) -> TokenTrouble {
    let shown: Vec<_> = keys
        .iter()
        .map(|key| format!("{} (CKA_ID {}, token serial {:?})", key.name, key.id, key.serial))
        .collect();
    TokenTrouble {
        code: "token_key_missing",
        what: format!("C_FindObjects does not show the private key of {}", shown.join(", ")),
        advice: "bring the object back from the token's backup; its record and watermark are kept, and it signs again at once"
            .to_owned(),
    }
}

/// Closing a token calls its module, which may never return: that takes a thread of its own, and no lock.
fn close(provider: Arc<Pkcs11Provider>) {
    let closing = move || {
        // Whoever signs with it just now lets go of it first, so as not to be the one who waits for the module.
        while Arc::strong_count(&provider) > 1 {
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(provider);
    };
    // Where no thread is to be had this one waits.
    let _started = std::thread::Builder::new()
        .name("token-close".to_owned())
        .spawn(closing);
}

fn keep(token: &Weak<Token>) {
    let (mut retry, mut looked) = (RETRY.0, Instant::now() + LOOK);
    while let Some(token) = token.upgrade() {
        let step = AssertUnwindSafe(|| token.step(&mut retry, &mut looked));
        let pause = catch_unwind(step).unwrap_or_else(|_| token.stumbled());
        let state = token.lock();
        if !state.nudged {
            let _woken = token.nudge.wait_timeout(state, pause);
        }
    }
}
