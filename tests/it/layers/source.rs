//! One source file as the layer test sees it: its place in the module tree, and the paths that it names.

use std::path::Path;

use super::Breach;
use super::lexer::{Token, tokens};

/// A file, without the parts that only tests have.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) file: String,
    /// `["listener", "privval"]`; empty for the root.
    pub(super) module: Vec<String>,
    tokens: Vec<Token>,
    /// Full paths of the child modules behind `#[cfg(test)] mod name;`.
    test_modules: Vec<Vec<String>>,
}

/// The module that a file below `src` holds; the program's own file counts as a module `main` above all others.
pub(super) fn module_of(relative: &Path) -> Vec<String> {
    let mut module: Vec<String> = relative
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    if module.last().is_some_and(|last| last == "mod") || module == ["lib"] {
        module.pop();
    }
    module
}

/// Leaves out files that some other file declares for tests only.
pub(super) fn without_tests(sources: Vec<Source>) -> Vec<Source> {
    let tests: Vec<Vec<String>> = sources
        .iter()
        .flat_map(|source| source.test_modules.clone())
        .collect();
    sources
        .into_iter()
        .filter(|source| !tests.iter().any(|test| source.module.starts_with(test)))
        .collect()
}

impl Source {
    pub(super) fn parse(file: &str, module: Vec<String>, text: &str) -> Self {
        let (tokens, names) = cut_tests(tokens(text));
        let child = |name: String| module.iter().cloned().chain([name]).collect();
        let test_modules = names.into_iter().map(child).collect();
        Self {
            file: file.to_owned(),
            module,
            tokens,
            test_modules,
        }
    }

    pub(super) fn breach(&self, line: u32, what: impl Into<String>) -> Breach {
        Breach {
            file: self.file.clone(),
            line,
            what: what.into(),
        }
    }

    fn is(&self, at: usize, text: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.text == text)
    }

    /// Lines that name an outside crate: `name::…`, `use name`, but not `other::name`.
    pub(super) fn mentions(&self, name: &str) -> Vec<u32> {
        let named = |&at: &usize| {
            let follows = at.checked_sub(1).is_some_and(|before| self.is(before, "::"))
                && at
                    .checked_sub(2)
                    .is_some_and(|before| is_name(&self.tokens[before].text));
            let used = at
                .checked_sub(1)
                .is_some_and(|before| self.is(before, "use") || self.is(before, "crate"));
            self.is(at, name) && !follows && (used || self.is(at + 1, "::"))
        };
        (0..self.tokens.len())
            .filter(named)
            .map(|at| self.tokens[at].line)
            .collect()
    }

    /// What would let a path hide from this test.
    pub(super) fn oddities(&self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        for (at, token) in self.tokens.iter().enumerate() {
            let what = match token.text.as_str() {
                "crate" if self.is(at + 1, "as") => "renames the crate",
                "extern" if self.is(at + 1, "crate") => "`extern crate` hides a path",
                "include" if self.is(at + 1, "!") => "`include!` hides paths",
                "path" if self.is(at + 1, "=") && at >= 2 && self.is(at - 2, "#") => {
                    "`#[path]` hides a module's place"
                }
                _ => continue,
            };
            breaches.push(self.breach(token.line, what));
        }
        for (line, path) in self.paths("crate") {
            if matches!(path.first().map(String::as_str), Some("*" | "self")) {
                breaches.push(self.breach(line, "takes the whole root of the crate"));
            }
        }
        breaches
    }

    /// Every path that leads out of `root` (`crate`, or an outside crate such as `std`), `super::` resolved, with its line; a
    /// group gives one path a member.
    pub(super) fn paths(&self, root: &str) -> Vec<(u32, Vec<String>)> {
        let mut found = Vec::new();
        let mut inline: Vec<(String, u32)> = Vec::new();
        let mut depth = 0_u32;
        let mut at = 0;
        while let Some(token) = self.tokens.get(at) {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    while inline.last().is_some_and(|(_, opened)| *opened > depth) {
                        inline.pop();
                    }
                }
                "mod" if self.is(at + 2, "{") => inline.push((self.tokens[at + 1].text.clone(), depth + 1)),
                "super" if root == "crate" && self.is(at + 1, "::") => {
                    let mut base: Vec<String> = self
                        .module
                        .iter()
                        .cloned()
                        .chain(inline.iter().map(|(name, _)| name.clone()))
                        .collect();
                    while self.is(at, "super") && self.is(at + 1, "::") {
                        base.pop();
                        at += 2;
                    }
                    at = self.tree(at, &base, &mut found);
                    continue;
                }
                // `sigward::` is the crate, seen from its own program.
                "crate" | "sigward" if root == "crate" && self.is(at + 1, "::") => {
                    at = self.tree(at + 2, &[], &mut found);
                    continue;
                }
                name if name == root && self.is(at + 1, "::") => {
                    at = self.tree(at + 2, &[], &mut found);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        found
    }

    /// Reads `a::b`, `a::{b, c::d}` or `*` below `base`; returns where it ends.
    fn tree(&self, mut at: usize, base: &[String], found: &mut Vec<(u32, Vec<String>)>) -> usize {
        let mut path = base.to_vec();
        let line = self.tokens.get(at).map_or(0, |token| token.line);
        loop {
            match self.tokens.get(at).map(|token| token.text.as_str()) {
                Some("{") => {
                    at += 1;
                    while self.tokens.get(at).is_some_and(|token| token.text != "}") {
                        at = if self.is(at, ",") {
                            at + 1
                        } else {
                            self.tree(at, &path, found).max(at + 1)
                        };
                        if self.is(at, "as") {
                            at += 2;
                        }
                    }
                    return at + 1;
                }
                Some(name) if is_name(name) || name == "*" => path.push(name.to_owned()),
                _ => {}
            }
            if self.is(at + 1, "::") && self.tokens.get(at).is_some_and(|token| is_name(&token.text)) {
                at += 2;
            } else {
                found.push((line, path));
                return at + 1;
            }
        }
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Takes out every item behind `#[cfg(test)]`; returns the names of such modules that live in files of their own.
fn cut_tests(tokens: Vec<Token>) -> (Vec<Token>, Vec<String>) {
    let text = |at: usize| tokens.get(at).map_or("", |token: &Token| token.text.as_str());
    let (mut kept, mut names) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        let gated = text(at) == "#"
            && text(at + 1) == "["
            && text(at + 2) == "cfg"
            && for_tests_only(&tokens[at + 4..]);
        if !gated {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        while text(at) == "#" {
            at = past_group(&tokens, at + 1);
        }
        let start = at;
        while at < tokens.len() && text(at) != ";" && text(at) != "{" {
            at = if matches!(text(at), "(" | "[") {
                past_group(&tokens, at)
            } else {
                at + 1
            };
        }
        let module = (start..at).find(|&place| text(place) == "mod");
        if let (";", Some(module)) = (text(at), module) {
            names.push(text(module + 1).to_owned());
        }
        at = if text(at) == "{" {
            past_group(&tokens, at)
        } else {
            at + 1
        };
    }
    (kept, names)
}

/// `test)` or `all(test, …)`: never `not(test)` or `any(test, …)`, whose code a release has too.
fn for_tests_only(condition: &[Token]) -> bool {
    let texts: Vec<&str> = condition
        .iter()
        .take(4)
        .map(|token| token.text.as_str())
        .collect();
    matches!(
        texts.as_slice(),
        ["test", ")", ..] | ["all", "(", "test", "," | ")", ..]
    )
}

/// The place after the bracket that closes the one at `at`.
fn past_group(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0_u32;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
            }
            _ => {}
        }
    }
    at
}
