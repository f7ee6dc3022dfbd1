//! Whether the folder is there: it is made once, where nothing was kept yet, and never in the place of one that is gone. Where a disk
//! is not mounted, a second beginning would overlap the first, and be out of sight with it.

use super::{Checkpoint, KeepError, Keeper, Segment, SegmentFolder, Whose};

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
            let may_be_new =
                known == Place::Unseen && self.store.audit_base()?.sequence == 0 && !self.was_begun()?;
            if !may_be_new {
                return Err(KeepError::Gone(self.folder.path().to_owned()));
            }
            self.in_folder("making the folder", SegmentFolder::ensure)?;
        } else if known == Place::There {
            self.place = Place::There;
            return self.goes_on_here();
        } else {
            self.last = self.last_checkpoint()?;
        }
        let set = self.mark.set(&self.store.id());
        set.map_err(|cause| self.failed_mark("remembering the audit folder", cause))?;
        self.place = Place::There;
        Ok(())
    }

    fn was_begun(&self) -> Result<bool, KeepError> {
        let found = self.mark.is_of(&self.store.id());
        found.map_err(|cause| self.failed_mark("looking whether the audit folder was made", cause))
    }

    fn failed_mark(&self, doing: &'static str, cause: std::io::Error) -> KeepError {
        KeepError::Folder {
            doing,
            folder: self.mark.path().to_owned(),
            cause,
        }
    }

    /// The file of checkpoints still ends with the last one of this process, or with the one after it, which was written and could not be
    /// synced. Any other is of another folder: what is written behind it would fit nothing.
    fn goes_on_here(&mut self) -> Result<(), KeepError> {
        let key = self.last.as_ref().map(|last| last.key).or(self.key);
        let whose = Whose { key, ..self.whose() };
        let failed = |cause| self.failed("reading checkpoints", cause);
        if let Some(last) = &self.last
            && self.checkpoints.ends_with(last).map_err(failed)?
        {
            return Ok(());
        }
        let there = self.checkpoints.last_of(&whose).map_err(failed)?;
        let last = self.last.as_ref();
        match there {
            there if there.as_ref() == last => Ok(()),
            Some(next) if next.follows(last) => {
                self.last = Some(next);
                Ok(())
            }
            there => Err(KeepError::Exchanged {
                file: self.checkpoints.path().to_owned(),
                there: name(there.as_ref()),
                last: name(last),
            }),
        }
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

fn name(checkpoint: Option<&Checkpoint>) -> String {
    checkpoint.map_or_else(
        || "none".to_owned(),
        |made| format!("checkpoint {} over record {}", made.number, made.head.sequence),
    )
}
