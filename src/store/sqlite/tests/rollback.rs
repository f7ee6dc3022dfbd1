//! Every file of the state folder deleted, cut, flipped and replaced by an older copy: refused, or harmless. And what `adopt` makes
//! of it.

use std::collections::BTreeMap;
use std::path::Path;

use super::failure::above;
use super::*;
use crate::store::OpenCode;

/// Far enough that the witness, with its small segments, no longer holds what came before.
const TOP: i64 = 300;
const OLD: i64 = 30;

pub(super) fn copy_folder(from: &Path, to: &Path) {
    make_private(to);
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn make_private(dir: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(dir).unwrap();
}

/// Copies of a state folder: after a clean end and as a crash leaves it, each at an early commit and at the top.
struct Images {
    home: Home,
    on: ChainId,
}

impl Images {
    fn new() -> Self {
        let (home, store) = Home::open();
        let on = chain("one");
        let images = Self { home, on };
        commit(&*store, begin(1, &images.on)).unwrap();
        images.sign(&*store, 1..=OLD);
        images.copy("crash-old");
        store.close();
        images.copy("closed-old");
        let store = SqliteStore::open(&images.home.options).unwrap();
        images.sign(&*store, OLD + 1..=TOP);
        images.copy("crash");
        store.close();
        images.copy("closed");
        images
    }

    fn sign(&self, store: &dyn Store, heights: std::ops::RangeInclusive<i64>) {
        for height in heights {
            sign(store, 1, &self.on, &message(height, 0, 2, 1, 10)).unwrap();
        }
    }

    fn path(&self, image: &str) -> PathBuf {
        self.home.tmp.path().join(image)
    }

    fn copy(&self, image: &str) {
        copy_folder(&self.home.options.dir, &self.path(image));
    }

    fn files(&self, image: &str) -> Vec<String> {
        let names = std::fs::read_dir(self.path(image)).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// A fresh copy of `image`.
    fn play(&self, image: &str) -> Options {
        let dir = self.path("play");
        let _none = std::fs::remove_dir_all(&dir);
        copy_folder(&self.path(image), &dir);
        let mut options = Options::new(dir, Arc::new(Fixed));
        options.allow_volatile = true;
        options
    }

    /// Refused, or nothing that was signed is forgotten. Says which.
    fn outcome(&self, options: &Options, what: &str) -> &'static str {
        let store = match SqliteStore::open(options) {
            Err(refused) => {
                assert!(!refused.remedy.is_empty());
                return refused.code.as_str();
            }
            Ok(store) => store,
        };
        assert_eq!(store.rows().unwrap()[0].row.watermark.height(), TOP, "{what}");
        assert_eq!(
            code(sign(&*store, 1, &self.on, &message(TOP, 0, 2, 2, 10))),
            "double_sign_conflict",
            "{what}"
        );
        "harmless"
    }
}

#[test]
fn whatever_is_done_to_a_file_is_refused_or_harmless() {
    let images = Images::new();
    let mut seen: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
    for image in ["closed", "crash"] {
        assert_eq!(images.outcome(&images.play(image), image), "harmless");
        for file in images.files(image) {
            let whole = std::fs::read(images.path(image).join(&file)).unwrap();
            let mut count = |damage: &str, code| {
                *seen
                    .entry(format!("{image} {file} {damage}"))
                    .or_default()
                    .entry(code)
                    .or_default() += 1
            };
            let older = images.path(&format!("{image}-old")).join(&file);
            let mut damages: Vec<(&str, Option<Vec<u8>>)> = vec![
                ("deleted", None),
                ("emptied", Some(Vec::new())),
                ("halved", Some(whole[..whole.len() / 2].to_vec())),
                (
                    "cut by one",
                    Some(whole[..whole.len().saturating_sub(1)].to_vec()),
                ),
            ];
            if older.exists() {
                damages.push(("older", Some(std::fs::read(older).unwrap())));
            }
            for at in (0..whole.len()).step_by((whole.len() / 150).max(1)) {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << (at % 8);
                damages.push(("flipped", Some(flipped)));
            }
            for (damage, bytes) in damages {
                let options = images.play(image);
                let path = options.dir.join(&file);
                match bytes {
                    None => std::fs::remove_file(path).unwrap(),
                    Some(bytes) => std::fs::write(path, bytes).unwrap(),
                }
                let code = images.outcome(&options, &format!("{image} {file} {damage}"));
                count(damage, code);
            }
        }
    }
    for (what, codes) in &seen {
        println!("{what}: {codes:?}");
    }
    let only =
        |what: &str, code: &str| assert_eq!(seen[what].keys().copied().collect::<Vec<_>>(), [code], "{what}");
    only("closed guard.db deleted", "store_missing");
    only("closed guard.db emptied", "store_empty");
    only("closed guard.db older", "store_behind_witness");
    only("closed guard.witness deleted", "witness_missing");
    only("closed guard.witness emptied", "witness_corrupt");
    only("closed guard.witness halved", "witness_corrupt");
    only("closed guard.witness older", "witness_behind");
    // The witness holds what the log lost.
    only("crash guard.db-wal deleted", "harmless");
    only("crash guard.db-wal emptied", "harmless");
    only("crash guard.db-wal halved", "harmless");
}

#[test]
fn an_older_log_beside_a_closed_database_is_refused() {
    let images = Images::new();
    for log in ["crash-old", "crash"] {
        let options = images.play("closed");
        let stray = images.path(log).join("guard.db-wal");
        std::fs::copy(stray, options.dir.join("guard.db-wal")).unwrap();
        let outcome = images.outcome(&options, log);
        println!("{log}: {outcome}");
        assert_eq!(outcome == "harmless", log == "crash");
    }
}

#[test]
fn a_foreign_witness_is_refused() {
    let images = Images::new();
    let (other, store) = Home::open();
    store.close();
    let options = images.play("closed");
    std::fs::copy(&other.options.witness, &options.witness).unwrap();
    assert_eq!(
        SqliteStore::open(&options).unwrap_err().code,
        OpenCode::WitnessForeign
    );
}

/// Where the newest entries of a witness begin, newest first.
fn newest_entries(witness: &[u8]) -> Vec<usize> {
    let mut entries: Vec<_> = (0..witness.len())
        .step_by(64)
        .filter(|at| witness[*at..].starts_with(b"SGWDWIT\x02"))
        .map(|at| {
            (
                u64::from_be_bytes(witness[at + 28..at + 36].try_into().unwrap()),
                at,
            )
        })
        .collect();
    entries.sort_unstable_by(|a, b| b.cmp(a));
    entries.into_iter().map(|(_, at)| at).collect()
}

#[test]
fn a_torn_last_entry_opens_because_the_tables_hold_it_and_one_before_it_is_damage() {
    let images = Images::new();
    let options = images.play("crash");
    let whole = std::fs::read(&options.witness).unwrap();
    let entries = newest_entries(&whole);
    let mut torn = whole.clone();
    torn[entries[0] + 130] ^= 1;
    std::fs::write(&options.witness, &torn).unwrap();
    assert_eq!(images.outcome(&options, "torn"), "harmless");
    assert_eq!(images.outcome(&options, "again"), "harmless");
    let options = images.play("crash");
    let mut damaged = whole;
    damaged[entries[1] + 130] ^= 1;
    std::fs::write(&options.witness, &damaged).unwrap();
    assert_eq!(images.outcome(&options, "damaged"), "witness_corrupt");
}

#[test]
fn tables_that_lost_what_was_never_synced_are_written_from_the_witness() {
    let images = Images::new();
    let options = images.play("crash");
    // A power cut: nothing of the log had reached the disk.
    std::fs::remove_file(options.dir.join("guard.db-wal")).unwrap();
    assert_eq!(images.outcome(&options, "power cut"), "harmless");
    let store = SqliteStore::open(&options).unwrap();
    let records = store.audit(1, 1000).unwrap();
    assert_eq!(records.len() as i64, TOP + 1, "every record is back");
}

#[test]
fn adopting_an_older_database_closes_it_above_the_given_height() {
    let images = Images::new();
    let options = images.play("closed");
    std::fs::copy(images.path("closed-old").join("guard.db"), options.database()).unwrap();
    assert_eq!(
        SqliteStore::open(&options).unwrap_err().code,
        OpenCode::StoreBehindWitness
    );
    let low = SqliteStore::adopt(&options, &above(OLD - 1), "uid:0").unwrap_err();
    assert_eq!(low.code, OpenCode::AdoptTooLow);
    let other = Above::PerChain(vec![(
        chain("two"),
        sigward_policies::model::id::Height::new(99).unwrap(),
    )]);
    assert_eq!(
        SqliteStore::adopt(&options, &other, "uid:0").unwrap_err().code,
        OpenCode::AdoptTooLow
    );
    let adopted = SqliteStore::adopt(&options, &above(TOP), "uid:0").unwrap();
    assert!(matches!(adopted, Adopted::Closed { rows: 1, .. }));
    let store = SqliteStore::open(&options).unwrap();
    assert_eq!(
        code(sign(&*store, 1, &images.on, &message(TOP, 0, 3, 1, 10))),
        "height_closed"
    );
    sign(&*store, 1, &images.on, &message(TOP + 1, 0, 2, 1, 10)).unwrap();
    let records = store.audit(1, 1000).unwrap();
    let adopted = records
        .iter()
        .find(|record| record.entry.operation == "state.adopt")
        .unwrap();
    assert!(
        adopted.entry.reason.contains("store_behind_witness"),
        "{}",
        adopted.entry.reason
    );
    store.close();
    // The newer database that was thought lost comes back: too late.
    std::fs::copy(images.path("closed").join("guard.db"), options.database()).unwrap();
    assert_eq!(
        SqliteStore::open(&options).unwrap_err().code,
        OpenCode::StoreBehindWitness
    );
}

#[test]
fn adopting_without_a_database_moves_the_rest_aside_and_begins_another_store() {
    let images = Images::new();
    for damage in ["deleted", "emptied", "garbage"] {
        let options = images.play("closed");
        match damage {
            "deleted" => std::fs::remove_file(options.database()).unwrap(),
            "emptied" => std::fs::write(options.database(), []).unwrap(),
            _ => std::fs::write(options.database(), [0x5a; 8192]).unwrap(),
        }
        let Adopted::Replaced { store: id, aside } =
            SqliteStore::adopt(&options, &above(TOP), "uid:0").unwrap()
        else {
            panic!("a new store")
        };
        assert_eq!(aside.join("guard.db").exists(), damage != "deleted");
        let store = SqliteStore::open(&options).unwrap();
        assert_eq!(store.id(), id);
        assert!(store.keys().unwrap().is_empty());
        assert_eq!(store.audit(1, 10).unwrap()[0].entry.operation, "state.adopt");
        assert_eq!(
            code(sign(&*store, 1, &images.on, &message(TOP + 1, 0, 2, 1, 10))),
            "no_sign_state"
        );
    }
}
