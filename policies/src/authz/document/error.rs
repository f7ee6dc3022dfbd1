//! Why a document is refused: the place, the value, and what to do.
//!
//! *Invariant:* what came from the document is quoted escaped and cut, so that a hostile one cannot write to a terminal.

use std::fmt;
use std::ops::Range;

use crate::model::suggest;

/// Longest quotation, in characters.
const MAX_QUOTE: usize = 80;
const HELP: &str = "`sigward policy show` prints what a document may say";

/// A place in a document. Both count from 1; columns are characters.
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

/// A document that is refused. Displays as two lines: what is wrong and where; what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DocumentError {
    /// Where.
    pub place: Option<Place>,
    /// Which field, like `rule[2].operations`.
    pub field: Option<Box<str>>,
    /// What is wrong, with the value.
    pub message: Box<str>,
    /// What to do.
    pub advice: Box<str>,
}

impl DocumentError {
    pub(super) fn new(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            place: None,
            field: None,
            message: message.into().into(),
            advice: advice.into().into(),
        }
    }

    pub(super) fn at(mut self, text: &str, span: &Range<usize>) -> Self {
        self.place = Some(Place::of(text, span.start));
        self
    }

    pub(super) fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into().into());
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
            format!("add `{field} = …`; {HELP}")
        } else {
            format!("correct this line; {HELP}")
        };
        if let Some(found) = span.clone().and_then(|span| text.get(span))
            && !found.trim().is_empty()
            && !found.contains('\n')
            && !error.message().contains(found)
        {
            message = format!("{message}: {}", quote(found));
        }
        // The reader tells the path of keys only when it does not show the input.
        error.set_input(None);
        let shown = error.to_string();
        let field = shown
            .lines()
            .find_map(|line| line.strip_prefix("in `")?.strip_suffix('`'));
        let mut refused = Self::new(message, clean(&advice));
        refused.place = span.map(|span| Place::of(text, span.start));
        refused.field = field.map(|field| clean(field).into());
        refused
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.place {
            write!(f, "line {}, column {}: ", at.line, at.column)?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        write!(f, "{}\n  {}", self.message, self.advice)
    }
}

impl std::error::Error for DocumentError {}

/// A value for a sentence: in quotes, escaped, cut.
pub(super) fn quote(value: &str) -> String {
    let cut: String = value.chars().take(MAX_QUOTE).collect();
    let dots = if cut.len() < value.len() { "…" } else { "" };
    format!("{cut:?}{dots}")
}

/// Text of the reader, which may repeat parts of the document: one line, nothing but what shows, cut.
fn clean(text: &str) -> String {
    let flat = text.trim().chars().take(8 * MAX_QUOTE);
    crate::model::text::one_line(
        &flat
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect::<String>(),
    )
}
