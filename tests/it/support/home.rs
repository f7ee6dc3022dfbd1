//! A folder of its own for each test: on the build's disk, because the sign state refuses memory file systems, and with socket
//! paths that fit into `sun_path` (108 bytes, unix(7)).

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Longest name that is put below a socket folder, with its slash.
const SOCKET_NAME: usize = 24;
const SUN_PATH: usize = 107;

/// The folder; deleted on drop unless the test panics or `SIGWARD_TEST_KEEP` is set.
pub(crate) struct Home {
    dir: Option<TempDir>,
    path: PathBuf,
    /// Only where the build's path is too long for sockets.
    sockets: Option<TempDir>,
}

impl Home {
    /// A new, empty folder.
    pub(crate) fn new() -> Self {
        let dir = make(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let path = dir.path().to_owned();
        let short = path.as_os_str().len() + SOCKET_NAME <= SUN_PATH;
        let sockets = (!short).then(|| make(&std::env::temp_dir()));
        Self {
            dir: Some(dir),
            path,
            sockets,
        }
    }

    /// A path below the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A path for a unix socket.
    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        let folder = self.sockets.as_ref().map_or(self.path.as_path(), TempDir::path);
        let path = folder.join(name);
        assert!(
            path.as_os_str().len() <= SUN_PATH,
            "{} is too long for a unix socket",
            path.display()
        );
        path
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let keep = std::thread::panicking() || std::env::var_os("SIGWARD_TEST_KEEP").is_some();
        if let (true, Some(dir)) = (keep, self.dir.take()) {
            eprintln!("kept for you to look at: {}", dir.keep().display());
        }
    }
}

fn make(parent: &Path) -> TempDir {
    std::fs::create_dir_all(parent).unwrap();
    tempfile::Builder::new()
        .prefix("t")
        .rand_bytes(6)
        .tempdir_in(parent)
        .unwrap()
}
