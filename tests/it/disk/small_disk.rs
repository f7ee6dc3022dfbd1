//! A small file system of one's own, and a file that takes what is left of it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::fake_node::{Answer, Ask};
use crate::support::home::Home;
use crate::support::poll;
use crate::support::scene::{KEY, Scene};
use crate::support::signer::Signer;

const SIZE: &str = "20m";

/// What the file system is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// In memory; needs `allow_volatile`.
    Tmpfs,
    /// A real one, with a journal of its own, on a loop device.
    Ext4,
}

/// A mounted disk with a signer's home on it; unmounted, whatever happens, when the scene has ended.
pub(super) struct SmallDisk {
    pub(super) scene: Option<Scene>,
    at: PathBuf,
}

impl SmallDisk {
    /// None where this user may not mount, or has no such file system.
    pub(super) fn new(kind: Kind) -> Option<Self> {
        let home = Home::new();
        let at = home.path("disk");
        std::fs::create_dir(&at).unwrap();
        if !mount(kind, &home, &at) {
            eprintln!("ATTENTION: no right to mount {kind:?}; nothing is proved on it");
            return None;
        }
        let mut disk = Self { scene: None, at };
        let signer = Signer::named(&home, "disk/s");
        let allow = if kind == Kind::Tmpfs {
            &["init", "--allow-volatile"][..]
        } else {
            &["init"]
        };
        signer.run(allow);
        signer.configure(|config| {
            let listen = format!("127.0.0.1:{}", signer.http_port());
            let http = config.entry("http").or_insert_with(|| toml::Table::new().into());
            http.as_table_mut()
                .unwrap()
                .insert("listen".to_owned(), listen.into());
        });
        signer.create_key(KEY);
        disk.scene = Some(Scene::with(home, signer));
        Some(disk)
    }

    pub(super) fn scene(&mut self) -> &mut Scene {
        self.scene.as_mut().unwrap()
    }

    /// Bytes that are free.
    pub(super) fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(&self.at).unwrap();
        found.f_bavail * found.f_frsize
    }

    /// The file that takes room.
    pub(super) fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }

    /// Takes `bytes` of what is free.
    pub(super) fn fill(&self, bytes: u64) {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.filler())
            .unwrap();
        file.write_all(&vec![0xaa; usize::try_from(bytes).unwrap()])
            .unwrap();
        file.sync_all().unwrap();
    }

    /// Takes everything that is left.
    pub(super) fn fill_up(&self) {
        take_all(&self.filler());
    }

    /// Gives it back.
    pub(super) fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    /// Gives back what sigward kept for this: the documented step.
    pub(super) fn delete_reserve(&self) {
        std::fs::remove_file(self.at.join("s/state/reserve")).unwrap();
    }

    /// Whether the reserve is there.
    pub(super) fn has_reserve(&self) -> bool {
        self.at.join("s/state/reserve").exists()
    }

    /// Waits until the check called `name` says `status`.
    pub(super) fn wait_for(&mut self, name: &str, status: &str) {
        let scene = self.scene();
        let said = poll(Duration::from_secs(20), || {
            // Nodes are dialled a moment before health is served.
            (scene.signer.lives() && scene.signer.check(name) == status).then_some(())
        });
        assert!(
            said.is_some(),
            "{name} is not {status}\n{}",
            scene.signer.log_tail()
        );
    }

    /// Has the prevote of `height` signed, or says with which code it was refused.
    pub(super) fn sign(&mut self, height: i64) -> Result<(), String> {
        match self.scene().ask(Ask::prevote(height, 1)) {
            Answer::Signed(_) => Ok(()),
            refused @ Answer::Refused { .. } => Err(refused.refusal().to_owned()),
            Answer::Lost => Err("lost".to_owned()),
        }
    }
}

/// Lets `filler` grow until not another byte is to be had.
pub(super) fn take_all(filler: &Path) {
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(filler)
        .unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![0xaa; size]).is_ok() {}
    }
    let _full = file.sync_all();
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Some(scene) = self.scene.as_mut() {
            scene.signer.stop();
        }
        let done = Command::new("umount").arg("--lazy").arg(&self.at).status();
        assert!(
            std::thread::panicking() || done.is_ok_and(|done| done.success()),
            "cannot unmount {}",
            self.at.display()
        );
        // The folder goes after the disk that is mounted in it.
        self.scene = None;
    }
}

fn mount(kind: Kind, home: &Home, at: &Path) -> bool {
    let run = |program: &str, arguments: &[&str]| {
        let done = Command::new(program).args(arguments).output();
        done.is_ok_and(|done| done.status.success())
    };
    let at = at.to_str().unwrap();
    match kind {
        Kind::Tmpfs => run(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                &format!("size={SIZE},mode=0700"),
                "tmpfs",
                at,
            ],
        ),
        Kind::Ext4 => {
            let image = home.path("image");
            let file = std::fs::File::create(&image).unwrap();
            // Its journal and tables take some of it.
            file.set_len(24 << 20).unwrap();
            let image = image.to_str().unwrap();
            run("mkfs.ext4", &["-q", "-m", "0", "-F", image]) && run("mount", &["-o", "loop", image, at])
        }
    }
}
