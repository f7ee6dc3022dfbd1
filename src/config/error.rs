//! Why a configuration is refused: a stable code, the place, the value, and what to do.
//!
//! *Invariant:* what came from the file is quoted escaped and cut, so that a hostile file cannot write to a terminal.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;

use super::suggest;

/// Longest quotation of a value in an error, in characters.
const MAX_QUOTE: usize = 80;

/// Stable codes, as docs/errors.md lists them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ConfigCode {
    /// The file says something that cannot be done.
    Invalid,
    /// There is no file.
    Missing,
    /// There is a file and it cannot be read.
    Unreadable,
    /// It says something else than when it was read.
    Changed,
    /// It asks for something that this program was built without.
    NotBuiltIn,
    /// The policy says something that cannot be, or is not understood.
    PolicyInvalid,
    /// There is no policy where the configuration says there is one.
    PolicyMissing,
    /// There is one and it cannot be read.
    PolicyUnreadable,
}

impl ConfigCode {
    /// The code as callers see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "config_invalid",
            Self::Missing => "config_missing",
            Self::Unreadable => "config_unreadable",
            Self::Changed => "config_changed",
            Self::NotBuiltIn => "feature_not_built_in",
            Self::PolicyInvalid => "policy_invalid",
            Self::PolicyMissing => "policy_missing",
            Self::PolicyUnreadable => "policy_unreadable",
        }
    }
}

/// A place in a file. Both count from 1; columns are characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl Place {
    /// The place of byte `offset` in `text`. An offset past the end is the end.
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or("").chars().count() + 1,
        }
    }
}

/// A configuration that is refused. Displays as two lines: what is wrong and where; what to do.
#[derive(Debug)]
pub struct ConfigError {
    /// The stable code.
    pub code: ConfigCode,
    /// The file, when there is one.
    pub file: Option<Box<Path>>,
    /// Where in it.
    pub place: Option<Place>,
    /// Which field, like `chain[0].node[1].address`.
    pub key: Option<Box<str>>,
    /// What is wrong, with the value.
    pub message: Box<str>,
    /// What to do.
    pub advice: Box<str>,
    /// What the operating system said.
    pub source: Option<io::Error>,
}

impl ConfigError {
    pub(super) fn new(code: ConfigCode, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            code,
            file: None,
            place: None,
            key: None,
            message: message.into().into(),
            advice: advice.into().into(),
            source: None,
        }
    }

    pub(super) fn invalid(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(ConfigCode::Invalid, message, advice)
    }

    pub(super) fn at(mut self, text: &str, span: &Range<usize>) -> Self {
        self.place = Some(Place::of(text, span.start));
        self
    }

    pub(super) fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into().into());
        self
    }

    pub(super) fn in_file(mut self, file: &Path) -> Self {
        self.file = Some(file.into());
        self
    }

    pub(super) fn because(mut self, source: io::Error) -> Self {
        self.source = Some(source);
        self
    }

    /// What the TOML reader refused: syntax, an unknown field, a missing one, or a value of another type.
    pub(super) fn from_toml(text: &str, mut error: toml::de::Error) -> Self {
        let span = error.span();
        let mut message = clean(error.message());
        let advice = if let Some((unknown, known)) = suggest::unknown_field(error.message()) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            suggest::advice(&unknown, &known)
        } else if let Some(field) = suggest::missing_field(error.message()) {
            format!("add `{field} = …`; `sigward config print-default` shows what it means")
        } else {
            "correct this line; `sigward config print-default` shows a whole file".to_owned()
        };
        if let Some(found) = span.clone().and_then(|span| text.get(span))
            && !found.trim().is_empty()
            && !found.contains('\n')
            && !error.message().contains(found)
        {
            message = format!("{message}: {}", quote(found));
        }
        // The reader tells the key path only when it does not show the input.
        error.set_input(None);
        let shown = error.to_string();
        let key = shown
            .lines()
            .find_map(|line| line.strip_prefix("in `")?.strip_suffix('`'));
        let mut refused = Self::invalid(message, advice);
        refused.place = span.map(|span| Place::of(text, span.start));
        refused.key = key.map(|key| clean(key).into());
        refused
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.code.as_str())?;
        match (&self.file, self.place) {
            (Some(file), Some(at)) => write!(f, "{}:{}:{}: ", file.display(), at.line, at.column)?,
            (Some(file), None) => write!(f, "{}: ", file.display())?,
            (None, Some(at)) => write!(f, "line {}, column {}: ", at.line, at.column)?,
            (None, None) => {}
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        write!(f, "{}\n  {}", self.message, self.advice)
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

/// A value of the file for a sentence: in quotes, escaped, cut.
pub(super) fn quote(value: &str) -> String {
    let cut: String = value.chars().take(MAX_QUOTE).collect();
    let dots = if cut.len() < value.len() { "…" } else { "" };
    format!("{:?}{dots}", cut)
}

/// Text of the reader, which may repeat parts of the file: one line, no control characters, cut.
fn clean(text: &str) -> String {
    let flat: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(8 * MAX_QUOTE)
        .collect();
    flat
}
