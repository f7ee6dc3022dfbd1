//! The documentation is run. Every block of a shell script in every page runs as it stands, in the order of the page, against real
//! nodes where the page needs them, and prints what the page says; pieces of configuration are read by their readers; what cannot
//! be run here says why; and no link leads nowhere.
//!
//! - [`blocks`] reads pages, [`kinds`] lets no block escape, [`links`] follows links, [`codes`] looks for codes
//!   that no page explains;
//! - [`settings`] checks `toml`, `json` and units;
//! - [`stage`] has the machines of a page ([`machine`]) and knows what things are called there ([`names`]); [`play`] plays pages on
//!   them, [`expect`] compares what they print.

mod blocks;
mod codes;
mod expect;
mod kinds;
mod links;
mod machine;
mod names;
mod play;
mod settings;
mod stage;

use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page, build folders and other projects' vectors left out.
fn pages() -> Vec<PathBuf> {
    fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !matches!(name, "target" | "corpus" | "vectors") && !name.starts_with('.') {
                    collect(&path, into);
                }
            } else if name.ends_with(".md") {
                into.push(path);
            }
        }
    }
    let mut pages = Vec::new();
    collect(root(), &mut pages);
    pages.sort();
    assert!(pages.len() > 10, "{pages:?}");
    pages
}

fn name(page: &Path) -> String {
    page.strip_prefix(root()).unwrap().display().to_string()
}
