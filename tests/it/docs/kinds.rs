//! No block escapes: each is run, or checked, or says why it is neither.

use super::blocks::{Block, blocks};
use super::{name, pages};

/// Languages that nothing here runs, because they are read by people only, or by a compiler elsewhere.
const INERT: &[&str] = &["text", "yaml", "rust", "proto"];

#[test]
fn every_block_is_run_or_checked_or_says_why_not() {
    let mut wrong = Vec::new();
    for page in pages() {
        let mut before: Option<Block> = None;
        for block in blocks(&page) {
            if let Err(why) = judge(&block, before.as_ref()) {
                wrong.push(format!("{}:{}: {why}", name(&page), block.line));
            }
            before = Some(block);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn judge(block: &Block, before: Option<&Block>) -> Result<(), String> {
    match (block.language.as_str(), block.mark.as_deref()) {
        // Run by `play`, checked by `settings`.
        ("sh" | "toml" | "json" | "ini", None) => Ok(()),
        ("sh", Some(_)) if block.exit().is_some() => Ok(()),
        ("sh" | "toml" | "json" | "ini", Some("norun")) => match block.comment("norun") {
            Some(reason) if reason.len() > 10 => Ok(()),
            _ => Err("`<!-- norun: reason -->` stands right above it".to_owned()),
        },
        ("text", Some("output")) if before.is_some_and(|before| before.exit().is_some()) => Ok(()),
        ("text", Some("output")) => Err("output follows a block that runs".to_owned()),
        (language, None) if INERT.contains(&language) => Ok(()),
        (language, mark) => Err(format!(
            "a block of {language:?} {mark:?}: what is to be done with it?"
        )),
    }
}
