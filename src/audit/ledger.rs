//! A file of checkpoints, one a line: the one in the state folder, and anchors elsewhere.
//!
//! *Invariants:* lines are appended whole and synced; a last line without its end is what a crash left of one and is cut off before the
//! next is written; reading takes the memory of one line at a time, whatever the file holds, and can be ended inside of any line.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom, Take, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::checkpoint::{Checkpoint, CheckpointError, MAX_LINE};
use crate::crash::crash_point;
use sigward_policies::decision::Refusal;

mod named;
mod whose;

pub use whose::Whose;

/// Name of the file beside the segments.
pub const FILE: &str = "checkpoints";

/// Where the last one is looked for before the whole file is read.
const LAST_LINES: usize = 16;

/// A file of checkpoints that somebody named: open, and with an end.
#[derive(Debug)]
pub(super) struct Named(BufReader<Take<File>>);

impl Named {
    /// Opens it; what is appended from now on is not read.
    pub(super) fn open(path: &Path) -> Result<Self, Refusal> {
        named::open(path).map(Self)
    }

    /// Gives every checkpoint to `each`, and for every other line, and every part of one that is too long, nothing. `each` says
    /// whether to go on.
    pub(super) fn each(self, mut each: impl FnMut(Option<Checkpoint>) -> bool) -> io::Result<()> {
        read_lines(self.0, |line| {
            each(line.and_then(|(_, text)| Checkpoint::parse(text).ok()))
        })
    }
}

/// A file of checkpoints.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckpointFile(PathBuf);

/// A line that is none of a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {cause}")]
pub struct BadLine {
    /// Which, from 1.
    pub line: u64,
    /// Why.
    pub cause: CheckpointError,
}

impl CheckpointFile {
    /// The file at `path`, whether it is there or not.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Gives every whole line to `each`, in order: a checkpoint with a signature that verifies, or what is wrong. `each` says
    /// whether to go on.
    pub fn each(&self, mut each: impl FnMut(Result<Checkpoint, BadLine>) -> bool) -> io::Result<()> {
        self.each_line(|line, text| each(Checkpoint::parse(text).map_err(|cause| BadLine { line, cause })))
    }

