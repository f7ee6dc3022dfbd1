//! The terminal: raw while it is ours, and as it was before when we leave, however that happens.

use std::io::{self, IsTerminal, Read as _, Write as _};
use std::sync::mpsc::{self, Receiver};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// What somebody at the keyboard wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    Leave,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
}

/// The terminal in our hands.
pub(super) struct Terminal {
    before: Termios,
    keys: Receiver<Key>,
}

impl Terminal {
    /// Takes it: another screen, no cursor, no echo, keys one by one (Ctrl-C too, so that nothing ends half-way).
    pub(super) fn take() -> anyhow::Result<Self> {
        anyhow::ensure!(
            io::stdin().is_terminal() && io::stdout().is_terminal(),
            "top needs a terminal\nuse `sigward top --once` or `sigward status` in scripts and pipes"
        );
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        let (send, keys) = mpsc::channel();
        // It ends with the process: a blocked read cannot be called off.
        std::thread::Builder::new()
            .name("keys".to_owned())
            .spawn(move || {
                let mut bytes = [0; 16];
                while let Ok(count @ 1..) = io::stdin().read(&mut bytes) {
                    let read = bytes.get(..count).unwrap_or_default();
                    if key(read).is_some_and(|key| send.send(key).is_err()) {
                        return;
                    }
                }
                let _nobody = send.send(Key::Leave);
            })?;
        let terminal = Self { before, keys };
        write(b"\x1b[?1049h\x1b[?25l")?;
        Ok(terminal)
    }

    /// Columns and lines.
    pub(super) fn size() -> (usize, usize) {
        let size = tcgetwinsize(io::stdout()).ok();
        size.filter(|size| size.ws_col > 0 && size.ws_row > 0)
            .map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
    }

    /// Draws over what stands there, without a flicker.
    pub(super) fn draw(lines: &[String]) -> io::Result<()> {
        let mut text = String::from("\x1b[H");
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                text.push_str("\r\n");
            }
            text.push_str(line);
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        write(text.as_bytes())
    }

    /// The next key, if one was pressed.
    pub(super) fn key(&self) -> Option<Key> {
        self.keys.try_recv().ok()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _gone = write(b"\x1b[?25h\x1b[?1049l");
        let _gone = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// What the bytes of one read mean; a key of several bytes comes in one.
fn key(bytes: &[u8]) -> Option<Key> {
    match bytes {
        // q, Ctrl-C, Ctrl-D
        [b'q' | b'Q' | 3 | 4, ..] => Some(Key::Leave),
        [b'k', ..] | b"\x1b[A" | b"\x1bOA" => Some(Key::Up),
        [b'j', ..] | b"\x1b[B" | b"\x1bOB" => Some(Key::Down),
        b"\x1b[5~" => Some(Key::PageUp),
        b"\x1b[6~" | b" " => Some(Key::PageDown),
        b"\x1b[H" | b"\x1b[1~" | b"g" => Some(Key::Home),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_noise_is_not() {
        assert_eq!(key(b"q"), Some(Key::Leave));
        assert_eq!(key(&[3]), Some(Key::Leave));
        assert_eq!(key(b"\x1b[B"), Some(Key::Down));
        assert_eq!(key(b"\x1b[5~"), Some(Key::PageUp));
        assert_eq!(key(b"\x1b[<35;10;10M"), None);
        assert_eq!(key(b""), None);
    }
}
