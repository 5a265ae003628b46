//! The one list of codes: what a peer or a shell is told, whether to retry, and what to do.

/// Declares the reject codes with meaning, retry advice and remedy in one place.
macro_rules! codes {
    ($(
        $(#[$doc:meta])* $name:ident = $value:literal,
        $retry:literal, $meaning:literal, $remedy:literal;
    )*) => {
        /// Why a peer's frame, operation, request or connection was not accepted.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum RejectCode { $($(#[$doc])* $name = $value,)* }

        impl RejectCode {
            /// Every code in number order.
            pub const ALL: &'static [RejectCode] = &[$(RejectCode::$name,)*];

            /// The number on the wire.
            pub const fn number(self) -> u16 {
                self as u16
            }

            /// The code with this number.
            pub fn from_number(number: u16) -> Option<RejectCode> {
                RejectCode::ALL.iter().copied().find(|code| code.number() == number)
            }

            /// Whether trying again can succeed: some codes want the same bytes once more, others
            /// bytes that are signed anew. [`RejectCode::remedy`] says which.
            pub const fn retry(self) -> bool {
                match self { $(RejectCode::$name => $retry,)* }
            }

            /// What happened.
            pub const fn meaning(self) -> &'static str {
                match self { $(RejectCode::$name => $meaning,)* }
            }

            /// What the peer should do.
            pub const fn remedy(self) -> &'static str {
                match self { $(RejectCode::$name => $remedy,)* }
            }
        }
    };
}

codes! {
    /// Protocol version or features do not match.
    Version = 1, false, "the protocol version is not spoken here", "update the client";
    /// The first message was not a hello, or a message came in the wrong state.
    Protocol = 2, false, "a message came in the wrong order", "report a bug of the client";
    /// Bytes do not decode.
    Malformed = 3, false, "the bytes do not decode", "report a bug of the client";
    /// A length beyond a limit.
    TooLarge = 4, false, "a length exceeds its limit", "send smaller frames";
    /// Unknown or revoked certificate, or a certificate for another role.
    Identity = 5, false, "the certificate does not entitle to this", "ask the operator";
    /// The stream's device, patient or code is unknown or not this gateway's.
    Stream = 6, false, "the descriptor names an unknown device, patient or signal", "check the descriptor against the registry";
    /// A sequence left a hole.
    Gap = 7, true, "a sequence number was skipped", "send again from the expected sequence";
    /// The same identity with other bytes.
    Conflict = 8, false, "this sequence is stored with other bytes", "begin a new epoch; the stored bytes stay";
    /// No rule covers this collection now.
    NotPermitted = 9, false, "no consent rule covers this", "stop, and ask the patient; without a change of consent it stays refused";
    /// A reading is outside its range, or times are not in order.
    Reading = 10, false, "a reading or time is out of range", "fix the source";
    /// A time too far in the future.
    Clock = 11, true, "a time lies in the future", "synchronise the clock";
    /// A limit of this connection, its certificate or the node is reached: memory, places, rates.
    Busy = 12, true, "a limit of the connection, its certificate or the node is reached: of memory, places or rate", "wait, and send the same again";
    /// A signature does not verify.
    Signature = 13, false, "a signature does not verify", "sign with the registered key";
    /// A nonce was used, or is not the next.
    Nonce = 14, true, "the nonce is not the next", "read the record and sign again";
    /// The operation is not valid on the record.
    Operation = 15, false, "the operation does not apply to the record", "read the record and decide again";
    /// The request came too late or is not valid yet.
    Validity = 16, true, "the signed validity does not include now", "sign again";
    /// The node stops, its disk is full or refuses, or nobody can tell what time it is.
    Unavailable = 17, true, "the node cannot store now", "keep what was not taken, and try again later";
    /// The journal lacks a group that the node signed a receipt for.
    History = 18, false, "the node's journal lacks what a receipt of its own promises", "keep the readings and every receipt; the operator has to restore the journal";
}

/// How a program ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ExitCode {
    /// Done; for a check: it holds.
    Ok = 0,
    /// Failed; for a check: something is broken.
    Failed = 1,
    /// The command line or a file given on it is wrong.
    Usage = 2,
    /// Something needed is not reachable or not there.
    Unavailable = 3,
    /// Stopped by a signal.
    Interrupted = 4,
    /// A check holds as far as it went, and had nothing to compare with.
    NotCompared = 5,
}

impl ExitCode {
    /// Every code in number order.
    pub const ALL: [ExitCode; 6] = [
        ExitCode::Ok,
        ExitCode::Failed,
        ExitCode::Usage,
        ExitCode::Unavailable,
        ExitCode::Interrupted,
        ExitCode::NotCompared,
    ];

    /// The number given to the shell.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// What happened.
    pub const fn meaning(self) -> &'static str {
        match self {
            ExitCode::Ok => "done; of a check, it holds",
            ExitCode::Failed => "it failed; of a check, something is broken",
            ExitCode::Usage => "the command line or a file named on it is wrong",
            ExitCode::Unavailable => "something needed is not reachable or not there",
            ExitCode::Interrupted => "stopped by a signal",
            ExitCode::NotCompared => {
                "a check holds as far as it went, but was not compared with \
                 what is settled"
            }
        }
    }

    /// What whoever ran the program should do.
    pub const fn remedy(self) -> &'static str {
        match self {
            ExitCode::Ok => "nothing",
            ExitCode::Failed => "read the message; of an audit, keep the files as evidence",
            ExitCode::Usage => "correct it; --help shows the forms",
            ExitCode::Unavailable => "start it or correct its address, and run again",
            ExitCode::Interrupted => "run again; what was acknowledged is kept",
            ExitCode::NotCompared => {
                "give the check the batch files and the headers (--data, \
                 --headers), or run it again when more is settled"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_round_trip() {
        for (i, code) in RejectCode::ALL.iter().enumerate() {
            assert_eq!(usize::from(code.number()), i + 1);
            assert_eq!(RejectCode::from_number(code.number()), Some(*code));
            assert!(!code.meaning().is_empty() && !code.remedy().is_empty());
        }
        assert_eq!(RejectCode::from_number(0), None);
        for (i, code) in ExitCode::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(code.number()), i);
            assert!(!code.meaning().is_empty() && !code.remedy().is_empty());
        }
    }
}
