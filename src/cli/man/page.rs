//! One manual page. What clap_mangen makes of help texts is a paragraph, examples included: filled, justified and useless. Here
//! a line that begins with a blank is an example and stays as it is, and what stands below the help has its section's proper name.

use clap::Command;
use clap_mangen::Man;

/// The page of a command that was built.
pub(super) fn render(command: Command) -> anyhow::Result<String> {
    let said = |text: Option<&clap::builder::StyledStr>| text.map(ToString::to_string).unwrap_or_default();
    let about = said(command.get_long_about().or_else(|| command.get_about()));
    let below = said(command.get_after_long_help().or_else(|| command.get_after_help()));
    let text = Text::read(&about, &below);
    let has_options = command.get_arguments().any(|argument| !argument.is_hide_set());
    let has_commands = command.get_subcommands().any(|below| !below.is_hide_set());

    let man = Man::new(command).source(concat!("sigward ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    page.extend(section("DESCRIPTION", &text.description).into_bytes());
    if has_options {
        man.render_options_section(&mut page)?;
    }
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    for (heading, lines) in [("EXAMPLES", &text.examples), ("EXIT STATUS", &text.exits)] {
        if !lines.is_empty() {
            page.extend(section(heading, lines).into_bytes());
        }
    }
    man.render_version_section(&mut page)?;
    Ok(String::from_utf8(page)?)
}

/// Help texts, by the section that each paragraph belongs to.
#[derive(Default)]
struct Text {
    description: Vec<String>,
    examples: Vec<String>,
    exits: Vec<String>,
}

impl Text {
    /// Examples are in the paragraph that is called so, in every one that has indented lines, and in the line that introduces it.
    fn read(about: &str, below: &str) -> Self {
        let mut text = Self::default();
        let paragraphs: Vec<Vec<&str>> = [about, below].into_iter().flat_map(paragraphs).collect();
        for (at, lines) in paragraphs.iter().enumerate() {
            let introduces = lines.iter().all(|line| line.ends_with(':')) && lines.len() == 1;
            let next_is_example = paragraphs
                .get(at + 1)
                .is_some_and(|next| next.iter().any(|line| is_example(line)));
            let into = if lines.first().is_some_and(|line| line.starts_with("Exit codes:")) {
                &mut text.exits
            } else if lines.iter().any(|line| is_example(line)) || (introduces && next_is_example) {
                &mut text.examples
            } else {
                &mut text.description
            };
            // The heading says it.
            let kept = lines.iter().filter(|line| **line != "Examples:");
            if !into.is_empty() {
                into.push(String::new());
            }
            into.extend(kept.map(|line| line.strip_prefix("Exit codes: ").unwrap_or(line).to_owned()));
        }
        text
    }
}

fn is_example(line: &str) -> bool {
    line.starts_with(' ')
}

fn paragraphs(text: &str) -> Vec<Vec<&str>> {
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    let parts = lines.split(|line| line.is_empty());
    parts.filter(|part| !part.is_empty()).map(<[_]>::to_vec).collect()
}

/// A section: running text is filled, an example is not.
fn section(heading: &str, lines: &[String]) -> String {
    let mut page = format!(".SH \"{heading}\"\n");
    let mut in_example = false;
    // Nothing to part before the first paragraph.
    let mut parted = true;
    for line in lines {
        if is_example(line) != in_example && !line.is_empty() {
            in_example = !in_example;
            page.push_str(if in_example {
                ".PP\n.RS 4\n.nf\n"
            } else {
                ".fi\n.RE\n"
            });
            parted = true;
        }
        if line.is_empty() {
            if in_example {
                page.push_str(".fi\n.RE\n");
                in_example = false;
            }
            parted = false;
            continue;
        }
        if !parted && !in_example {
            page.push_str(".PP\n");
        }
        parted = true;
        page.push_str(&escaped(if in_example { line.trim_start() } else { line }));
        page.push('\n');
    }
    if in_example {
        page.push_str(".fi\n.RE\n");
    }
    page
}

/// A line of text for roff: what it would read as its own is not.
fn escaped(line: &str) -> String {
    let mut safe = String::with_capacity(line.len() + 8);
    if line.starts_with(['.', '\'']) {
        safe.push_str("\\&");
    }
    for c in line.chars() {
        match c {
            '\\' => safe.push_str("\\e"),
            '-' => safe.push_str("\\-"),
            '`' => safe.push_str("\\(ga"),
            '\'' => safe.push_str("\\(aq"),
            '^' => safe.push_str("\\(ha"),
            '~' => safe.push_str("\\(ti"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const BELOW: &str = "\
Examples:
  sigward a --b c    why
  sigward a | jq '.[0]'

It changes nothing.

Exit codes: 0 done";

    fn page() -> String {
        let mut command = Command::new("sigward")
            .version("1")
            .long_about("Short.\n\nLonger, in two\nlines.\n\n  sigward x\n")
            .after_help(BELOW);
        command.build();
        render(command).unwrap()
    }

    #[test]
    fn examples_stay_as_they_are_in_a_section_of_their_own() {
        let page = page();
        assert!(
            page.contains(".SH \"EXAMPLES\"\n.PP\n.RS 4\n.nf\nsigward x\n.fi\n.RE\n.PP\n.RS 4\n.nf\nsigward a \\-\\-b c    why\nsigward a | jq \\(aq.[0]\\(aq\n.fi\n.RE\n"),
            "{page}"
        );
        assert!(page.contains(".SH \"EXIT STATUS\"\n0 done\n"), "{page}");
        assert!(
            page.contains(
                ".SH \"DESCRIPTION\"\nShort.\n.PP\nLonger, in two\nlines.\n.PP\nIt changes nothing.\n.ie"
            ),
            "{page}"
        );
        assert!(!page.contains("EXTRA") && !page.contains("Examples:"), "{page}");
    }

    #[test]
    fn a_line_that_looks_like_a_request_is_text() {
        assert_eq!(escaped(".so /etc/passwd"), "\\&.so /etc/passwd");
        assert_eq!(escaped("'tis \\n"), "\\&\\(aqtis \\en");
    }
}
