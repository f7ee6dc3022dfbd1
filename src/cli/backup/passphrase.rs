//! Where a passphrase comes from: a file, a descriptor, or the terminal, without echo.
//!
//! *Invariant:* never from an argument or the environment, which every process of the user can read.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use sigward_hsm::backup::Passphrase;
use sigward_hsm::secret::Arena;

use super::explain;
use crate::cli::exit::RefusedByRule;

/// Where the passphrase is.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    /// Read the passphrase from this file: mode 0600, one line, at least 12 bytes
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
    /// Read the passphrase from this open file descriptor, such as 3 after 3< <(pass show sigward)
    #[arg(long, value_name = "N", conflicts_with = "passphrase_file")]
    pub(super) passphrase_fd: Option<u16>,
}

impl Source {
    /// Reads a passphrase that exists.
    pub(super) fn read(&self, arena: &Arena) -> anyhow::Result<Passphrase> {
        match self.named(arena) {
            Some(read) => read,
            None => Terminal::open()?.ask(arena, "Passphrase of the backup: "),
        }
    }

    /// Reads a new passphrase; a person types it twice.
    pub(super) fn read_new(&self, arena: &Arena) -> anyhow::Result<Passphrase> {
        if let Some(read) = self.named(arena) {
            return read;
        }
        let mut terminal = Terminal::open()?;
        let first = terminal.ask(arena, "New passphrase for the backup (at least 12 characters): ")?;
        let second = terminal.ask(arena, "The same again: ")?;
        if first.is(&second) {
            return Ok(first);
        }
        Err(
            RefusedByRule("weak_passphrase: the two passphrases differ; nothing was written".to_owned())
                .into(),
        )
    }

    fn named(&self, arena: &Arena) -> Option<anyhow::Result<Passphrase>> {
        if let Some(path) = &self.passphrase_file {
            return Some(Passphrase::read_file(arena, path).map_err(explain));
        }
        let fd = self.passphrase_fd?;
        let read = File::open(format!("/dev/fd/{fd}"))
            .with_context(|| format!("cannot read descriptor {fd}"))
            .and_then(|mut file| Passphrase::read_all(arena, &mut file).map_err(explain));
        Some(read)
    }
}

/// The terminal of the process, silent while a passphrase is typed and as it was afterwards.
struct Terminal {
    tty: File,
    before: Termios,
}

impl Terminal {
    fn open() -> anyhow::Result<Self> {
        let tty = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/tty")
            .map_err(|_| RefusedByRule("invalid_parameters: there is no terminal to ask for a passphrase; give --passphrase-file, --passphrase-fd or, for a new backup, --age-recipient".to_owned()))?;
        let before = tcgetattr(&tty).context("cannot read the terminal's settings")?;
        let mut silent = before.clone();
        // ^C would end the process with the echo still off: while it is, it is a character like any other.
        silent.local_modes -= LocalModes::ECHO | LocalModes::ISIG;
        silent.local_modes |= LocalModes::ECHONL | LocalModes::ICANON;
        tcsetattr(&tty, OptionalActions::Flush, &silent).context("cannot silence the terminal")?;
        Ok(Self { tty, before })
    }

    fn ask(&mut self, arena: &Arena, prompt: &str) -> anyhow::Result<Passphrase> {
        self.tty.write_all(prompt.as_bytes())?;
        Passphrase::read_line(arena, &mut self.tty).map_err(explain)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nothing better can be done where it fails.
        let _left = tcsetattr(&self.tty, OptionalActions::Flush, &self.before);
    }
}
