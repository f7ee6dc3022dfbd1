//! Numbers, bytes and paths, as people and shells read them.

use std::path::Path;

/// `1 node`, `2 nodes`.
pub(in crate::cli) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Bytes for people.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ];
    for (unit, size) in UNITS {
        if number >= size {
            #[allow(clippy::cast_precision_loss, reason = "two digits are shown")]
            return format!("{:.1} {unit}", number as f64 / size as f64);
        }
    }
    format!("{number} bytes")
}

/// A path as a shell takes it.
pub(in crate::cli) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_paths_are_written_for_people_and_shells() {
        assert_eq!(
            (count(1, "node"), count(0, "node")),
            ("1 node".to_owned(), "0 nodes".to_owned())
        );
        assert_eq!(
            (bytes(5), bytes(1536), bytes(u64::MAX)),
            ("5 bytes".into(), "1.5 KiB".into(), "16777216.0 TiB".into())
        );
        assert_eq!(quoted(Path::new("/run/a.sock")), "/run/a.sock");
        assert_eq!(quoted(Path::new("/it's $HOME")), "'/it'\\''s $HOME'");
    }
}
