//! Where a request says that it belongs to a trace: `traceparent` (W3C Trace Context, level 1). Pure.
//!
//! *Invariant:* nothing in it is an error. What is not as the standard has it is as if it were not there: the request begins a trace
//! of its own. Nothing of it is shown but what was parsed.

use std::fmt;

use sigward_policies::model::trace::TraceId;

/// The length of `traceparent` in version 00; later versions only append.
const LENGTH: usize = 55;

/// The id of one span: 8 bytes, not all of them zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

impl SpanId {
    /// Takes an id; zeros are none.
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a request says of its trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The caller's span.
    pub span: SpanId,
    /// Whether the caller records it.
    pub sampled: bool,
}

impl TraceParent {
    /// Reads the one `traceparent` header of a request; more than one is none.
    pub fn of<'a>(mut headers: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let (first, second) = (headers.next()?, headers.next());
        second.is_none().then(|| Self::parse(first)).flatten()
    }

    fn parse(header: &[u8]) -> Option<Self> {
        let (known, rest) = header.split_at_checked(LENGTH)?;
        let known = std::str::from_utf8(known).ok()?;
        let mut parts = known.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let (version, flags) = (hex(version, 2)?, hex(flags, 2)?);
        let fits = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.first().is_none_or(|next| *next == b'-'),
        };
        if !fits || parts.next().is_some() {
            return None;
        }
        Some(Self {
            trace: TraceId::parse(trace)?,
            span: SpanId::new(hex(span, 16)?.to_be_bytes())?,
            sampled: flags & 1 == 1,
        })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{}-{}-{:02x}",
            self.trace,
            self.span,
            u8::from(self.sampled)
        )
    }
}

/// So many digits, in small letters.
fn hex(text: &str, digits: usize) -> Option<u64> {
    let small = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let good = text.len() == digits && text.bytes().all(small);
    good.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(text: &str) -> Option<TraceParent> {
        TraceParent::of(std::iter::once(text.as_bytes()))
    }

    #[test]
    fn what_the_standard_allows_is_read_and_written_alike() {
        assert_eq!(read(GOOD).unwrap().to_string(), GOOD);
        assert!(read(GOOD).unwrap().sampled);
        let other = GOOD.replace("-01", "-02");
        assert!(!read(&other).unwrap().sampled, "only the last bit says that");
        // A later version: what is known of it counts.
        for later in ["cc-", "01-"] {
            let text = GOOD.replacen("00-", later, 1);
            assert_eq!(read(&text), read(GOOD));
            assert_eq!(read(&format!("{text}-what-the-future-will-be-like")), read(GOOD));
            assert_eq!(read(&format!("{text}.what")), None);
        }
    }

    #[test]
    fn whatever_else_is_as_if_it_were_not_there() {
        let two = [GOOD.as_bytes(), GOOD.as_bytes()];
        assert_eq!(TraceParent::of(two.into_iter()), None);
        assert_eq!(TraceParent::of(std::iter::empty()), None);
        let cut = &GOOD[..54];
        let longer = format!("{GOOD}-00");
        let upper = GOOD.to_uppercase();
        let future = GOOD.replacen("00-", "ff-", 1);
        let no_trace = GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32));
        let no_span = GOOD.replace("b7ad6b7169203331", &"0".repeat(16));
        let moved = GOOD.replace("-b7ad", "b-7ad");
        let more = GOOD.replace("b7ad6b71", "b7ad-b71");
        let sign = GOOD.replacen("00-", "+0-", 1);
        for text in [
            "", "-", cut, &longer, &upper, &future, &no_trace, &no_span, &moved, &more, &sign,
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(TraceParent::of(std::iter::once([0xff_u8; 55].as_slice())), None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_bytes_come_only_ids_of_the_one_spelling_are_read(
            header in "(00|01|ff|[0-9a-fA-F]{2})-[0-9a-f]{31,33}-[0-9a-f]{15,17}-[0-9a-fx]{2}(-.*)?",
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80),
        ) {
            for header in [header.as_bytes(), &bytes] {
                let Some(read) = TraceParent::of(std::iter::once(header)) else { continue };
                let written = read.to_string();
                proptest::prop_assert_eq!(&written.as_bytes()[3..52], &header[3..52]);
                proptest::prop_assert_eq!(TraceParent::of(std::iter::once(written.as_bytes())), Some(read));
            }
        }
    }
}
