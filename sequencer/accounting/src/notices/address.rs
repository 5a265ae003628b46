//! Which addresses of the internet a notice may be sent to.
//!
//! A patient chooses the endpoint, and the node connects to it from inside the hospital's network.
//! What stands there behind no other lock than the network itself must not be reached this way.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Prefixes of IPv4 that are no public host's (the IANA special-purpose registry): first address
/// and length.
const RESERVED_V4: [([u8; 4], u32); 15] = [
    // This network, and the unspecified address.
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    // Carriers' NAT.
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    // Link-local, and the metadata services of clouds.
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    // 6to4 relays.
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    // Multicast; and reserved, with the broadcast address.
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// Prefixes within 2000::/3 that are no public host's, or hold an address of IPv4.
const RESERVED_V6: [([u16; 8], u32); 4] = [
    // IETF protocol assignments: Teredo, benchmarks, ORCHID.
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    // 6to4: an address of IPv4, which may be a private one.
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];

/// Whether an address is a public host's. Of IPv6 only 2000::/3 can be one, which leaves out
/// loopback, link-local, unique local and multicast addresses, and all that hold one of IPv4.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let within = |(first, length): ([u8; 4], u32)| {
                let first = Ipv4Addr::from(first).to_bits();
                (address.to_bits() ^ first).leading_zeros() >= length
            };
            !RESERVED_V4.into_iter().any(within)
        }
        IpAddr::V6(address) => {
            let within = |(first, length): ([u16; 8], u32)| {
                let first = Ipv6Addr::from(first).to_bits();
                (address.to_bits() ^ first).leading_zeros() >= length
            };
            within(([0x2000, 0, 0, 0, 0, 0, 0, 0], 3)) && !RESERVED_V6.into_iter().any(within)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_public;

    fn check(addresses: &[&str], expected: bool) {
        for text in addresses {
            assert_eq!(is_public(text.parse().unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn addresses_of_the_hospital_and_of_the_machine_itself_are_refused() {
        check(&["0.0.0.0", "0.1.2.3", "255.255.255.255", "240.0.0.1", "224.0.0.1"], false);
        check(&["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"], false);
        check(&["127.0.0.1", "127.255.255.254", "169.254.169.254"], false);
        check(&["100.64.0.1", "100.127.255.255", "192.0.0.8", "198.19.0.1"], false);
        check(&["192.0.2.1", "198.51.100.7", "203.0.113.7", "192.88.99.1"], false);
        check(&["::", "::1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd12::1"], false);
        check(&["ff02::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1"], false);
    }

    #[test]
    fn an_address_of_ipv4_within_one_of_ipv6_is_refused_whatever_it_is() {
        check(&["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:9.9.9.9", "::127.0.0.1"], false);
        check(&["64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:a00:1::1", "2001:0:a00:1::1"], false);
    }

    #[test]
    fn public_addresses_and_the_neighbours_of_reserved_ones_are_taken() {
        check(&["9.9.9.9", "11.0.0.1", "100.63.255.255", "100.128.0.0", "126.255.255.255"], true);
        check(
            &["128.0.0.1", "172.15.255.255", "172.32.0.0", "192.167.0.1", "223.255.255.255"],
            true,
        );
        check(&["2001:200::1", "2606:4700::1111", "2a00:1450::1", "3ffe::1"], true);
    }
}
