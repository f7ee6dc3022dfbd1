//! Where a page is played: machines that are made when the page first names them, and scripts for what is there before it begins.

use std::collections::BTreeMap;
use std::process::Command;

use super::machine::{Apart, Machine};
use super::root;
use crate::support::home::Home;

/// The first line of a scene whose machines have something of their own.
const APART: &str = "# apart: ";

/// All machines of a page; they end first, the folder goes last.
pub(super) struct Stage {
    machines: BTreeMap<String, Machine>,
    /// Ports that are the same from everywhere.
    shared: BTreeMap<u16, u16>,
    volatile: bool,
    /// Of machines made from now on.
    apart: Apart,
    blocks: usize,
    home: Home,
}

impl Stage {
    pub(super) fn new() -> Self {
        let home = Home::new();
        Self {
            machines: BTreeMap::new(),
            shared: BTreeMap::new(),
            volatile: forgets(&home),
            apart: Apart::default(),
            blocks: 0,
            home,
        }
    }

    /// Runs the script that makes what the page says is there, or happens.
    pub(super) fn set(&mut self, scene: &str) {
        let read = |name: &str| {
            let path = root().join(format!("tests/it/docs/stage/{name}.sh"));
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let (functions, text) = (read("functions"), read(scene));
        if let Some(words) = text.lines().next().and_then(|line| line.strip_prefix(APART)) {
            self.apart = Apart::parse(words);
        }
        // `# on: MACHINE` begins what is for another machine.
        for part in text.split("# on: ").skip(1) {
            let (machine, script) = part.split_once('\n').unwrap();
            // In a subshell: a page's blocks do not get to know what made their machines.
            let script = format!("(\n{functions}\n{script}\n)\nexport SIGWARD_HOME=/var/lib/sigward\n");
            let (status, said) = self.run(machine, &script, 0, scene);
            assert_eq!(
                status,
                Some(0),
                "scene {scene}, on {machine}:\n{said}\n{}",
                self.logs()
            );
        }
    }

    /// Runs a piece of script that should end with `exit` in a machine's shell; how it ended, and what was printed.
    pub(super) fn run(
        &mut self,
        machine: &str,
        script: &str,
        exit: i32,
        place: &str,
    ) -> (Option<i32>, String) {
        self.blocks += 1;
        let stem = self.home.path(&format!("block-{}", self.blocks));
        let (file, out) = (stem.with_extension("sh"), stem.with_extension("out"));
        let letter = char::from(b'a' + u8::try_from(self.machines.len()).unwrap());
        let machine = self
            .machines
            .entry(machine.to_owned())
            .or_insert_with(|| Machine::new(&self.home, machine, letter, &self.apart, self.volatile));
        let script = machine.names.localize(&mut self.shared, script);
        std::fs::write(&file, format!("# {place}\n{script}")).unwrap();
        let (script, printed) = (file.display(), out.display());
        let line = match exit {
            // Its variables stay for the next block; a failure ends the shell.
            0 => format!("source '{script}' >'{printed}' 2>&1 </dev/null; echo $?"),
            // Its failure is what the page shows, and must not end the shell.
            _ => format!("set +e; (set -e; source '{script}') >'{printed}' 2>&1 </dev/null; echo $?; set -e"),
        };
        let status = match machine.ask(&line) {
            Some(answer) => answer.parse().ok(),
            None => machine.ended(),
        };
        let printed = std::fs::read(&out).unwrap_or_default();
        let printed = String::from_utf8_lossy(&printed);
        (status, machine.names.globalize(&self.shared, &printed))
    }

    /// The ends of the logs of everything that runs, for failures.
    pub(super) fn logs(&self) -> String {
        self.machines.values().map(Machine::logs).collect()
    }
}

/// Whether the build's disk is one that sigward refuses.
fn forgets(home: &Home) -> bool {
    let output = Command::new(env!("CARGO_BIN_EXE_sigward"))
        .args(["init", "--home"])
        .arg(home.path("probe"))
        .output()
        .unwrap();
    let volatile = String::from_utf8_lossy(&output.stderr).contains("store_volatile");
    if volatile {
        eprintln!(
            "ATTENTION: {} may forget; init runs with --allow-volatile",
            home.path("").display()
        );
    }
    volatile
}
