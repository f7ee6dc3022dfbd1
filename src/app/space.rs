//! Once a second: is there room for what sigward must write? Readiness fails while signing still works, and an alarm says so once.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::store::reserve;
use crate::store::space::{Room, Space, SpaceLimits};
use crate::telemetry::readiness::{Check, Readiness, Weight};

const ADVICE: &str =
    "make room on the disk of the state; in a hurry, delete the file `reserve` in the state folder";

/// The readiness check called `space`.
pub(super) struct SpaceCheck {
    check: Check,
    state: PathBuf,
    witness: PathBuf,
    limits: SpaceLimits,
    /// What was told last.
    told: Mutex<Told>,
}

#[derive(Clone, Copy)]
struct Told {
    room: Option<Room>,
    reserve_failed: bool,
}

impl SpaceCheck {
    /// Watches the file systems of the state folder and of the witness.
    pub(super) fn new(readiness: &Readiness, config: &crate::config::StoreConfig) -> Self {
        let witness = config.witness.parent().unwrap_or(&config.dir).to_owned();
        Self {
            check: readiness.check("space", Weight::Required, ADVICE),
            state: config.dir.clone(),
            witness,
            limits: super::parts::space_limits(config),
            told: Mutex::new(Told {
                room: None,
                reserve_failed: false,
            }),
        }
    }

    /// Looks, tells readiness, raises an alarm at each step down, and keeps the reserve.
    pub(super) fn tick(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut worst: Option<(Room, String)> = None;
        for folder in [&self.state, &self.witness] {
            let (room, what) = match Space::of(folder) {
                Ok(space) => (space.room(self.limits, 0), space.to_string()),
                // Unknown is not ready; whether it can be written to is for the store to find out.
                Err(error) => (Room::Low, error.to_string()),
            };
            if worst.as_ref().is_none_or(|(known, _)| room < *known) {
                worst = Some((room, format!("{}: {what}", folder.display())));
            }
        }
        let Some((room, what)) = worst else { return };
        match meaning(room) {
            None => self.check.good(),
            Some(meaning) => self.check.fail(format!("{what}; {meaning}")),
        }
        if told.room != Some(room) {
            match (meaning(room), told.room) {
                (Some(meaning), last) if last.is_none_or(|last| room < last) => {
                    tracing::error!(alarm = true, "{what}; {meaning}. {ADVICE}");
                }
                (Some(meaning), _) => tracing::warn!("{what}; {meaning}"),
                (None, Some(_)) => tracing::info!("{what}: enough again"),
                (None, None) => {}
            }
            told.room = Some(room);
        }
        match reserve::keep(&self.state, self.limits) {
            Ok(_) => told.reserve_failed = false,
            Err(error) if !told.reserve_failed => {
                told.reserve_failed = true;
                tracing::warn!("no reserve of space in {}: {error}", self.state.display());
            }
            Err(_) => {}
        }
    }
}

/// What lack of room means for signing, in words; None while there is none.
const fn meaning(room: Room) -> Option<&'static str> {
    match room {
        Room::Plenty => None,
        Room::Low => Some("low, and still signing"),
        Room::Tight => Some("too little: signatures are refused (disk_full), acts of operators are not"),
        Room::Full => Some("full: everything is refused (disk_full)"),
    }
}
