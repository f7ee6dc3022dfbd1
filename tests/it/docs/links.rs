//! Relative links lead to files that are there, and to headings that are in them.

use std::path::Path;

use super::{name, pages};

#[test]
fn every_relative_link_leads_somewhere() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for link in links(&prose(&page)) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() {
                page.clone()
            } else {
                page.parent().unwrap().join(file)
            };
            if !target.exists() {
                wrong.push(format!("{}: {link}: no such file", name(&page)));
            } else if !anchor.is_empty() && !anchors(&target).iter().any(|known| known == anchor) {
                wrong.push(format!("{}: {link}: no such heading", name(&page)));
            }
        }
    }
    assert!(seen > 20, "links are found: {seen}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The page without its fenced blocks and code spans; line breaks inside a link's text are blanks.
fn prose(page: &Path) -> String {
    let text = std::fs::read_to_string(page).unwrap();
    let outside = text.split("\n```").step_by(2).collect::<Vec<_>>().join("\n");
    outside
        .split('`')
        .step_by(2)
        .collect::<Vec<_>>()
        .join("code")
        .replace('\n', " ")
}

fn links(text: &str) -> Vec<String> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0.trim().to_owned()))
        .filter(|link| !link.is_empty() && !link.contains(' '))
        .collect()
}

/// Headings as GitHub names them: lower case, blanks to hyphens, other marks gone.
fn anchors(page: &Path) -> Vec<String> {
    let Ok(text) = std::fs::read_to_string(page) else {
        return Vec::new();
    };
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}
