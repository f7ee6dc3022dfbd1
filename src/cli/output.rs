//! Text for people or JSON for scripts; errors go to standard error in either.
//!
//! *Invariant:* no control character reaches a terminal but the line breaks of our own sentences. Who puts somebody else's words into
//! a sentence makes them [`one_line`] first, so that they forge no line of it.

use std::cell::RefCell;
use std::fmt::Display;
use std::io::{self, Write as _};

use serde_json::{Value, json};
use sigward_policies::model::text;

pub(super) use sigward_policies::model::text::one_line;

/// How to print.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    /// The first thing that went wrong with standard output.
    failed: RefCell<Option<io::Error>>,
}

impl Output {
    pub(super) const fn new(json: bool) -> Self {
        Self {
            json,
            failed: RefCell::new(None),
        }
    }

    /// Whether scripts read along.
    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a result: `value` in JSON on one line, or `text`.
    pub(super) fn result(&self, value: &Value, text: impl Display) {
        if self.json {
            self.line(value);
        } else {
            self.line(text);
        }
    }

    /// Prints one line. What goes wrong is kept for [`finish`](Self::finish): an act is not undone by a full disk under its output.
    pub(super) fn line(&self, text: impl Display) {
        let text = text.to_string();
        // JSON has escapes of its own, and scripts want the very text.
        let text = if self.json { text } else { text::lines(&text) };
        let written = writeln!(io::stdout().lock(), "{text}");
        if let Err(error) = written {
            self.failed.borrow_mut().get_or_insert(error);
        }
    }

    /// Whether printing has failed, so that printing on is idle.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.borrow().is_some()
    }

    /// Says whether all that was printed arrived. A reader who has gone (`| head`) wanted no more.
    pub(super) fn finish(&self) -> io::Result<()> {
        let failed = self.failed.borrow_mut().take();
        match failed.map_or_else(|| io::stdout().flush(), Err) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }

    /// Prints an error with the causes that it does not name itself.
    pub(super) fn error(&self, error: &anyhow::Error) {
        let mut text = error.to_string();
        for cause in error.chain().skip(1) {
            let cause = cause.to_string();
            if !text.contains(&cause) {
                text.push_str(": ");
                text.push_str(&cause);
            }
        }
        if self.json {
            eprintln!("{}", json!({ "error": text }));
        } else {
            eprintln!("sigward: {}", text::lines(&text));
        }
    }
}
