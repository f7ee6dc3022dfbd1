//! The part of YAML that signers' configurations are written in: block mappings and sequences, plain and quoted scalars, flow
//! sequences of scalars, comments. (YAML 1.2.2 chapters 7 and 8.)
//!
//! Anything else (anchors, tags, block scalars, flow mappings, several documents, tabs) is refused with its line: a meaning that is
//! guessed could be a wrong chain id.

use std::collections::HashSet;

use super::invalid;
use super::tree::Tree;
use sigward_policies::decision::Refusal;

/// Deepest nesting; configurations have three levels.
const MAX_DEPTH: usize = 16;

struct Line<'a> {
    number: usize,
    indent: usize,
    text: &'a str,
}

/// Reads a document.
pub(super) fn parse(text: &str) -> Result<Tree, Refusal> {
    let mut lines = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let number = index + 1;
        let body = raw.trim_start_matches(' ');
        let indent = raw.len() - body.len();
        let body = without_comment(body, number)?.trim_end();
        if body.is_empty() || (indent == 0 && body == "---" && lines.is_empty()) {
            continue;
        }
        if body.starts_with('\t') || body.chars().any(|c| c.is_control()) {
            return Err(bad(number, "a tab or a control character"));
        }
        lines.push(Line {
            number,
            indent,
            text: body,
        });
    }
    let Some(first) = lines.first() else {
        return Ok(Tree::Null);
    };
    let indent = first.indent;
    let mut rest = &lines[..];
    let tree = block(&mut rest, indent, 0)?;
    match rest.first() {
        None => Ok(tree),
        Some(line) => Err(bad(line.number, "an indentation that fits nothing above it")),
    }
}

