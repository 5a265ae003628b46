//! Why a notice was not delivered: a closed list, which names neither host nor address.

use std::fmt;

use model::whole_number;

/// Why one attempt came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The host's name has no address.
    Name,
    /// One of its addresses is no public host's.
    Address,
    /// No connection, or none whose certificate is good.
    Connection,
    /// Nothing came in time.
    Late,
    /// Another status than 200 to 299. A redirect is one: it leads to a host that nobody listed.
    Status(u16),
    /// The operator's list does not have the host any more.
    Host,
}

impl Fault {
    /// Whether it is of no use to try again: the receiver says that it is gone for good (410), or
    /// the operator took the host from the list.
    pub fn is_final(self) -> bool {
        matches!(self, Fault::Status(410) | Fault::Host)
    }

    /// As a file keeps it.
    pub fn code(self) -> String {
        match self {
            Fault::Name => "name".to_owned(),
            Fault::Address => "address".to_owned(),
            Fault::Connection => "connection".to_owned(),
            Fault::Late => "late".to_owned(),
            Fault::Status(status) => format!("status-{status}"),
            Fault::Host => "host".to_owned(),
        }
    }

    /// The fault of a code.
    pub fn of_code(code: &str) -> Option<Fault> {
        Some(match code {
            "name" => Fault::Name,
            "address" => Fault::Address,
            "connection" => Fault::Connection,
            "late" => Fault::Late,
            "host" => Fault::Host,
            other => Fault::Status(whole_number(other.strip_prefix("status-")?)?),
        })
    }
}

/// As `Subscription.error` says it.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Name => f.write_str("expected a host whose name has an address, found none"),
            Fault::Address => {
                f.write_str("expected a host with public addresses alone, found another")
            }
            Fault::Connection => {
                f.write_str("expected a connection with a good certificate, found none")
            }
            Fault::Late => f.write_str("expected an answer within ten seconds, found none"),
            Fault::Status(status @ 300..=399) => {
                write!(f, "expected a status of 200 to 299, found {status}: none is followed")
            }
            Fault::Status(410) => {
                f.write_str("the receiver says that it is gone (410): it is told nothing more")
            }
            Fault::Status(status) => write!(f, "expected a status of 200 to 299, found {status}"),
            Fault::Host => f.write_str("expected a host of the operator's list, found another"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Fault;

    #[test]
    fn a_fault_has_one_code_and_no_code_is_two_faults() {
        let all = [Fault::Name, Fault::Address, Fault::Connection, Fault::Late, Fault::Host];
        for fault in all.into_iter().chain([Fault::Status(500), Fault::Status(0)]) {
            assert_eq!(Fault::of_code(&fault.code()), Some(fault));
        }
        for code in ["", "status-", "status-0500", "status-65536", "status-+5", "Name"] {
            assert_eq!(Fault::of_code(code), None, "{code}");
        }
        assert!(Fault::Status(410).is_final() && !Fault::Status(404).is_final());
    }
}
