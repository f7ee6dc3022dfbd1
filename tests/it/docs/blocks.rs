//! Fenced blocks of a page: their language, their marks, their text, and the comments that stand right above them.

use std::path::Path;

use super::name;

/// A fenced block.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// The line of the fence, from 1.
    pub(super) line: usize,
    /// `sh`, `toml`, `text`, …
    pub(super) language: String,
    /// What follows the language: `norun`, `output`, `exit=3`.
    pub(super) mark: Option<String>,
    pub(super) text: String,
    /// `<!-- key: value -->` right above it, in order.
    comments: Vec<(String, String)>,
}

impl Block {
    /// The value of the comment called `key`.
    pub(super) fn comment(&self, key: &str) -> Option<&str> {
        let found = self.comments.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn is(&self, language: &str, mark: Option<&str>) -> bool {
        self.language == language && self.mark.as_deref() == mark
    }

    /// The exit code that its last command must have; `None` when nobody runs it.
    pub(super) fn exit(&self) -> Option<i32> {
        match (self.language.as_str(), self.mark.as_deref()) {
            ("sh", None) => Some(0),
            ("sh", Some(mark)) => mark.strip_prefix("exit=")?.parse().ok(),
            _ => None,
        }
    }
}

/// All blocks of a page, in order.
pub(super) fn blocks(page: &Path) -> Vec<Block> {
    let text = std::fs::read_to_string(page).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<(Block, usize)> = None;
    let mut comments = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        match (&mut open, trimmed.strip_prefix("```")) {
            (None, Some(info)) => {
                let (language, mark) = info.trim().split_once(' ').unwrap_or((info.trim(), ""));
                let block = Block {
                    line: index + 1,
                    language: language.to_owned(),
                    mark: (!mark.is_empty()).then(|| mark.trim().to_owned()),
                    text: String::new(),
                    comments: std::mem::take(&mut comments),
                };
                open = Some((block, line.len() - trimmed.len()));
            }
            (Some(_), Some("")) => blocks.extend(open.take().map(|(block, _)| block)),
            (Some((block, indent)), _) => {
                block.text.push_str(line.get(*indent..).unwrap_or_default());
                block.text.push('\n');
            }
            (None, None) => match comment(trimmed) {
                Some(comment) => comments.push(comment),
                None if !trimmed.is_empty() => comments.clear(),
                None => {}
            },
        }
    }
    assert!(open.is_none(), "{}: a block does not end", name(page));
    blocks
}

/// What `<!-- scene: NAME -->` at the top of the page says: what is there before its first block runs.
pub(super) fn scene(page: &Path) -> Option<String> {
    let text = std::fs::read_to_string(page).unwrap();
    let mut found = text.lines().filter_map(comment).filter(|(key, _)| key == "scene");
    found.next().map(|(_, value)| value)
}

fn comment(line: &str) -> Option<(String, String)> {
    let inner = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
    let (key, value) = inner.split_once(": ")?;
    Some((key.to_owned(), value.to_owned()))
}
