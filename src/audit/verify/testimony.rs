//! What checkpoints and an anchor say of the chain, before a record is read.

use sigward_policies::decision::Refused;
use sigward_policies::model::algorithm::PublicKey;

use super::{Walk, unreadable};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::ledger::{self, CheckpointFile, Named};
use crate::audit::segment::SegmentFolder;

/// Of those that the state does not have, what is kept: the chain is broken with the first.
const ONLY_THERE: usize = 64;

impl Walk<'_> {
    /// Reads the checkpoints of this store and checks them among themselves.
    pub(super) fn take_checkpoints(
        &mut self,
        folder: Option<&SegmentFolder>,
        mut key: Option<PublicKey>,
        anchor: Option<Named>,
    ) -> Result<(), Refused> {
        let mut last: Option<Checkpoint> = None;
        let mut local = Vec::new();
        if let Some(folder) = folder {
            let file = CheckpointFile::at(folder.path().join(ledger::FILE));
            file.each(|read| {
                let vouched = last.as_ref().map_or(0, |last| last.head.sequence);
                let wrong = match &read {
                    Err(bad) => Some(bad.to_string()),
                    Ok(read) if read.store != self.store => Some("it is of another store".to_owned()),
                    Ok(read) if *key.get_or_insert(read.key) != read.key => {
                        Some(format!("checkpoint {} is signed with another key", read.number))
                    }
                    Ok(read) if !read.follows(last.as_ref()) => Some(format!(
                        "checkpoint {} is not the one after the last",
                        read.number
                    )),
                    Ok(_) => None,
                };
                match (wrong, read) {
                    (None, Ok(read)) => {
                        last = Some(read.clone());
                        local.push(read);
                        self.ask()
                    }
                    (wrong, _) => {
                        let wrong = wrong.unwrap_or_default();
                        self.broken(
                            vouched.saturating_add(1),
                            format!(
                                "has no checkpoint that vouches for it: {}: {wrong}",
                                file.path().display()
                            ),
                        );
                        false
                    }
                }
            })
            .map_err(unreadable)?;
        }
        self.any_checkpoint = !local.is_empty();
        self.ahead.clone_from(&local);
        if let Some(anchor) = anchor {
            self.take_anchor(anchor, key, &local)?;
        }
        self.ahead
            .sort_by_key(|checkpoint| (checkpoint.head.sequence, checkpoint.number));
        Ok(())
    }

    /// What an anchor says counts whether the state folder still has it or not. Of what is the same in both, nothing is kept.
    fn take_anchor(
        &mut self,
        anchor: Named,
        key: Option<PublicKey>,
        local: &[Checkpoint],
    ) -> Result<(), Refused> {
        let (mut count, mut highest) = (0_u64, 0);
        let mut only_there: Vec<Checkpoint> = Vec::new();
        let each = |read: Option<Checkpoint>| {
            // Lines of others, and what somebody wrote between them, prove nothing.
            if let Some(there) = read
                && there.store == self.store
                && key.is_none_or(|key| key == there.key)
            {
                count = count.saturating_add(1);
                highest = there.head.sequence.max(highest);
                let here = usize::try_from(there.number.saturating_sub(1))
                    .ok()
                    .and_then(|at| local.get(at));
                if here != Some(&there) {
                    self.only_in_anchor(&there, local);
                    if only_there.len() < ONLY_THERE {
                        only_there.push(there);
                    }
                }
            }
            self.ask()
        };
        anchor.each(each).map_err(unreadable)?;
        self.found.anchored = Some((count, highest));
        self.ahead
            .extend(only_there.into_iter().filter(|there| !local.contains(there)));
        Ok(())
    }

    fn only_in_anchor(&mut self, there: &Checkpoint, local: &[Checkpoint]) {
        let before = local.partition_point(|here| here.number < there.number);
        let before = before.checked_sub(1).and_then(|at| local.get(at));
        let after = before.map_or(0, |before| before.head.sequence);
        let what = format!(
            "has no checkpoint that vouches for it: number {} is in the anchor and not in the state",
            there.number
        );
        self.broken(after.saturating_add(1), what);
    }
}
