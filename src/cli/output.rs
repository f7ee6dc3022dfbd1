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

use crate::admin::request_named_in;

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
        let text = in_full(error);
        if self.json {
            eprintln!("{}", for_scripts(error, &text));
        } else {
            eprintln!("sigward: {}", text::lines(&text));
        }
    }
}

/// The same for scripts: the whole of it, and the parts by which they go on.
fn for_scripts(error: &anyhow::Error, text: &str) -> Value {
    let causes: Vec<_> = error.chain().map(ToString::to_string).collect();
    let hint = text.split_once('\n').map(|(_, hint)| {
        let lines: Vec<_> = hint.lines().map(str::trim).collect();
        lines.join("\n")
    });
    json!({
        "error": text,
        "code": causes.iter().find_map(|cause| text::code_of(cause)),
        "hint": hint,
        "approval": causes.iter().find_map(|cause| request_named_in(cause)),
    })
}

/// What is wrong and why, on the first line; what to do, indented, on those below. Each cause may have both.
pub(super) fn in_full(error: &anyhow::Error) -> String {
    let (mut facts, mut advice) = (String::new(), Vec::<String>::new());
    for said in error.chain().map(ToString::to_string) {
        let (fact, rest) = said.split_once('\n').unwrap_or((&said, ""));
        let fact = fact.trim();
        if facts.is_empty() {
            facts.push_str(fact);
        } else if !facts.contains(fact) && !advice.iter().any(|line| line.contains(fact)) {
            facts.push_str(": ");
            facts.push_str(fact);
        }
        for line in rest.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if !advice.iter().any(|known| known == line) {
                advice.push(line.to_owned());
            }
        }
    }
    for line in advice {
        facts.push_str("\n  ");
        facts.push_str(&line);
    }
    facts
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn scripts_need_not_cut_code_hint_and_request_from_prose() {
        let id = "3f2ad0c1b2e34f5a9f0e1d2c3b4a5968";
        let waits = anyhow!(
            "approval_required: unfreeze waits for 1 of 1 approvals: request {id}, for 60 minutes\nask bob\nthen again"
        );
        let said = for_scripts(&waits, &in_full(&waits));
        assert_eq!(
            (&said["code"], &said["hint"], &said["approval"]),
            (
                &"approval_required".into(),
                &"ask bob\nthen again".into(),
                &id.into()
            )
        );
        let bare = anyhow!("file_permissions: a").context("cannot open the folder");
        let said = for_scripts(&bare, &in_full(&bare));
        assert_eq!(said["error"], "cannot open the folder: file_permissions: a");
        assert_eq!(
            (&said["code"], &said["hint"], &said["approval"]),
            (&"file_permissions".into(), &Value::Null, &Value::Null)
        );
    }

    #[test]
    fn causes_come_first_and_then_what_to_do() {
        let refused =
            anyhow!("file_permissions: a has mode 0644\nchmod 0600 a").context("cannot open the key folder");
        assert_eq!(
            in_full(&refused),
            "cannot open the key folder: file_permissions: a has mode 0644\n  chmod 0600 a"
        );
        let io = anyhow::Error::new(io::Error::other("the disk is on fire"))
            .context("config_unreadable: x\n  see to it");
        assert_eq!(
            in_full(&io),
            "config_unreadable: x: the disk is on fire\n  see to it"
        );
        // A cause that the sentence names already is not said twice.
        let twice = anyhow!("no such file").context("cannot read a: no such file");
        assert_eq!(in_full(&twice), "cannot read a: no such file");
        assert_eq!(in_full(&anyhow!("a\n\nb\n    c")), "a\n  b\n  c");
    }
}
