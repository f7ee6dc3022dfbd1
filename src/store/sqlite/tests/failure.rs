//! Failures on the way to the disk: unknown outcomes fail everybody and everything after, until a restart has compared.

use std::fs::File;

use super::super::books::Books;
use super::super::connection;
use super::*;
use crate::store::OpenCode;
use crate::store::lock::Lock;
use crate::store::space::SpaceLimits;
use crate::store::witness::Witness;

/// The store is failed, says why and what to do, and nothing goes any more.
fn assert_failed(store: &SqliteStore) {
    let why = store.health().failed.unwrap();
    assert!(why.contains("restart"), "{why}");
    assert_eq!(
        code(commit(store, Batch::record(vec![act()]))),
        "store_unavailable"
    );
    assert_eq!(code(store.rows()), "store_unavailable");
    assert_eq!(code(store.audit(1, 1)), "store_unavailable");
}

/// Signs upwards until the store fails; gives back the last height that was signed.
fn sign_until_failure(store: &SqliteStore, on: &ChainId) -> i64 {
    let failed = (1..5000).find(|height| {
        let outcome = sign(store, 1, on, &message(*height, 0, 2, 1, 10));
        if let Err(refused) = &outcome {
            assert_eq!(refused.code(), "store_unavailable", "{refused}");
        }
        outcome.is_err()
    });
    failed.unwrap() - 1
}

fn assert_remembers(store: &SqliteStore, on: &ChainId, height: i64) {
    assert!(store.rows().unwrap()[0].row.watermark.height() >= height);
    // The commit that failed may be there or not: nobody heard of it.
    let refused = code(sign(store, 1, on, &message(height, 0, 2, 2, 10)));
    assert!(
        ["double_sign_conflict", "height_regression"].contains(&refused),
        "{refused}"
    );
    sign(store, 1, on, &message(height + 10, 0, 2, 1, 10)).unwrap();
}

#[test]
fn a_full_database_fails_everything_until_a_restart() {
    let (home, store) = Home::open();
    let on = chain("one");
    commit(&*store, begin(1, &on)).unwrap();
    store
        .ask(|writer| {
            let pages: i64 = writer
                .connection()
                .pragma_query_value(None, "page_count", |row| row.get(0))
                .unwrap();
            writer
                .connection()
                .pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0))
                .unwrap();
            let set = format!("PRAGMA max_page_count = {}", pages + 2);
            writer.connection().query_row(&set, [], |_| Ok(())).unwrap();
            Ok(())
        })
        .unwrap();
    let height = sign_until_failure(&store, &on);
    assert!(height > 1);
    assert_failed(&store);
    store.close();
    assert_remembers(&SqliteStore::open(&home.options).unwrap(), &on, height);
}

