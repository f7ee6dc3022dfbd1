//! Text for people or JSON for scripts; errors go to standard error in either.

use std::fmt::Display;

use serde_json::{Value, json};

/// How to print.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether scripts read along.
    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a result: `value` in JSON on one line, or `text`.
    pub(super) fn result(&self, value: &Value, text: impl Display) {
        if self.json {
            println!("{value}");
        } else {
            println!("{text}");
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
            eprintln!("sigward: {text}");
        }
    }
}
