//! Patterns of names: `?` is one character, `*` any number of them within a part, `**` any number across parts.
//!
//! What parts are is the name's kind: labels of a DNS name, segments of a URI; a key's name is one part.
//! *Invariant:* matching allocates nothing.

/// Longest pattern, in bytes.
pub(super) const MAX_PATTERN: usize = 256;

/// A pattern. Letter case counts, unless the kind says otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Glob {
    text: Box<str>,
    tokens: Box<[Token]>,
    separator: Option<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token {
    Byte(u8),
    One,
    Within,
    Across,
}

impl Glob {
    /// Reads a pattern of names whose parts `separator` divides; none where a name has no parts.
    pub(super) fn new(text: &str, separator: Option<u8>) -> Self {
        let mut tokens = Vec::with_capacity(text.len());
        for byte in text.bytes() {
            match (byte, tokens.last()) {
                (b'*', Some(Token::Within | Token::Across)) => {
                    tokens.pop();
                    tokens.push(Token::Across);
                }
                (b'*', _) => tokens.push(Token::Within),
                (b'?', _) => tokens.push(Token::One),
                (byte, _) => tokens.push(Token::Byte(byte)),
            }
        }
        Self {
            text: text.into(),
            tokens: tokens.into(),
            separator,
        }
    }

    /// As it was written.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `name` is one of those it stands for.
    ///
    /// Greedy with one place to go back to for each kind of star: a later star of the same kind stands for whatever an earlier one
    /// could have taken up, and `**` restarts all that follows it.
    pub(super) fn matches(&self, name: &str) -> bool {
        let name = name.as_bytes();
        let (mut at, mut token) = (0, 0);
        // Where a star is, and how far what it stands for reaches.
        let mut within: Option<(usize, usize)> = None;
        let mut across: Option<(usize, usize)> = None;
        loop {
            match (self.tokens.get(token), name.get(at)) {
                (None, None) => return true,
                (Some(Token::Within), _) => {
                    within = Some((token, at));
                    token += 1;
                    continue;
                }
                (Some(Token::Across), _) => {
                    (across, within) = (Some((token, at)), None);
                    token += 1;
                    continue;
                }
                (Some(Token::Byte(wanted)), Some(byte)) if wanted == byte => {
                    (at, token) = (at + 1, token + 1);
                    continue;
                }
                (Some(Token::One), Some(byte)) if !self.separates(*byte) => {
                    (at, token) = (at + 1, token + 1);
                    continue;
                }
                _ => {}
            }
            if let Some((star, reached)) = within
                && name.get(reached).is_some_and(|byte| !self.separates(*byte))
            {
                within = Some((star, reached + 1));
                (token, at) = (star + 1, reached + 1);
            } else if let Some((star, reached)) = across
                && reached < name.len()
            {
                (across, within) = (Some((star, reached + 1)), None);
                (token, at) = (star + 1, reached + 1);
            } else {
                return false;
            }
        }
    }

    /// Whether some name might match both: never `false` for two that share one. What stands before the first star of both must
    /// agree, and what stands after the last.
    pub(super) fn may_meet(&self, other: &Self) -> bool {
        let agree = |(a, b): (&Token, &Token)| match (a, b) {
            (Token::Byte(a), Token::Byte(b)) => a == b,
            _ => true,
        };
        let fixed = |token: &&Token| !matches!(token, Token::Within | Token::Across);
        let heads = (
            self.tokens.iter().take_while(fixed),
            other.tokens.iter().take_while(fixed),
        );
        let tails = (
            self.tokens.iter().rev().take_while(fixed),
            other.tokens.iter().rev().take_while(fixed),
        );
        let both_fixed = self.is_fixed() && other.is_fixed();
        heads.0.zip(heads.1).all(agree)
            && tails.0.zip(tails.1).all(agree)
            && (!both_fixed || self.tokens.len() == other.tokens.len())
    }

    fn is_fixed(&self) -> bool {
        !self
            .tokens
            .iter()
            .any(|token| matches!(token, Token::Within | Token::Across))
    }

    fn separates(&self, byte: u8) -> bool {
        self.separator == Some(byte)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, in a few lines and exponential time.
    fn reference(pattern: &[u8], name: &[u8], separator: Option<u8>) -> bool {
        match pattern {
            [] => name.is_empty(),
            [b'*', b'*', rest @ ..] => {
                let rest = rest
                    .iter()
                    .position(|b| *b != b'*')
                    .map_or(&[][..], |at| &rest[at..]);
                (0..=name.len()).any(|taken| reference(rest, &name[taken..], separator))
            }
            [b'*', rest @ ..] => (0..=name.len())
                .take_while(|taken| !name[..*taken].iter().any(|b| Some(*b) == separator))
                .any(|taken| reference(rest, &name[taken..], separator)),
            [b'?', rest @ ..] => {
                name.first().is_some_and(|b| Some(*b) != separator) && reference(rest, &name[1..], separator)
            }
            [byte, rest @ ..] => name.first() == Some(byte) && reference(rest, &name[1..], separator),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        #[test]
        fn a_glob_means_what_its_definition_says(pattern in "[ab./*?]{0,9}", name in "[ab./]{0,9}", separator in 0_usize..3) {
            let separator = [None, Some(b'.'), Some(b'/')][separator];
            prop_assert_eq!(
                Glob::new(&pattern, separator).matches(&name),
                reference(pattern.as_bytes(), name.as_bytes(), separator)
            );
        }

        #[test]
        fn two_that_share_a_name_may_meet(a in "[ab.*?]{0,6}", b in "[ab.*?]{0,6}", name in "[ab.]{0,6}") {
            let (a, b) = (Glob::new(&a, Some(b'.')), Glob::new(&b, Some(b'.')));
            if a.matches(&name) && b.matches(&name) {
                prop_assert!(a.may_meet(&b) && b.may_meet(&a));
            }
        }
    }

    #[test]
    fn a_star_ends_with_its_part() {
        let dns = Glob::new("*.ops.example", Some(b'.'));
        assert!(dns.matches("alice.ops.example"));
        assert!(!dns.matches("a.b.ops.example") && !dns.matches("ops.example"));
        assert!(Glob::new("**.ops.example", Some(b'.')).matches("a.b.ops.example"));
        let uri = Glob::new("spiffe://t/ns/*/sa/signer", Some(b'/'));
        assert!(uri.matches("spiffe://t/ns/a/sa/signer") && !uri.matches("spiffe://t/ns/a/x/sa/signer"));
    }

    #[test]
    fn names_that_differ_before_or_after_every_star_never_meet() {
        let meet = |a: &str, b: &str| Glob::new(a, Some(b'.')).may_meet(&Glob::new(b, Some(b'.')));
        assert!(!meet("*.ops.example", "*.web.example"));
        assert!(!meet("alice", "bob") && !meet("a", "ab") && !meet("a-*", "b-*"));
        assert!(meet("*.example", "a.*") && meet("alice", "a*"));
    }
}
