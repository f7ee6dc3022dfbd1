//! The documentation is run: every shell block of the pages that promise it works as it stands, every other one says why it is
//! not run, and no link leads nowhere.

mod blocks;
mod links;
mod run;

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