    fn each_line(&self, mut each: impl FnMut(u64, &str) -> bool) -> io::Result<()> {
        let file = match File::open(&self.0) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => BufReader::new(file?),
        };
        read_lines(file, |line| line.is_none_or(|(line, text)| each(line, text)))
    }

    /// The last checkpoints, at most so many, in order; looked for at the end of the file. Lines of others are passed over.
    pub fn tail(&self, most: usize) -> io::Result<Vec<Checkpoint>> {
        let mut file = match File::open(&self.0) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file?,
        };
        let length = file.seek(SeekFrom::End(0))?;
        let span = u64::try_from(most.saturating_mul(MAX_LINE)).unwrap_or(u64::MAX);
        file.seek(SeekFrom::Start(length.saturating_sub(span)))?;
        let mut end = Vec::new();
        file.take(span).read_to_end(&mut end)?;
        // What stands before the first end of a line may be the rest of one, and does not parse then.
        let whole = end.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        let lines = end.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n');
        let mut found: Vec<Checkpoint> = lines
            .filter_map(|line| Checkpoint::parse(std::str::from_utf8(line).ok()?).ok())
            .collect();
        Ok(found.split_off(found.len().saturating_sub(most)))
    }

    /// The last of them among the last lines. Whoever may append can hide it there behind older ones: for those who know what it must be.
    pub fn recent_of(&self, whose: &Whose) -> io::Result<Option<Checkpoint>> {
        let recent = self.tail(LAST_LINES)?.into_iter();
        Ok(recent
            .filter(|made| whose.wrote(made))
            .max_by_key(|made| made.number))
    }

    /// The last of them in the whole file, wherever it stands; lines of others are passed over.
    pub fn last_of(&self, whose: &Whose) -> io::Result<Option<Checkpoint>> {
        let Some(whose) = self.settled(whose)? else {
            return Ok(None);
        };
        let mut last = self.recent_of(&whose)?;
        self.each_line(|_, text| {
            let after = last.as_ref().map_or(0, |last| last.number);
            let newer = |made: &Checkpoint| made.number > after && whose.wrote(made);
            if let Some(made) = Checkpoint::parse_if(text, newer) {
                last = Some(made);
            }
            true
        })?;
        Ok(last)
    }

    /// Whether this very checkpoint is its last line.
    pub fn ends_with(&self, made: &Checkpoint) -> io::Result<bool> {
        let mut file = match File::open(&self.0) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        let line = format!("{}\n", made.line());
        let length = file.seek(SeekFrom::End(0))?;
        let Some(from) = u64::try_from(line.len())
            .ok()
            .and_then(|line| length.checked_sub(line))
        else {
            return Ok(false);
        };
        file.seek(SeekFrom::Start(from))?;
        let mut end = Vec::with_capacity(line.len());
        file.take(length.saturating_sub(from)).read_to_end(&mut end)?;
        Ok(end == line.as_bytes())
    }

    /// Whether it holds this very checkpoint.
    pub fn holds(&self, made: &Checkpoint) -> io::Result<bool> {
        if self.tail(LAST_LINES)?.contains(made) {
            return Ok(true);
        }
        let line = made.line();
        let mut found = false;
        self.each_line(|_, text| {
            found = text == line;
            !found
        })?;
        Ok(found)
    }

    /// With the key that is believed here: where none is known, that of the first line of the store. `None` where there is no such line.
    pub fn settled(&self, whose: &Whose) -> io::Result<Option<Whose>> {
        if whose.key.is_some() {
            return Ok(Some(*whose));
        }
        let mut found = None;
        self.each_line(|_, text| {
            found = Checkpoint::parse_if(text, |made| whose.wrote(made));
            found.is_none()
        })?;
        Ok(found.map(|first| Whose {
            key: Some(first.key),
            ..*whose
        }))
    }

    /// Appends a checkpoint; durable when it returns.
    pub fn append(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.0)?;
        let length = file.seek(SeekFrom::End(0))?;
        let whole = whole_lines(&mut file, length)?;
        if whole < length {
            file.set_len(whole)?;
        }
        file.write_all(format!("{}\n", checkpoint.line()).as_bytes())?;
        crash_point!("audit_checkpoint_written");
        file.sync_all()?;
        if length == 0
            && let Some(folder) = self.0.parent()
        {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

/// How many bytes of the file are whole lines.
fn whole_lines(file: &mut File, length: u64) -> io::Result<u64> {
    let most = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
    let from = length.saturating_sub(most);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(most).read_to_end(&mut tail)?;
    let after = tail
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map(|at| at.saturating_add(1));
    match after {
        Some(after) => Ok(from.saturating_add(u64::try_from(after).unwrap_or(0))),
        None if from == 0 => Ok(0),
        // No line of ours is that long: somebody else's file.
        None => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "is no file of checkpoints",
        )),
    }
}

