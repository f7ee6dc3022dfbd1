//! "Did you mean": the known word nearest to an unknown one, for everything that people write in files.

/// What to do about `word`, which is none of `known`.
pub fn advice(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// The known word nearest to `word`, if it is near at all: a third of its letters may differ.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // A hostile word could be long; no known one is.
    if word.chars().count() > 64 {
        return None;
    }
    let word = word.to_ascii_lowercase().replace('-', "_");
    known
        .iter()
        .map(|candidate| (distance(&word, candidate), *candidate))
        .filter(|(far, candidate)| *far <= candidate.len().max(3) / 3)
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words, a swap of neighbours counted as one (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut last_char = None;
    for (i, x) in a.chars().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        let mut left_char = None;
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let mut cost = (at(&last, j) + usize::from(x != *y))
                .min(at(&last, j + 1) + 1)
                .min(at(&row, j) + 1);
            if j > 0 && left_char == Some(x) && last_char == Some(*y) {
                cost = cost.min(at(&before, j - 1).saturating_add(1));
            }
            row.push(cost);
            left_char = Some(*y);
        }
        before = last;
        last = row;
        last_char = Some(x);
    }
    last.last().copied().unwrap_or(usize::MAX)
}

/// Reads serde's sentence on an unknown field: the field, and the known ones.
pub fn unknown_field(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (word, rest) = match rest.split_once("`, expected ") {
        Some(split) => split,
        None => (rest.split_once("`, there are no fields")?.0, ""),
    };
    let known = rest.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    Some((word.to_owned(), known))
}

/// Reads serde's sentence on a missing field.
pub fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_word() {
        let known = ["height_jump", "heights_per_second", "round_jump", "id", "key"];
        assert_eq!(nearest("hieght_jump", &known), Some("height_jump"));
        assert_eq!(nearest("height-jump", &known), Some("height_jump"));
        assert_eq!(nearest("keys", &known), Some("key"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest(&"k".repeat(100_000), &known), None);
        assert_eq!(nearest("", &[]), None);
    }

    #[test]
    fn distances_are_those_of_optimal_string_alignment() {
        for (a, b, far) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("ab", "ba", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), far, "{a} {b}");
        }
    }
}
