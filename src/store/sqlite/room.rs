//! The look at the disk before a commit: what may be written, and whether to fold the log early.
//!
//! *Invariant:* what is refused here was never tried: its outcome is known, and the store goes on when there is room again.

use std::path::PathBuf;

use sigward_policies::decision::{Failure, FailureCode, Refused};

use super::super::Batch;
use super::super::space::{Room, Space, SpaceLimits};
use super::super::witness::folder_of;
use super::Options;

/// Where a store writes.
pub(super) struct Watch {
    folders: Vec<PathBuf>,
    limits: SpaceLimits,
}

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    room: Room,
    dear: bool,
    worst: Option<Space>,
}

impl Watch {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            folders: vec![options.dir.clone(), folder_of(&options.witness).to_owned()],
            limits: options.space,
        }
    }

    /// Looks at the file systems of store and witness, `batches` being about to be written. One that does not answer forbids
    /// nothing here: writing to it will say what is wrong with it.
    pub(super) fn look(&self, batches: usize) -> Look {
        let mut look = Look {
            room: Room::Plenty,
            dear: false,
            worst: None,
        };
        for space in self.folders.iter().filter_map(|folder| Space::of(folder).ok()) {
            let room = space.room(self.limits, batches);
            look.dear |= space.is_dear(self.limits);
            if room < look.room || look.worst.is_none() {
                look.room = look.room.min(room);
                look.worst = Some(space);
            }
        }
        look
    }
}

impl Look {
    /// Whether what stands in the log should go into the tables now, and can.
    pub(super) fn asks_to_fold(self) -> bool {
        self.dear && self.room >= Room::Low
    }

    /// Whether `batch` may be written. An operator's acts are small and may be the way out: they may take from the reserve.
    pub(super) fn allows(self, batch: &Batch) -> Result<(), Refused> {
        let least = if batch.changes.is_empty() {
            Room::Low
        } else {
            Room::Tight
        };
        if self.room >= least {
            return Ok(());
        }
        let free = self.worst.map_or_else(String::new, |space| format!(": {space}"));
        Err(Failure::new(
            FailureCode::DiskFull,
            format!("too little space to record this{free}; make room, and signing goes on"),
        )
        .into())
    }
}
