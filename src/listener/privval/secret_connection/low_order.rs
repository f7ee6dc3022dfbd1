//! The points of Curve25519 that must not be anybody's ephemeral key.
//!
//! With one of them the shared secret is zero whatever the other side's secret is, so a third party
//! in between could know it. The all-zero check after the multiplication catches them too; this list
//! names the attack before a secret is used at all.

/// All u-coordinates of low order, canonical or not, with the top bit clear, little-endian. The list
/// of <https://cr.yp.to/ecdh.html#validate> without the entries that differ in the top bit only.
const LOW_ORDER: [[u8; 32]; 7] = [
    // 0, order 4
    [0; 32],
    // 1, order 1 on the twist
    with_first(0x01, 0x00, 0x00),
    // order 8
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    // order 8
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    // p - 1, order 2
    with_first(0xec, 0xff, 0x7f),
    // p, that is 0
    with_first(0xed, 0xff, 0x7f),
    // p + 1, that is 1
    with_first(0xee, 0xff, 0x7f),
];

/// Whether `point` is of low order. X25519 ignores the top bit (RFC 7748, 5), so this does too.
pub(super) fn is_low_order(point: &[u8; 32]) -> bool {
    let mut masked = *point;
    masked[31] &= 0x7f;
    LOW_ORDER.contains(&masked)
}

/// Thirty-two bytes of `middle`, but for the first and the last.
const fn with_first(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_point_is_refused_with_and_without_the_top_bit() {
        for point in LOW_ORDER {
            let mut high = point;
            high[31] |= 0x80;
            assert!(is_low_order(&point) && is_low_order(&high), "{point:02x?}");
        }
    }

    #[test]
    fn every_listed_point_gives_a_zero_secret_and_the_base_point_does_not() {
        for point in LOW_ORDER {
            assert_eq!(x25519_dalek::x25519([0x42; 32], point), [0; 32], "{point:02x?}");
        }
        assert!(!is_low_order(&x25519_dalek::X25519_BASEPOINT_BYTES));
        assert_ne!(
            x25519_dalek::x25519([0x42; 32], x25519_dalek::X25519_BASEPOINT_BYTES),
            [0; 32]
        );
    }
}