#[test]
fn a_full_disk_fails_everything_until_a_restart() {
    let mut home = Home::new();
    let disk = home.tmp.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = |arguments: &[&str]| {
        std::process::Command::new("mount")
            .args(arguments)
            .arg(&disk)
            .output()
            .is_ok_and(|done| done.status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=512k,mode=0700", "tmpfs"]) {
        eprintln!("no right to mount: skipped");
        return;
    }
    home.options.dir = disk.join("state");
    // What is refused before anything is written is another matter.
    home.options.space = SpaceLimits { low: 0, reserve: 0 };
    home.options.witness = home.options.dir.join("guard.witness");
    let on = chain("one");
    SqliteStore::create(&home.options).unwrap();
    let store = SqliteStore::open(&home.options).unwrap();
    commit(&*store, begin(1, &on)).unwrap();
    let height = sign_until_failure(&store, &on);
    assert_failed(&store);
    store.close();
    assert!(mount(&["-o", "remount,size=8m"]));
    let store = SqliteStore::open(&home.options).unwrap();
    assert_remembers(&store, &on, height);
    store.close();
    let unmounted = std::process::Command::new("umount").arg(&disk).status().unwrap();
    assert!(unmounted.success());
}

#[test]
fn a_witness_that_cannot_be_written_releases_nothing_and_the_position_stays_free() {
    let (home, store) = Home::open();
    let on = chain("one");
    commit(&*store, begin(1, &on)).unwrap();
    store.close();
    let lock = Lock::take(&home.options.lock()).unwrap();
    let books = Books::read(&home.options.database()).unwrap();
    let witness = Witness::broken(File::open(&home.options.witness).unwrap());
    let store = SqliteStore::start(Writer::new(books, witness, lock, &home.options)).unwrap();
    assert_eq!(
        code(sign(&*store, 1, &on, &message(5, 0, 2, 1, 10))),
        "store_unavailable"
    );
    assert_failed(&store);
    store.close();
    let store = SqliteStore::open(&home.options).unwrap();
    assert_eq!(store.health().failed, None);
    sign(&*store, 1, &on, &message(5, 0, 2, 2, 10)).unwrap();
}

#[test]
fn a_panic_on_the_writer_thread_tells_everybody() {
    struct Broken;
    impl Clock for Broken {
        fn unix_micros(&self) -> i64 {
            panic!("a clock that panics, for a test")
        }
    }
    let home = Home::new();
    SqliteStore::create(&home.options).unwrap();
    let options = Options {
        clock: Arc::new(Broken),
        ..home.options.clone()
    };
    let store = SqliteStore::open(&options).unwrap();
    assert_eq!(
        code(commit(&*store, Batch::record(vec![act()]))),
        "store_unavailable"
    );
    assert_failed(&store);
}

#[test]
fn a_waiter_that_panics_harms_nobody_else() {
    let (_home, store) = Home::open();
    store.commit(
        Batch::record(vec![act()]),
        Box::new(|_| panic!("a waiter that panics, for a test")),
    );
    commit(&*store, Batch::record(vec![act()])).unwrap();
    assert_eq!(store.health().audit_records, 2);
}

#[test]
fn two_on_one_folder_or_on_one_witness_are_refused() {
    let (home, store) = Home::open();
    let refused = |options: &Options| SqliteStore::open(options).unwrap_err().code;
    assert_eq!(refused(&home.options), OpenCode::StoreLocked);
    assert_eq!(
        SqliteStore::adopt(&home.options, &above(9), "uid:0")
            .unwrap_err()
            .code,
        OpenCode::StoreLocked
    );
    // Lock file removed: SQLite's own lock, and that of the witness, still hold.
    std::fs::remove_file(home.options.lock()).unwrap();
    assert_eq!(refused(&home.options), OpenCode::StoreLocked);
    let copied = Options {
        dir: home.tmp.path().join("copy"),
        ..home.options.clone()
    };
    rollback::copy_folder(&home.options.dir, &copied.dir);
    assert_eq!(refused(&copied), OpenCode::StoreLocked);
    store.close();
    SqliteStore::open(&home.options).unwrap();
}

fn remove_database(options: &Options) {
    let database = options.database();
    std::fs::remove_file(&database).unwrap();
    for companion in Options::companions(&database) {
        let _none = std::fs::remove_file(companion);
    }
}

pub(super) fn above(height: i64) -> Above {
    Above::Everywhere(sigward_policies::model::id::Height::new(height).unwrap())
}

#[test]
fn a_newer_layout_and_a_missing_folder_are_refused_and_create_overwrites_nothing() {
    let (home, store) = Home::open();
    store.close();
    assert_eq!(
        SqliteStore::create(&home.options).unwrap_err().code,
        OpenCode::StoreExists
    );
    let raw = connection::open(&home.options.database()).unwrap();
    raw.execute("UPDATE schema_version SET version = 9", []).unwrap();
    super::super::create::checkpoint(&raw).unwrap();
    drop(raw);
    assert_eq!(
        SqliteStore::open(&home.options).unwrap_err().code,
        OpenCode::StoreNewer
    );
    assert_eq!(
        SqliteStore::adopt(&home.options, &above(9), "uid:0")
            .unwrap_err()
            .code,
        OpenCode::StoreNewer
    );
    let nowhere = Options {
        dir: home.tmp.path().join("nowhere"),
        ..home.options.clone()
    };
    assert_eq!(
        SqliteStore::open(&nowhere).unwrap_err().code,
        OpenCode::StoreMissing
    );
    remove_database(&home.options);
    // The witness of this store saw no commit but its making: as if create had been cut off.
    SqliteStore::create(&home.options).unwrap();
    let store = SqliteStore::open(&home.options).unwrap();
    commit(&*store, Batch::record(vec![act()])).unwrap();
    store.close();
    remove_database(&home.options);
    assert_eq!(
        SqliteStore::create(&home.options).unwrap_err().code,
        OpenCode::StoreExists
    );
}
