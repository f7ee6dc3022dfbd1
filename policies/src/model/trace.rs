//! The id of a trace: what ties the records and log lines of one request together, and those of others who saw it pass.

use std::fmt;

/// 16 bytes, not all of them zero (W3C Trace Context, section 3.2.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// Takes an id; zeros are none.
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// Reads 32 hexadecimal digits, in small letters only: the one spelling of the standard.
    pub fn parse(text: &str) -> Option<Self> {
        let small = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 32 || !text.bytes().all(small) {
            return None;
        }
        u128::from_str_radix(text, 16)
            .ok()
            .and_then(|number| Self::new(number.to_be_bytes()))
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_has_one_spelling_and_is_never_zero() {
        let text = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(TraceId::parse(text).unwrap().to_string(), text);
        let zeros = "0".repeat(32);
        for text in [
            "",
            "0af7651916cd43dd8448eb211c80319",
            "0AF7651916CD43DD8448EB211C80319C",
            "+af7651916cd43dd8448eb211c80319c",
            " af7651916cd43dd8448eb211c80319c",
            &zeros,
        ] {
            assert!(TraceId::parse(text).is_none(), "{text:?}");
        }
        assert!(TraceId::new([0; 16]).is_none());
    }
}
