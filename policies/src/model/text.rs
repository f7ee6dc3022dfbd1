//! Text that somebody else wrote, on its way to a terminal or a log. Escape sequences would move the cursor, a line break would forge
//! a line, and the bidirectional controls would have it read in another order than it was written (CVE-2021-42574).

/// Whether `c` may reach a terminal as it is.
pub const fn is_plain(c: char) -> bool {
    !matches!(
        c,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// The text as one line that only shows: whatever is not plain becomes U+FFFD.
pub fn one_line(text: &str) -> String {
    text.chars().map(shown).collect()
}

/// The same for text of several lines: line breaks and tabs stay.
pub fn lines(text: &str) -> String {
    let shown = |c| if matches!(c, '\n' | '\t') { c } else { shown(c) };
    text.chars().map(shown).collect()
}

/// The first `most` characters of [`one_line`], with an ellipsis where that is not all.
pub fn cut(text: &str, most: usize) -> String {
    let mut kept: String = text.chars().take(most).map(shown).collect();
    if text.chars().nth(most).is_some() {
        kept.push('…');
    }
    kept
}

/// The stable code at the beginning of one of our messages (`code: sentence`), if it begins with one.
pub fn code_of(message: &str) -> Option<&str> {
    let (code, _) = message.split_once(": ")?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (!code.is_empty() && code.bytes().all(plain)).then_some(code)
}

const fn shown(c: char) -> char {
    if is_plain(c) {
        c
    } else {
        char::REPLACEMENT_CHARACTER
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_word_of_ours_before_a_colon() {
        assert_eq!(code_of("key_not_found: no key"), Some("key_not_found"));
        for none in [
            "",
            ": x",
            "no key",
            "Key: x",
            "transport error: x",
            "key_not_found",
        ] {
            assert_eq!(code_of(none), None, "{none}");
        }
    }

    #[test]
    fn nothing_moves_a_cursor_or_forges_a_line() {
        let hostile = "a\x1b[2J\r\nb\u{9b}31m\u{202e}c\u{2028}d\x07";
        assert_eq!(
            one_line(hostile),
            "a\u{fffd}[2J\u{fffd}\u{fffd}b\u{fffd}31m\u{fffd}c\u{fffd}d\u{fffd}"
        );
        assert_eq!(lines("a\nb\tc\x1b"), "a\nb\tc\u{fffd}");
        assert_eq!(one_line("node-2 entführt ✓"), "node-2 entführt ✓");
        assert_eq!(
            (cut("abc", 3), cut("ab\ncd", 3)),
            ("abc".to_owned(), "ab\u{fffd}…".to_owned())
        );
    }
}
