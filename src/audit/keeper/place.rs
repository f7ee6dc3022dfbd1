//! Whether the folder is there: it is made once, where nothing was kept yet, and never in the place of one that is gone. Where a disk
//! is not mounted, a second beginning would overlap the first, and be out of sight with it.

use super::{KeepError, Keeper, Segment, SegmentFolder};

/// What the keeper knows of its folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// Nothing was looked for yet.
    Unseen,
    /// It was there when it was last needed.
    There,
    /// It was not, and what it holds may be other than what is remembered.
    Gone,
}

impl Keeper {
    /// Finds the folder before anything is written to it, or makes it where nothing can have been kept.
    pub(super) fn find_folder(&mut self) -> Result<(), KeepError> {
        let known = self.place;
        if known == Place::There {
            self.place = Place::Gone;
        }
        let there = self.in_folder("looking for the folder", |folder| folder.path().try_exists())?;
        if !there {
            let may_be_new = known == Place::Unseen && self.store.audit_base()?.sequence == 0;
            if !may_be_new {
                return Err(KeepError::Gone(self.folder.path().to_owned()));
            }
            self.in_folder("making the folder", SegmentFolder::ensure)?;
        } else if known != Place::There {
            self.last = self.last_checkpoint()?;
        }
        self.place = Place::There;
        Ok(())
    }

    /// The segments there are. None before the folder is first needed; later, a folder that is gone is an error, not an empty one.
    pub(super) fn segments(&self) -> Result<Vec<Segment>, KeepError> {
        let there = match self.place {
            Place::Unseen => SegmentFolder::list,
            Place::There | Place::Gone => SegmentFolder::list_there,
        };
        self.in_folder("listing", there)
    }
}