/// Gives every whole line and which it is to `each`, and nothing for every further part of one that is too long; `each` says whether to
/// go on. What is no text is given as none.
fn read_lines(mut file: impl BufRead, mut each: impl FnMut(Option<(u64, &str)>) -> bool) -> io::Result<()> {
    let most = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
    let (mut line, mut is_inside) = (1, false);
    loop {
        let mut bytes = Vec::new();
        (&mut file).take(most).read_until(b'\n', &mut bytes)?;
        let is_whole = bytes.pop_if(|last| *last == b'\n').is_some();
        if !is_whole && bytes.len() < MAX_LINE {
            // The end, or a line that a crash cut off.
            return Ok(());
        }
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        if !each((!is_inside).then_some((line, text))) {
            return Ok(());
        }
        is_inside = !is_whole;
        line += u64::from(is_whole);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::audit::testing::{STORE, Signer};
    use crate::store::AuditHead;
    use sigward_policies::model::id::StoreId;

    fn lines(file: &CheckpointFile) -> Vec<Result<u64, u64>> {
        let mut seen = Vec::new();
        file.each(|read| {
            seen.push(read.map(|good| good.number).map_err(|bad| bad.line));
            true
        })
        .unwrap();
        seen
    }

    #[test]
    fn a_line_that_a_crash_cut_off_gives_way_to_the_next_and_strangers_are_passed_over() {
        let tmp = tempfile::tempdir().unwrap();
        let file = CheckpointFile::at(tmp.path().join(FILE));
        let ours = Whose::any_of(STORE);
        assert_eq!(file.last_of(&ours).unwrap(), None);
        let signer = Signer::new();
        let head = AuditHead::genesis(&STORE);
        let first = signer.sign(None, head, 1);
        let second = signer.sign(Some(&first), head, 2);
        file.append(&first).unwrap();
        for cut in [0, 5, 300] {
            let line = second.line();
            let before = std::fs::read_to_string(file.path()).unwrap();
            std::fs::write(file.path(), format!("{before}{}", &line[..cut])).unwrap();
            assert_eq!(lines(&file), [Ok(1)]);
        }
        file.append(&second).unwrap();
        assert_eq!(lines(&file), [Ok(1), Ok(2)]);
        assert_eq!(file.last_of(&ours).unwrap(), Some(second));
        assert_eq!(file.last_of(&Whose::any_of(StoreId([8; 16]))).unwrap(), None);

        let text = std::fs::read_to_string(file.path()).unwrap();
        let long = "x".repeat(5000);
        std::fs::write(file.path(), format!("hello\n{long}\n{text}")).unwrap();
        assert_eq!(lines(&file), [Err(1), Err(2), Ok(1), Ok(2)]);
        std::fs::write(file.path(), long).unwrap();
        file.append(&first).unwrap_err();
    }

    #[test]
    fn the_last_is_found_behind_what_others_append_and_behind_older_ones_that_are_appended_again() {
        let tmp = tempfile::tempdir().unwrap();
        let file = CheckpointFile::at(tmp.path().join(FILE));
        let (signer, other) = (Signer::new(), Signer::new());
        let mut made: Vec<Checkpoint> = Vec::new();
        for sequence in 1..=3 {
            let head = AuditHead {
                sequence,
                hash: [9; 32],
            };
            let next = signer.sign(made.last(), head, 1);
            file.append(&next).unwrap();
            made.push(next);
        }
        let ours = Whose {
            store: STORE,
            key: Some(*signer.key.public_key()),
        };
        let beyond = AuditHead {
            sequence: 99,
            hash: [9; 32],
        };
        for foreign in [other.sign(made.last(), beyond, 1), made[0].clone()] {
            for _ in 0..=LAST_LINES {
                file.append(&foreign).unwrap();
            }
            for whose in [ours, Whose::any_of(STORE)] {
                assert_eq!(file.last_of(&whose).unwrap().as_ref(), made.last());
            }
        }
        // Another's line that says ours is as good as none.
        let forged = other.sign(made.last(), beyond, 1).line();
        let key = |signer: &Signer| hex::encode(signer.key.public_key().as_bytes());
        let text = std::fs::read_to_string(file.path()).unwrap();
        let forged = forged.replace(&key(&other), &key(&signer));
        std::fs::write(file.path(), format!("{text}{forged}\n")).unwrap();
        assert_eq!(file.last_of(&ours).unwrap().as_ref(), made.last());
        let others = Whose {
            key: Some(*other.key.public_key()),
            ..ours
        };
        assert_eq!(file.last_of(&others).unwrap().unwrap().number, 4);
    }
}