fn block(lines: &mut &[Line<'_>], indent: usize, depth: usize) -> Result<Tree, Refusal> {
    let Some(first) = lines.first() else {
        return Ok(Tree::Null);
    };
    if depth > MAX_DEPTH {
        return Err(bad(first.number, "too many levels"));
    }
    if first.text == "-" || first.text.starts_with("- ") {
        sequence(lines, indent, depth)
    } else {
        mapping(lines, indent, depth, None)
    }
}

fn sequence(lines: &mut &[Line<'_>], indent: usize, depth: usize) -> Result<Tree, Refusal> {
    let mut items = Vec::new();
    while let Some((line, rest)) = lines.split_first() {
        if line.indent != indent {
            break;
        }
        let Some(after) = line
            .text
            .strip_prefix('-')
            .filter(|after| after.is_empty() || after.starts_with(' '))
        else {
            break;
        };
        let body = after.trim_start();
        let inner = indent + 1 + (after.len() - body.len());
        *lines = rest;
        items.push(if body.is_empty() {
            nested(lines, indent, depth, true)?
        } else if split_key(body, line.number)?.is_some() {
            // `- name: value` begins a mapping whose other fields stand below its first.
            let first = Line {
                number: line.number,
                indent: inner,
                text: body,
            };
            mapping(lines, inner, depth + 1, Some(first))?
        } else {
            scalar(body, line.number)?
        });
    }
    Ok(Tree::List(items))
}

fn mapping<'a>(
    lines: &mut &[Line<'a>],
    indent: usize,
    depth: usize,
    mut first: Option<Line<'a>>,
) -> Result<Tree, Refusal> {
    let mut fields: Vec<(String, Tree)> = Vec::new();
    // Beside the list, which has the file's order: comparing each name with all would take minutes for a megabyte of them.
    let mut names = HashSet::new();
    loop {
        let (number, text) = match first.take() {
            Some(line) => (line.number, line.text),
            None => match lines.split_first() {
                Some((line, rest))
                    if line.indent == indent && !(line.text == "-" || line.text.starts_with("- ")) =>
                {
                    *lines = rest;
                    (line.number, line.text)
                }
                _ => break,
            },
        };
        let (name, value) =
            split_key(text, number)?.ok_or_else(|| bad(number, "neither `name: value` nor `- item`"))?;
        if !names.insert(name.clone()) {
            return Err(bad(number, "a name that stands there twice"));
        }
        let value = if value.is_empty() {
            nested(lines, indent, depth, false)?
        } else {
            scalar(value, number)?
        };
        fields.push((name, value));
    }
    Ok(Tree::Map(fields))
}

/// What stands below a `name:` or `-`: deeper, or (YAML's exception) a sequence at the same indentation as its name.
fn nested(lines: &mut &[Line<'_>], indent: usize, depth: usize, in_sequence: bool) -> Result<Tree, Refusal> {
    match lines.first() {
        Some(line) if line.indent > indent => {
            let indent = line.indent;
            block(lines, indent, depth + 1)
        }
        Some(line)
            if !in_sequence && line.indent == indent && (line.text == "-" || line.text.starts_with("- ")) =>
        {
            sequence(lines, indent, depth + 1)
        }
        _ => Ok(Tree::Null),
    }
}

/// `name: value`, unless it is none.
fn split_key(text: &str, number: usize) -> Result<Option<(String, &str)>, Refusal> {
    if text.starts_with(['"', '\'']) {
        return match quoted(text, number)? {
            (name, rest) if rest.starts_with(':') => {
                Ok(Some((name, rest.trim_start_matches(':').trim_start())))
            }
            _ => Ok(None),
        };
    }
    if text.starts_with(['[', '{']) {
        return Ok(None);
    }
    let split = text
        .split_once(": ")
        .or_else(|| text.strip_suffix(':').map(|name| (name, "")));
    match split {
        Some((name, value)) => match plain(name.trim_end(), number)? {
            Tree::Scalar(name) => Ok(Some((name, value.trim_start()))),
            _ => Err(bad(number, "a name that is none")),
        },
        None => Ok(None),
    }
}

fn scalar(text: &str, number: usize) -> Result<Tree, Refusal> {
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner
            .strip_suffix(']')
            .ok_or_else(|| bad(number, "a list that does not end on its line"))?
            .trim();
        return flow(inner, number);
    }
    if text == "{}" {
        return Ok(Tree::Map(Vec::new()));
    }
    if text.starts_with(['"', '\'']) {
        return match quoted(text, number)? {
            (text, "") => Ok(Tree::Scalar(text)),
            _ => Err(bad(number, "something behind a quoted text")),
        };
    }
    if text.contains(": ") {
        return Err(bad(number, "a `: ` in a value; quote it"));
    }
    plain(text, number)
}

fn flow(mut inner: &str, number: usize) -> Result<Tree, Refusal> {
    let mut items = Vec::new();
    while !inner.is_empty() {
        let (item, rest) = if inner.starts_with(['"', '\'']) {
            let (text, rest) = quoted(inner, number)?;
            (Tree::Scalar(text), rest.trim_start())
        } else {
            let end = inner.find(',').unwrap_or(inner.len());
            let (item, rest) = inner.split_at(end);
            if item.contains(['[', ']', '{', '}', '"', '\'']) {
                return Err(bad(number, "a list within a list"));
            }
            (plain(item.trim(), number)?, rest)
        };
        items.push(item);
        inner = match rest.strip_prefix(',') {
            Some(rest) => rest.trim_start(),
            None if rest.is_empty() => rest,
            None => return Err(bad(number, "a list without a comma")),
        };
    }
    Ok(Tree::List(items))
}

fn plain(text: &str, number: usize) -> Result<Tree, Refusal> {
    let indicator = text.starts_with([
        '&', '*', '!', '|', '>', '@', '`', '%', '{', '}', '[', ']', ',', '"', '\'', '?', '#',
    ]);
    if text.is_empty() || indicator {
        return Err(bad(
            number,
            "YAML that is not read here (anchor, tag, block text, flow mapping)",
        ));
    }
    match text {
        "~" | "null" | "Null" | "NULL" => Ok(Tree::Null),
        text => Ok(Tree::Scalar(text.to_owned())),
    }
}

/// A quoted text at the beginning of `text`, and what follows it.
fn quoted(text: &str, number: usize) -> Result<(String, &str), Refusal> {
    let unended = || bad(number, "a quoted text that does not end on its line");
    let mut value = String::new();
    let mut chars = text.char_indices();
    let Some((_, quote)) = chars.next() else {
        return Err(unended());
    };
    while let Some((at, c)) = chars.next() {
        let rest = text.get(at + c.len_utf8()..).unwrap_or_default();
        match c {
            '\'' if quote == '\'' && rest.starts_with('\'') => {
                value.push('\'');
                chars.next();
            }
            c if c == quote => return Ok((value, rest.trim_start())),
            '\\' if quote == '"' => match chars.next() {
                Some((_, c @ ('"' | '\\' | '/'))) => value.push(c),
                _ => return Err(bad(number, "an escape that is not read here")),
            },
            c => value.push(c),
        }
    }
    Err(unended())
}

/// A `#` begins a comment at the start or after a space, outside quotes.
fn without_comment(text: &str, number: usize) -> Result<&str, Refusal> {
    let mut quote = None;
    let mut before = ' ';
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match quote {
            Some('"') if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '#' && before == ' ' => return Ok(text.get(..at).unwrap_or_default()),
            // Only where a value may begin: an apostrophe within a word is none.
            None if matches!(c, '"' | '\'') && matches!(before, ' ' | '[' | ',') => quote = Some(c),
            None => {}
        }
        before = c;
    }
    match quote {
        None => Ok(text),
        Some(_) => Err(bad(number, "a quoted text that does not end on its line")),
    }
}

fn bad(line: usize, what: &str) -> Refusal {
    invalid(format!("line {line}: {what}"))
}
