//! Having the program die at a crash point, as `FAILPOINTS` of a build with the feature says; and the list of all points.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::{Resource, Rlimit, Signal, setrlimit};

use super::{acts, audit, backup, init, moving, points, seal};

/// Arms `point` in `command`; the first `skip` times it is passed.
pub(crate) fn armed(mut command: Command, point: &str, skip: usize) -> Command {
    // Whoever dies by abort leaves a core file in the folder of the tests.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).unwrap();
    let action = match skip {
        0 => "return".to_owned(),
        skip => format!("{skip}*off->return"),
    };
    command.env("FAILPOINTS", format!("{point}={action}"));
    command
}

/// Runs a subcommand that must die at `point`.
pub(crate) fn dies(command: Command, point: &str) {
    let output = armed(command, point, 0).stdin(Stdio::null()).output().unwrap();
    assert_aborted(output.status, point, &String::from_utf8_lossy(&output.stderr));
}

/// By abort, and by nothing else.
pub(crate) fn assert_aborted(status: ExitStatus, point: &str, said: &str) {
    assert_eq!(
        status.signal(),
        Some(Signal::ABORT.as_raw()),
        "{point}: ended with {status}, not at the crash point\n{said}"
    );
}

#[test]
fn every_crash_point_of_the_source_is_crashed_at() {
    let mut named = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut named);
    named.sort();
    named.dedup();
    assert!(named.len() >= 20, "the source is read: {named:?}");
    let mut tested: Vec<&str> = [
        init::POINTS,
        moving::POINTS,
        acts::ADOPT_POINTS,
        acts::KEY_POINTS,
        audit::KEEP_POINTS,
        audit::REMOVE_POINTS,
        backup::POINTS,
        seal::MOVE_POINTS,
        seal::REWRAP_POINTS,
        points::SEGMENT_POINTS,
        points::START_POINTS,
        crate::tls::approvals::dying::POINTS,
        crate::bearer::api_key::POINTS,
        crate::token::cut_off::POINTS,
    ]
    .concat()
    .into_iter()
    .chain(points::POINTS.iter().map(|(point, _)| *point))
    .collect();
    tested.sort_unstable();
    tested.dedup();
    assert_eq!(named, tested, "left: in the source; right: in these tests");
}

fn collect(folder: &Path, into: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let names = text.split("crash_point!(\"").skip(1);
            into.extend(names.map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
}
