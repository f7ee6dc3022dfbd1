//! Findings on a terminal, grouped, with a mark each; and in JSON.
//!
//! *Invariant:* what a node or a file said reaches the terminal without control characters.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::finding::{Finding, Status};

/// Which marks a terminal can show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Marks {
    Unicode,
    Ascii,
}

impl Marks {
    /// What the locale promises (locale(7)): `LC_ALL`, else `LC_CTYPE`, else `LANG`.
    pub(super) fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let locale = set("LC_ALL")
            .or_else(|| set("LC_CTYPE"))
            .or_else(|| set("LANG"))
            .unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        if locale.contains("utf-8") || locale.contains("utf8") {
            Self::Unicode
        } else {
            Self::Ascii
        }
    }

    const fn mark(self, status: Status) -> &'static str {
        match (self, status) {
            (Self::Unicode, Status::Ok) => "✓",
            (Self::Unicode, Status::Note) => "·",
            (Self::Unicode, Status::Failure) => "✗",
            (Self::Ascii, Status::Ok) => "+",
            (Self::Ascii, Status::Note) => "-",
            (Self::Ascii, Status::Failure) => "x",
            (_, Status::Warning) => "!",
        }
    }

    const fn arrow(self) -> &'static str {
        match self {
            Self::Unicode => "→",
            Self::Ascii => "->",
        }
    }
}

/// The whole screen; `summary` ends it, which may count more than is shown.
pub(super) fn text(findings: &[Finding], marks: Marks, summary: &str) -> String {
    let mut screen = String::new();
    let mut group = "";
    for finding in in_order(findings) {
        if finding.check.group() != group {
            group = finding.check.group();
            let _infallible = writeln!(screen, "{}{group}", if screen.is_empty() { "" } else { "\n" });
        }
        line(&mut screen, finding, marks);
    }
    let _infallible = write!(screen, "\n{summary}");
    screen
}

/// One finding, as [`text`] shows it.
pub(super) fn line(screen: &mut String, finding: &Finding, marks: Marks) {
    let about = if finding.about.is_empty() {
        String::new()
    } else {
        format!("{}: ", finding.about)
    };
    let sentence = printable(&format!("{about}{}", finding.fact));
    let _infallible = writeln!(
        screen,
        "  {} {:<20} {sentence}",
        marks.mark(finding.status),
        finding.check.as_str()
    );
    if let (Some(remedy), true) = (&finding.remedy, finding.status != Status::Ok) {
        let _infallible = writeln!(screen, "    {:<20} {} {}", "", marks.arrow(), printable(remedy));
    }
}

/// The last line.
pub(super) fn summary(findings: &[Finding]) -> String {
    let of = |status| findings.iter().filter(|finding| finding.status == status).count();
    let (failures, warnings, notes) = (of(Status::Failure), of(Status::Warning), of(Status::Note));
    let counted = format!(
        "{}, {}, {}, {} ok",
        super::count(failures, "failure"),
        super::count(warnings, "warning"),
        super::count(notes, "note"),
        of(Status::Ok)
    );
    match (failures, warnings) {
        (0, 0) => format!("All is well: {counted}."),
        (0, _) => format!("It works; see the warnings: {counted}."),
        _ => format!("Something is wrong: {counted}."),
    }
}

/// One object a finding.
pub(super) fn json(findings: &[Finding]) -> Value {
    in_order(findings)
        .iter()
        .map(|finding| {
            json!({
                "check": finding.check.as_str(),
                "about": finding.about,
                "status": finding.status.as_str(),
                "fact": printable(&finding.fact),
                "remedy": finding.remedy.as_deref().map(printable),
            })
        })
        .collect()
}

/// By group; within one as they were found, which keeps a node's together.
fn in_order(findings: &[Finding]) -> Vec<&Finding> {
    let mut groups: Vec<(super::finding::Check, &str)> = Vec::new();
    for finding in findings {
        match groups
            .iter_mut()
            .find(|(_, group)| *group == finding.check.group())
        {
            Some((first, _)) => *first = (*first).min(finding.check),
            None => groups.push((finding.check, finding.check.group())),
        }
    }
    groups.sort_unstable();
    let of = |group| {
        findings
            .iter()
            .filter(move |finding| finding.check.group() == group)
    };
    groups.into_iter().flat_map(|(_, group)| of(group)).collect()
}

fn printable(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    lines.join("; ").chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::super::finding::Check;
    use super::*;

    fn sick() -> Vec<Finding> {
        vec![
            Finding::failure(
                Check::NodeReachable,
                "connection refused: nobody listens",
                "start the node",
            )
            .about("hub-1/a"),
            Finding::failure(
                Check::FilesSeal,
                "has mode 0644: open to others",
                "chmod 0600 /h/seal.key",
            )
            .about("/h/seal.key"),
            Finding::warning(
                Check::DiskFsync,
                "200 syncs: p50 12.00 ms, p99 31.00 ms",
                "use another disk",
            ),
            Finding::note(Check::ChainRpc, "a\u{1b}[2Jb\nc"),
            Finding::ok(Check::MemoryLock, "1.1 MiB for secrets").remedy("not shown when all is well"),
        ]
    }

    #[test]
    fn a_sick_screen() {
        let expected = "\
files
  ✗ files.seal           /h/seal.key: has mode 0644: open to others
                         → chmod 0600 /h/seal.key

memory
  ✓ memory.lock          1.1 MiB for secrets

disk
  ! disk.fsync           200 syncs: p50 12.00 ms, p99 31.00 ms
                         → use another disk

node
  ✗ node.reachable       hub-1/a: connection refused: nobody listens
                         → start the node

chain
  · chain.rpc            a [2Jb; c

Something is wrong: 2 failures, 1 warning, 1 note, 1 ok.";
        assert_eq!(text(&sick(), Marks::Unicode, &summary(&sick())), expected);
    }

    #[test]
    fn a_healthy_screen_in_ascii() {
        let healthy = [
            Finding::ok(Check::MemoryLock, "fine"),
            Finding::ok(Check::ConfigValid, "2 chains"),
        ];
        let expected = "\
config
  + config.valid         2 chains

memory
  + memory.lock          fine

All is well: 0 failures, 0 warnings, 0 notes, 2 ok.";
        assert_eq!(text(&healthy, Marks::Ascii, &summary(&healthy)), expected);
    }

    #[test]
    fn scripts_get_every_field_of_every_finding() {
        let json = json(&sick());
        let first = json.get(0).cloned().unwrap_or_default();
        assert_eq!(
            first,
            json!({ "check": "files.seal", "about": "/h/seal.key", "status": "failure",
                    "fact": "has mode 0644: open to others", "remedy": "chmod 0600 /h/seal.key" })
        );
        assert_eq!(json.as_array().map(Vec::len), Some(5));
    }

    #[test]
    fn marks_follow_the_locale() {
        let of = |pairs: &'static [(&str, &str)]| {
            Marks::of_locale(|name| {
                pairs
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(of(&[("LANG", "de_DE.UTF-8")]), Marks::Unicode);
        assert_eq!(of(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]), Marks::Ascii);
        assert_eq!(of(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]), Marks::Unicode);
        assert_eq!(of(&[]), Marks::Ascii);
    }
}
