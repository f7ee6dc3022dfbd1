//! From what is written to what holds: the document, its named subjects and its roles. Rules are in rules.rs.

use std::collections::BTreeMap;

use toml::Spanned;

use super::error::{DocumentError, quote};
use super::raw::{List, RawDocument, Text};
use super::{FORMAT, MAX_DOCUMENT, MAX_PATTERNS, MAX_RULES, duties, rules, warnings};
use crate::authz::operations::{Operations, Reserved};
use crate::authz::policy::{Policy, PolicyVersion};
use crate::authz::roles;
use crate::authz::rule::RuleId;
use crate::authz::subject::SubjectPattern;
use crate::model::id::MAX_NAME;
use crate::model::operation::Operation;
use crate::model::suggest;

/// What rules refer to, and the text that errors point into.
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) subjects: BTreeMap<&'a str, Vec<SubjectPattern>>,
    pub(super) roles: BTreeMap<&'a str, Operations>,
}

/// Reads a document, all of it or none.
pub(in crate::authz) fn read(text: &str, version: PolicyVersion) -> Result<Policy, DocumentError> {
    if text.len() > MAX_DOCUMENT {
        return Err(DocumentError::new(
            format!("the document has more than {MAX_DOCUMENT} bytes"),
            "a policy is small; see that this is the right file",
        ));
    }
    let raw: RawDocument = toml::from_str(text).map_err(|error| DocumentError::from_toml(text, error))?;
    if *raw.version.as_ref() != FORMAT {
        return Err(DocumentError::new(
            format!(
                "this is a document of format {}, and this sigward reads {FORMAT}",
                raw.version.as_ref()
            ),
            "write `version = 1`; it is the format of the document, not its edition",
        )
        .at(text, &raw.version.span())
        .field("version"));
    }
    let mut source = Source {
        text,
        subjects: BTreeMap::new(),
        roles: BTreeMap::new(),
    };
    for (name, patterns) in &raw.subjects {
        let parsed = source.subject(name, patterns)?;
        source.subjects.insert(name.as_ref(), parsed);
    }
    for (name, words) in &raw.roles {
        let operations = source.role(name, words)?;
        source.roles.insert(name.as_ref(), operations);
    }
    if raw.rule.len() > MAX_RULES {
        return Err(DocumentError::new(
            format!("there are {} rules, and {MAX_RULES} at most", raw.rule.len()),
            "join rules that differ in one field only: every field takes a list",
        ));
    }
    let rules = rules::rules(&raw.rule, &source)?;
    duties::are_separate(&raw, &rules, &source)?;
    Ok(Policy {
        version,
        warnings: warnings::of(&raw, &rules, &source),
        rules: rules.into(),
    })
}

impl<'a> Source<'a> {
    /// A refusal that points at `value`.
    pub(super) fn bad<T>(
        &self,
        value: &Spanned<T>,
        field: impl Into<String>,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> DocumentError {
        DocumentError::new(message, advice)
            .at(self.text, &value.span())
            .field(field)
    }

    /// Every item of a list that is not empty, read by `read`.
    pub(super) fn each<T>(
        &self,
        list: &'a List,
        field: &str,
        mut read: impl FnMut(&'a str) -> Result<T, (String, String)>,
    ) -> Result<Vec<T>, DocumentError> {
        if list.as_ref().is_empty() {
            return Err(self.bad(
                list,
                field,
                "an empty list stands for nothing",
                "leave the field out, or write what it is about",
            ));
        }
        let item = |item: &'a Text| {
            read(item.as_ref()).map_err(|(message, advice)| {
                self.bad(
                    item,
                    field,
                    format!("{}: {message}", quote(item.as_ref())),
                    advice,
                )
            })
        };
        list.as_ref().iter().map(item).collect()
    }

    fn subject(&self, name: &'a Text, patterns: &'a List) -> Result<Vec<SubjectPattern>, DocumentError> {
        let field = format!("subjects.{}", quote(name.as_ref()));
        self.name(name, &field)?;
        let parsed = self.each(patterns, &field, SubjectPattern::parse)?;
        if parsed.len() > MAX_PATTERNS {
            return Err(too_many());
        }
        Ok(parsed)
    }

    fn role(&self, name: &'a Text, words: &'a List) -> Result<Operations, DocumentError> {
        let field = format!("roles.{}", quote(name.as_ref()));
        self.name(name, &field)?;
        if roles::built_in(name.as_ref()).is_some() {
            return Err(self.bad(
                name,
                field,
                "every document has this role already",
                "choose another name; `sigward policy show` prints what the roles may",
            ));
        }
        self.operations(words, &field, Reserved::LeftOut)
    }

    /// What a list of operations stands for.
    pub(super) fn operations(
        &self,
        words: &'a List,
        field: &str,
        reserved: Reserved,
    ) -> Result<Operations, DocumentError> {
        let found = self.each(words, field, |word| {
            Operations::matching(word, reserved).ok_or_else(|| no_operation(word))
        })?;
        Ok(found.into_iter().fold(Operations::NONE, Operations::and))
    }

    /// A name of the document's own: plain, so that it can stand in a log line, and without a colon, so that it is no pattern.
    pub(super) fn name(&self, name: &Text, field: &str) -> Result<(), DocumentError> {
        let text = name.as_ref();
        if RuleId::parse(text).is_some() {
            return Ok(());
        }
        Err(self.bad(
            name,
            field,
            format!("{} is no name", quote(text)),
            format!(
                "a name is 1 to {MAX_NAME} characters of a-z A-Z 0-9 . _ - and begins with a letter or digit"
            ),
        ))
    }
}

/// What to say of a word that stands for no operation.
fn no_operation(word: &str) -> (String, String) {
    if word.contains(['*', '?']) {
        let advice = if Operation::ALL
            .iter()
            .any(|o| o.is_reserved() && o.as_str().starts_with(word.trim_end_matches(['*', '?'])))
        {
            "sign.raw and sign.bn254 stand for themselves only: name them in full"
        } else {
            "`sigward policy show` lists the operations"
        };
        return ("no operation is called so".to_owned(), advice.to_owned());
    }
    let known: Vec<&str> = Operation::ALL
        .iter()
        .map(|operation| operation.as_str())
        .collect();
    let advice = match (suggest::nearest(word, &known), roles::built_in(word)) {
        (_, Some(role)) => format!("this is a role: write roles = [\"{}\"]", role.name),
        (Some(near), None) => format!("did you mean `{near}`?"),
        (None, None) => "`sigward policy show` lists the operations".to_owned(),
    };
    ("there is no such operation".to_owned(), advice)
}

pub(super) fn too_many() -> DocumentError {
    DocumentError::new(
        format!("all rules together have more than {MAX_PATTERNS} patterns"),
        "write patterns with * instead of lists of names",
    )
}
