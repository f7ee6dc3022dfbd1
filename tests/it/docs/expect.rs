//! Compares what a block printed with what the page says it prints. `[..]` stands for anything within a line, a line of `...` for
//! any number of lines: what a page shows is what a reader sees, and times and keys differ.

/// Whether `printed` is what the page shows.
pub(super) fn matches(shown: &str, printed: &str) -> bool {
    let shown: Vec<_> = shown.lines().map(str::trim_end).collect();
    let printed: Vec<_> = printed.trim_end().lines().map(str::trim_end).collect();
    lines(&shown, &printed)
}

fn lines(shown: &[&str], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((&"...", rest)) => (0..=printed.len()).any(|skip| lines(rest, &printed[skip..])),
        Some((first, rest)) => printed
            .split_first()
            .is_some_and(|(line, printed)| within(first, line) && lines(rest, printed)),
    }
}

fn within(shown: &str, printed: &str) -> bool {
    match shown.split_once("[..]") {
        None => shown == printed,
        Some((start, rest)) => printed.strip_prefix(start).is_some_and(|tail| {
            let mut cuts = (0..=tail.len()).filter(|at| tail.is_char_boundary(*at));
            cuts.any(|at| within(rest, &tail[at..]))
        }),
    }
}

#[test]
fn wildcards_stand_for_what_differs_and_for_nothing_else() {
    assert!(matches("a [..] c\n", "a b c\n"));
    assert!(matches("a[..]\n...\nz\n", "abc\n1\n2\nz\n"));
    assert!(matches("...\nz", "z\n"));
    assert!(!matches("a [..] c\n", "a b d\n"));
    assert!(!matches("a\n", "a\nb\n"));
    assert!(!matches("a\nb\n", "a\n"));
}
