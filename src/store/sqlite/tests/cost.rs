//! What a commit costs. Run it optimised, on the disk in question:
//! `STATE_DIR=/var/lib/x cargo test --release --lib -- --ignored --nocapture cost_of_commits`

use std::time::{Duration, Instant};

use super::*;

fn print(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e6;
    println!(
        "{what}: best {:.1} p10 {:.1} p50 {:.1} p99 {:.1} µs",
        at(0),
        at(10),
        at(50),
        at(99)
    );
}

/// The least that any durable signer pays: overwriting 128 bytes and fdatasync.
fn floor(dir: &Path) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::create(dir.join("floor")).unwrap();
    file.write_all_at(&[0; 4096], 0).unwrap();
    file.sync_all().unwrap();
    let mut times = Vec::new();
    for n in 0..2000_u32 {
        let start = Instant::now();
        file.write_all_at(&[n.to_be_bytes()[3]; 128], 0).unwrap();
        file.sync_data().unwrap();
        times.push(start.elapsed());
    }
    print("one fdatasync of 128 bytes", &mut times);
}

#[test]
#[ignore = "a measurement"]
fn cost_of_commits() {
    let base = std::env::var_os("STATE_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let tmp = tempfile::tempdir_in(base).unwrap();
    let mut options = Options::new(tmp.path().join("state"), Arc::new(Fixed));
    options.allow_volatile = true;
    SqliteStore::create(&options).unwrap();
    let store = SqliteStore::open(&options).unwrap();
    let on = chain("test-chain");
    for n in 0..128 {
        commit(&*store, begin(n, &on)).unwrap();
    }
    floor(tmp.path());
    let mut height = 0;
    for width in [1, 16, 64, 128] {
        let mut times = Vec::new();
        for _ in 0..2000 {
            height += 1;
            let batches: Vec<_> = (0..width)
                .map(|n| batch(n, &on, &message(height, 0, 2, 1, 10), fresh()))
                .collect();
            let (tell, told) = channel();
            let start = Instant::now();
            for batch in batches {
                let tell = tell.clone();
                store.commit(
                    batch,
                    Box::new(move |outcome| tell.send(outcome.is_ok()).unwrap()),
                );
            }
            for _ in 0..width {
                assert!(told.recv().unwrap());
            }
            times.push(start.elapsed());
        }
        print(&format!("{width:>3} signatures at once"), &mut times);
    }
}
