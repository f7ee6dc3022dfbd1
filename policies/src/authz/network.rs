//! Source networks: an address and how much of it counts (RFC 4632, RFC 4291). IPv4 inside IPv6 is IPv4.

// Of `core`: an address is data; sockets are in `std`.
use core::net::IpAddr;
use std::fmt;

/// Addresses that begin alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32` or one address. The sentence says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address
            .parse()
            .map_err(|_| "write a network such as 10.0.0.0/8 or 2001:db8::/32, or one address".to_owned())?;
        let widest = width(address);
        let plain = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
        let prefix = match prefix {
            None => widest,
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|prefix| plain(digits) && *prefix <= widest)
                .ok_or_else(|| format!("what follows the slash is a number from 0 to {widest}"))?,
        };
        let network = Self { address, prefix };
        let first = network.first();
        if first != address {
            return Err(format!(
                "bits are set behind the prefix: did you mean {first}/{prefix}?"
            ));
        }
        Ok(network.canonical())
    }

    /// Whether `address` is one of them.
    pub(super) fn contains(self, address: IpAddr) -> bool {
        let same = |a: u128, b: u128, width: u8| {
            let behind = u32::from(width.saturating_sub(self.prefix));
            // A prefix of nothing shifts everything out: `None` on both sides.
            a.checked_shr(behind) == b.checked_shr(behind)
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => same(own.to_bits().into(), other.to_bits().into(), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => same(own.to_bits(), other.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
    fn canonical(self) -> Self {
        match self.address.to_canonical() {
            address @ IpAddr::V4(_) if self.address.is_ipv6() && self.prefix >= 96 => Self {
                address,
                prefix: self.prefix - 96,
            },
            _ => self,
        }
    }

    /// The first of them: the bits behind the prefix are zero.
    fn first(self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V4((address.to_bits() & mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V6((address.to_bits() & mask).into())
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn bits(address: IpAddr) -> Vec<bool> {
        let (value, width) = match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        (0..width).rev().map(|at| value >> at & 1 == 1).collect()
    }

    proptest! {
        #[test]
        fn a_network_is_its_first_bits(net: u32, prefix in 0_u8..=32, other: u32, near: bool) {
            let network = Network { address: IpAddr::V4(net.into()), prefix };
            let network = Network { address: network.first(), prefix };
            // An address that shares most of it, half of the time.
            let other = IpAddr::V4(Ipv4Addr::from(if near { net ^ (other >> 20) } else { other }));
            let wanted = bits(network.address)[..usize::from(prefix)] == bits(other)[..usize::from(prefix)];
            prop_assert_eq!(network.contains(other), wanted);
            prop_assert_eq!(Network::parse(&network.to_string()), Ok(network));
            let IpAddr::V4(v4) = other else { unreachable!() };
            prop_assert_eq!(network.contains(IpAddr::V6(v4.to_ipv6_mapped())), wanted);
        }

        #[test]
        fn and_so_it_is_with_the_long_ones(net: u128, prefix in 0_u8..=128, other: u128, near: bool) {
            let network = Network { address: IpAddr::V6(net.into()), prefix };
            let network = Network { address: network.first(), prefix };
            let other = IpAddr::V6(Ipv6Addr::from(if near { net ^ (other >> 90) } else { other }));
            prop_assume!(other.to_canonical().is_ipv6() && network.address.to_canonical().is_ipv6());
            let wanted = bits(network.address)[..usize::from(prefix)] == bits(other)[..usize::from(prefix)];
            prop_assert_eq!(network.contains(other), wanted);
            prop_assert_eq!(Network::parse(&network.to_string()), Ok(network));
        }
    }

    #[test]
    fn ipv4_inside_ipv6_is_ipv4() {
        let net = Network::parse("::ffff:10.0.0.0/104").unwrap();
        assert_eq!(net.to_string(), "10.0.0.0/8");
        assert!(net.contains("10.1.2.3".parse().unwrap()));
        assert!(net.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!net.contains("11.0.0.1".parse().unwrap()));
        // All of IPv6 is not IPv4, and the other way round.
        assert!(
            !Network::parse("::/0")
                .unwrap()
                .contains("10.0.0.1".parse().unwrap())
        );
        assert!(
            !Network::parse("0.0.0.0/0")
                .unwrap()
                .contains("2001:db8::1".parse().unwrap())
        );
        assert!(
            Network::parse("0.0.0.0/0")
                .unwrap()
                .contains("203.0.113.9".parse().unwrap())
        );
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0/8",
            "10.0.0.0/+8",
            "::/129",
            "x",
            "10.0.0.0/8/8",
            "fe80::1%1",
        ] {
            assert!(Network::parse(bad).is_err(), "{bad}");
        }
        assert!(Network::parse("10.0.0.1/8").unwrap_err().contains("10.0.0.0/8"));
        assert_eq!(Network::parse("192.0.2.1").unwrap().to_string(), "192.0.2.1/32");
    }
}
