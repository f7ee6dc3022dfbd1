//! The state folder on its disk: sizes of its files, and the space that is left. Read when somebody asks, never on the way of a
//! signature, and by name only: opening the database a second time would drop its lock.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Which files hold the state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateFiles {
    /// The database.
    pub database: PathBuf,
    /// The witness.
    pub witness: PathBuf,
}

/// What was found. A number that cannot be read is absent, not zero.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Disk {
    /// Bytes of the database.
    pub database: Option<u64>,
    /// Bytes of its log.
    pub log: Option<u64>,
    /// Bytes of the witness.
    pub witness: Option<u64>,
    /// Bytes that an ordinary user can still write on the file system.
    pub free_bytes: Option<u64>,
    /// Files that can still be made there; absent where the file system does not count them.
    pub free_inodes: Option<u64>,
}

impl StateFiles {
    /// Looks. May wait for a disk: off the runtime's workers.
    pub fn measure(&self) -> Disk {
        let bytes = |path: &Path| Some(std::fs::metadata(path).ok()?.len());
        let mut log = self.database.clone().into_os_string();
        log.push("-wal");
        let free = self
            .database
            .parent()
            .and_then(|folder| rustix::fs::statvfs(folder).ok());
        Disk {
            database: bytes(&self.database),
            // Without a log there is nothing in it.
            log: bytes(Path::new(&log)).or_else(|| bytes(&self.database).map(|_| 0)),
            witness: bytes(&self.witness),
            free_bytes: free
                .as_ref()
                .map(|free| free.f_bavail.saturating_mul(free.f_frsize)),
            free_inodes: free
                .as_ref()
                .filter(|free| free.f_files > 0)
                .map(|free| free.f_favail),
        }
    }
}

/// Measures whenever somebody scrapes; silent until it is told where.
#[derive(Clone, Default, Debug)]
pub(super) struct DiskCollector(pub(super) Arc<OnceLock<StateFiles>>);

impl Collector for DiskCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(files) = self.0.get() else {
            return Ok(());
        };
        let disk = files.measure();
        let bytes = Some(Unit::Bytes);
        for (name, help, unit, value) in [
            ("store_database", "Size of the database.", &bytes, disk.database),
            ("store_wal", "Size of the database's log.", &bytes, disk.log),
            ("store_witness", "Size of the witness.", &bytes, disk.witness),
            (
                "store_free",
                "Free space where the state is.",
                &bytes,
                disk.free_bytes,
            ),
            (
                "store_free_inodes",
                "Files that can still be made where the state is.",
                &None,
                disk.free_inodes,
            ),
        ] {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(
                name,
                help,
                unit.as_ref(),
                prometheus_client::metrics::MetricType::Gauge,
            )?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_absent_and_not_zero() {
        let folder = tempfile::tempdir().unwrap();
        let files = StateFiles {
            database: folder.path().join("guard.db"),
            witness: folder.path().join("witness"),
        };
        let before = files.measure();
        assert_eq!((before.database, before.log, before.witness), (None, None, None));
        assert!(before.free_bytes.is_some());
        std::fs::write(&files.database, [0; 4096]).unwrap();
        std::fs::write(&files.witness, [0; 10]).unwrap();
        let after = files.measure();
        assert_eq!(
            (after.database, after.log, after.witness),
            (Some(4096), Some(0), Some(10))
        );
    }
}
