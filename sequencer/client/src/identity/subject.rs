//! Role, name and validity of a certificate, read from its DER without an X.509 library: the
//! server checks certificates, a client only has to know whose receipts it expects.

use model::{Interval, Millis, calendar};
use wire::Role;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const EXPLICIT_VERSION: u8 = 0xa0;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATIONAL_UNIT: &[u8] = &[0x55, 0x04, 0x0b];

/// Role and common name, if the certificate has exactly one of each.
pub(super) fn role_and_name(certificate: &[u8]) -> Option<(Role, String)> {
    let subject = subject(certificate)?;
    let role = Role::from_name(&attribute(subject, ORGANIZATIONAL_UNIT)?)?;
    Some((role, attribute(subject, COMMON_NAME)?))
}

/// When the certificate is good.
pub(super) fn validity(certificate: &[u8]) -> Option<Interval> {
    let both = Element::read_as(SEQUENCE, field(certificate, VALIDITY)?)?.content;
    let from = Element::read(both)?;
    let until = Element::read(from.rest)?;
    // The last second itself is still good.
    Some(Interval { from: time(&from)?, until: time(&until)?.plus(1000) })
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`, as RFC 5280 has them.
fn time(element: &Element<'_>) -> Option<Millis> {
    let digits = std::str::from_utf8(element.content).ok()?.strip_suffix('Z')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match element.tag {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            // Two digits are of 1950 to 2049.
            (format!("{}{year}", if year < "50" { "20" } else { "19" }), rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (year.to_owned(), rest)
        }
        _ => return None,
    };
    if rest.len() != 10 {
        return None;
    }
    // Beyond what this program's time can say: never.
    if year.as_str() >= "2400" {
        return Some(Millis::UNBOUNDED_FUTURE);
    }
    let two = |at: usize| &rest[at..at + 2];
    let (month, day, hour, minute, second) = (two(0), two(2), two(4), two(6), two(8));
    let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    calendar::parse_instant(&text).ok().map(calendar::Instant::millis)
}

/// Content of the subject.
fn subject(certificate: &[u8]) -> Option<&[u8]> {
    Some(Element::read_as(SEQUENCE, field(certificate, SUBJECT)?)?.content)
}

/// Fields of the signed part before validity: serial number, signature algorithm, issuer.
const VALIDITY: usize = 3;
/// The same before the subject.
const SUBJECT: usize = 4;

/// The signed part from the field on that stands behind so many others, the version aside.
fn field(certificate: &[u8], others: usize) -> Option<&[u8]> {
    let whole = Element::read_as(SEQUENCE, certificate)?.content;
    let signed = Element::read_as(SEQUENCE, whole)?.content;
    let first = Element::read(signed)?;
    let mut rest = if first.tag == EXPLICIT_VERSION { first.rest } else { signed };
    for _ in 0..others {
        rest = Element::read(rest)?.rest;
    }
    Some(rest)
}

/// The one value of an attribute in a name; `None` if there is none or more than one.
fn attribute(mut name: &[u8], id: &[u8]) -> Option<String> {
    let mut found = None;
    while !name.is_empty() {
        let set = Element::read_as(SET, name)?;
        name = set.rest;
        let mut pairs = set.content;
        while !pairs.is_empty() {
            let pair = Element::read_as(SEQUENCE, pairs)?;
            pairs = pair.rest;
            let object = Element::read_as(OBJECT_ID, pair.content)?;
            if object.content == id {
                let value = Element::read(object.rest)?.content;
                let text = std::str::from_utf8(value).ok()?.to_owned();
                // Two names would let a certificate be taken for either.
                if found.replace(text).is_some() {
                    return None;
                }
            }
        }
    }
    found
}

/// One DER element of at most 64 KiB, and what follows it.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

impl Element<'_> {
    fn read(bytes: &[u8]) -> Option<Element<'_>> {
        let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81 => (usize::from(*rest.first()?), &rest[1..]),
            0x82 => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            // Longer lengths, and the indefinite one that DER forbids.
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        Some(Element { tag, content, rest })
    }

    fn read_as(tag: u8, bytes: &[u8]) -> Option<Element<'_>> {
        Element::read(bytes).filter(|element| element.tag == tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn certificate(entries: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in entries {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn role_and_name_stand_in_unit_and_common_name() {
        let unit = DnType::OrganizationalUnitName;
        let der = certificate(&[(unit, "gateway"), (DnType::CommonName, "gw-01")]);
        assert_eq!(role_and_name(&der), Some((Role::Gateway, "gw-01".to_owned())));
        for len in 0..der.len().min(200) {
            assert_eq!(role_and_name(&der[..len]), None, "{len} bytes were accepted");
        }
    }

    #[test]
    fn the_validity_is_read_in_both_forms() {
        let key = KeyPair::generate().unwrap();
        let between = |from, until| {
            let mut params = CertificateParams::default();
            (params.not_before, params.not_after) = (from, until);
            validity(params.self_signed(&key).unwrap().der()).unwrap()
        };
        let at = |day: &str| calendar::parse_instant(&format!("{day}T00:00Z")).unwrap().millis();
        // Until 2049 with two digits, from 2050 on with four.
        let (ymd, second) = (rcgen::date_time_ymd, 1000);
        let found = between(ymd(1999, 12, 31), ymd(2050, 1, 2));
        assert_eq!(found.from, at("1999-12-31"));
        assert_eq!(found.until, at("2050-01-02").plus(second));
        let found = between(ymd(2026, 5, 1), ymd(4096, 1, 1));
        assert_eq!((found.from, found.until), (at("2026-05-01"), Millis::UNBOUNDED_FUTURE));
    }

    #[test]
    fn a_certificate_without_a_known_role_is_not_an_identity() {
        let unit = || DnType::OrganizationalUnitName;
        let named = (DnType::CommonName, "gw-01");
        assert_eq!(role_and_name(&certificate(std::slice::from_ref(&named))), None);
        assert_eq!(role_and_name(&certificate(&[(unit(), "root"), named])), None);
        assert_eq!(role_and_name(&certificate(&[(unit(), "gateway")])), None);
    }
}
