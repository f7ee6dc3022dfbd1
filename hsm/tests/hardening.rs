//! `harden_process` changes the whole process, so it is tested in a program of its own.
#![allow(clippy::unwrap_used)]

use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

#[test]
fn a_hardened_process_is_not_dumpable_and_dumps_no_core() {
    sigward_hsm::secret::harden_process().unwrap();
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    let limit = getrlimit(Resource::Core);
    assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    // It may be asked twice.
    sigward_hsm::secret::harden_process().unwrap();
}
