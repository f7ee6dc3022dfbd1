//! Making way for a store that was adopted: checkpoints and segments that know of more records than it has are evidence of what was
//! lost, and no part of its chain any more. They are kept, in a folder of their own.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use sigward_policies::model::id::StoreId;

use super::ledger::{CheckpointFile, FILE, Whose};
use super::segment::SegmentFolder;

/// Moves what speaks of records beyond `records` from the folder of `store` into `aside-STAMP` below it. Nothing is deleted; whatever is
/// cut off is finished by the next call.
pub fn set_aside(audit: &Path, store: &StoreId, records: u64, stamp: i64) -> io::Result<()> {
    let folder = SegmentFolder::of(audit, store);
    let checkpoints = CheckpointFile::at(folder.path().join(FILE));
    let beyond = checkpoints
        .last_of(&Whose::any_of(*store))?
        .is_some_and(|last| last.head.sequence > records);
    let mut paths: Vec<_> = folder
        .list()?
        .into_iter()
        .filter(|segment| segment.last > records)
        .map(|segment| segment.path)
        .collect();
    paths.extend(beyond.then(|| checkpoints.path().to_owned()));
    if paths.is_empty() {
        return Ok(());
    }
    let aside = folder.path().join(format!("aside-{stamp}"));
    DirBuilder::new().recursive(true).mode(0o700).create(&aside)?;
    for path in paths {
        if let Some(name) = path.file_name() {
            std::fs::rename(&path, aside.join(name))?;
        }
    }
    File::open(&aside)?.sync_all()?;
    File::open(folder.path())?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::audit::testing::{STORE, Signer};
    use crate::store::AuditHead;

    #[test]
    fn what_knows_of_more_records_goes_aside_and_the_rest_stays() {
        let tmp = tempfile::tempdir().unwrap();
        let folder = SegmentFolder::of(tmp.path(), &STORE);
        set_aside(tmp.path(), &STORE, 0, 1).unwrap();
        folder.ensure().unwrap();
        let name = |first: u64, last: u64| format!("segment-{first:020}-{last:020}.sgwa");
        for (first, last) in [(1, 10), (11, 20)] {
            std::fs::write(folder.path().join(name(first, last)), "x").unwrap();
        }
        let head = AuditHead {
            sequence: 15,
            hash: [9; 32],
        };
        let checkpoints = CheckpointFile::at(folder.path().join(FILE));
        checkpoints.append(&Signer::new().sign(None, head, 1)).unwrap();
        set_aside(tmp.path(), &STORE, 20, 2).unwrap();
        assert_eq!(folder.list().unwrap().len(), 2, "nothing is beyond it");
        set_aside(tmp.path(), &STORE, 14, 3).unwrap();
        let left: Vec<_> = folder
            .list()
            .unwrap()
            .iter()
            .map(|segment| segment.last)
            .collect();
        assert_eq!(left, [10]);
        assert!(!checkpoints.path().exists());
        let aside = folder.path().join("aside-3");
        assert!(aside.join(FILE).exists() && aside.join(name(11, 20)).exists());
    }
}
