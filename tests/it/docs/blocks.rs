//! Fenced blocks of a page: their language, their text, and what stands above them.

use std::path::Path;

use super::{name, pages};

/// A fenced block.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// The line of the fence, from 1.
    pub(super) line: usize,
    /// What follows the fence: `sh`, `sh norun`, `toml`, …
    pub(super) info: String,
    pub(super) text: String,
    /// The last line with words above the fence.
    above: String,
}

/// Languages of blocks that nobody runs, because nobody could.
const INERT: &[&str] = &["text", "toml", "ini", "json", "yaml", "rust", "proto"];

pub(super) fn blocks(page: &Path) -> Vec<Block> {
    let text = std::fs::read_to_string(page).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<(Block, usize)> = None;
    let mut above = String::new();
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        match (&mut open, trimmed.strip_prefix("```")) {
            (None, Some(info)) => {
                let block = Block {
                    line: index + 1,
                    info: info.trim().to_owned(),
                    text: String::new(),
                    above: std::mem::take(&mut above),
                };
                open = Some((block, line.len() - trimmed.len()));
            }
            (Some(_), Some("")) => blocks.extend(open.take().map(|(block, _)| block)),
            (Some((block, indent)), _) => {
                block.text.push_str(line.get(*indent..).unwrap_or_default());
                block.text.push('\n');
            }
            (None, None) if !trimmed.is_empty() => above = trimmed.to_owned(),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{}: a block does not end", name(page));
    blocks
}

#[test]
fn every_block_is_run_or_says_why_it_is_not() {
    for page in pages() {
        for block in blocks(&page) {
            let place = format!("{}:{}", name(&page), block.line);
            match block.info.as_str() {
                "sh" => assert!(
                    super::run::RUN.contains(&&*name(&page)),
                    "{place}: blocks of this page are not run: mark it `sh norun`, or add the page to the ones that are"
                ),
                "sh norun" => {
                    let reason = block
                        .above
                        .strip_prefix("<!-- norun: ")
                        .and_then(|rest| rest.strip_suffix(" -->"));
                    assert!(
                        reason.is_some_and(|reason| reason.len() > 10),
                        "{place}: `<!-- norun: reason -->` stands right above it, not {:?}",
                        block.above
                    );
                }
                other => assert!(
                    INERT.contains(&other),
                    "{place}: a block of {other:?}: sh, or one of {INERT:?}"
                ),
            }
        }
    }
}
