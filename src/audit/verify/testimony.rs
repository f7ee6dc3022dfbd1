//! What checkpoints and an anchor say of the chain, before a record is read.

use sigward_policies::decision::Refused;
use sigward_policies::model::algorithm::PublicKey;

use super::{Evidence, Walk, unreadable};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::ledger::{self, CheckpointFile};
use crate::audit::segment::SegmentFolder;

impl Walk<'_> {
    /// Reads the checkpoints of this store and checks them among themselves.
    pub(super) fn take_checkpoints(
        &mut self,
        folder: Option<&SegmentFolder>,
        evidence: &Evidence,
    ) -> Result<(), Refused> {
        let mut key = evidence.key;
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
                        true
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
        self.ahead.clone_from(&local);
        if let Some(path) = &evidence.anchor {
            self.take_anchor(path, key, &local)?;
        }
        self.ahead
            .sort_by_key(|checkpoint| (checkpoint.head.sequence, checkpoint.number));
        Ok(())
    }

    /// What an anchor says counts whether the state folder still has it or not.
    fn take_anchor(
        &mut self,
        path: &std::path::Path,
        key: Option<PublicKey>,
        local: &[Checkpoint],
    ) -> Result<(), Refused> {
        if !path.exists() {
            return Err(unreadable(std::io::Error::other(format!(
                "there is no {}",
                path.display()
            ))));
        }
        let mut anchored: Vec<Checkpoint> = Vec::new();
        CheckpointFile::at(path)
            .each(|read| {
                // Lines of others, and what somebody wrote between them, prove nothing.
                if let Ok(read) = read
                    && read.store == self.store
                    && key.is_none_or(|key| key == read.key)
                {
                    anchored.push(read);
                }
                true
            })
            .map_err(unreadable)?;
        for there in &anchored {
            let here = usize::try_from(there.number.saturating_sub(1))
                .ok()
                .and_then(|at| local.get(at));
            if here != Some(there) {
                let before = local.iter().take_while(|here| here.number < there.number).last();
                let after = before.map_or(0, |before| before.head.sequence);
                self.broken(
                    after.saturating_add(1),
                    format!("has no checkpoint that vouches for it: number {} is in the anchor and not in the state", there.number),
                );
            }
        }
        let highest = anchored
            .iter()
            .map(|there| there.head.sequence)
            .max()
            .unwrap_or(0);
        self.found.anchored = Some((u64::try_from(anchored.len()).unwrap_or(u64::MAX), highest));
        self.ahead
            .extend(anchored.into_iter().filter(|there| !local.contains(there)));
        Ok(())
    }
}
