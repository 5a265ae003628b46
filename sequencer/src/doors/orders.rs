//! What an operator orders of a running node over its socket: `order` and a JSON object, in one
//! line, as `order {"order":"pause","as":"anna"}`.

use std::pin::Pin;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::folder::who::{Who, WordsError};

/// The request's first word.
pub const WORD: &str = "order";

/// Longest value that a key is set to, bytes: far above any that one can have.
const VALUE_BYTES_MAX: usize = 1024;

/// What is ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    /// Nothing: every key is told, with what is configured and what holds.
    List,
    /// Nothing: how far windows and batches are is told.
    Look,
    /// A live key is to hold this value until it is reset or the node starts again.
    Set {
        /// Sections and key.
        key: String,
        /// As it stands in the file; quotes around a word may be left out.
        value: String,
    },
    /// A key, or every one, is to hold what the configuration says.
    Reset {
        /// Which; all without one.
        key: Option<String>,
    },
    /// Nothing more is to be sent to the chain.
    Pause,
    /// A pause and a drain are to end.
    Resume,
    /// The open window is to end at once.
    Seal,
    /// Nothing new is to be taken in, and all that is there to be settled.
    Drain,
    /// A patient's readings are to be erased.
    Erase {
        /// Whose.
        patient: u32,
        /// Their signed request, in hex; without one, that which they handed in over HTTP.
        #[serde(default)]
        request: Option<String>,
    },
    /// Every key of these patients is to be destroyed, without a request of theirs.
    DestroyKeys {
        /// Whose.
        patients: Vec<u32>,
    },
    /// A legal hold is to be set or cleared, for the reason that is given with the order.
    Hold {
        /// On whose readings.
        patient: u32,
        /// What becomes of it.
        change: HoldOrder,
    },
    /// Nothing: every legal hold is told.
    Holds,
}

/// What is ordered of a legal hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldOrder {
    /// It is to be set.
    Set,
    /// It is to be cleared.
    Clear,
}

impl Order {
    /// Words of all that change something, as metrics and the log of orders have them.
    pub const WORDS: [&str; 9] =
        ["set", "reset", "pause", "resume", "seal", "drain", "erase", "destroy-keys", "hold"];

    /// Its word.
    pub fn word(&self) -> &'static str {
        match self {
            Order::List => "list",
            Order::Look => "look",
            Order::Set { .. } => "set",
            Order::Reset { .. } => "reset",
            Order::Pause => "pause",
            Order::Resume => "resume",
            Order::Seal => "seal",
            Order::Drain => "drain",
            Order::Erase { .. } => "erase",
            Order::DestroyKeys { .. } => "destroy-keys",
            Order::Hold { .. } => "hold",
            Order::Holds => "holds",
        }
    }
}

/// The process at the other end of the socket, as the system says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its number, where the system says it.
    pub pid: Option<i32>,
}

/// The object of a request.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    order: Order,
    #[serde(rename = "as", default)]
    name: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

/// An order, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// What.
    pub order: Order,
    /// By whom.
    pub who: Who,
}

/// A request that is no order.
#[derive(Debug, Error)]
pub enum OrderError {
    /// Not of this form.
    #[error("expected {{\"order\": .., \"as\": .., \"reason\": ..}} of this release: {0}")]
    Form(#[from] serde_json::Error),
    /// What they say of themselves is not kept.
    #[error(transparent)]
    Words(#[from] WordsError),
    /// A value that no key can have.
    #[error("expected a value of at most {VALUE_BYTES_MAX} bytes, found {found}")]
    Value {
        /// How many.
        found: usize,
    },
}

impl Ordered {
    /// The request that asks for it; whose it is, is what the system says of whoever sends it.
    pub fn request(&self) -> String {
        let Ordered { order, who } = self.clone();
        let form = Form { order, name: who.name, reason: who.reason };
        let form = serde_json::to_string(&form).expect("an order is plain words");
        format!("{WORD} {form}")
    }

    /// Reads what stands behind the first word.
    ///
    /// # Errors
    /// [`OrderError`].
    pub fn read(text: &str, peer: Peer) -> Result<Ordered, OrderError> {
        let Form { order, name, reason } = serde_json::from_str(text)?;
        let who = Who { uid: peer.uid, pid: peer.pid, name, reason };
        who.check()?;
        if let Order::Set { value, .. } = &order
            && value.len() > VALUE_BYTES_MAX
        {
            return Err(OrderError::Value { found: value.len() });
        }
        Ok(Ordered { order, who })
    }
}

/// An answer that is being made.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Value, String>> + Send + 'a>>;

/// Who carries orders out.
pub trait CarryOut: Send + Sync {
    /// Does what is ordered; the answer, or why not.
    fn carry_out(&self, ordered: Ordered) -> Answering<'_>;
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Peer = Peer { uid: 1000, pid: Some(7) };

    #[test]
    fn an_order_is_read_as_it_was_asked_for_by_whom_the_system_says() {
        let set = Order::Set { key: "log.level".into(), value: "warn".into() };
        let erase = Order::Erase { patient: 7, request: Some("00ff".into()) };
        let hold = Order::Hold { patient: 7, change: HoldOrder::Clear };
        let destroy = Order::DestroyKeys { patients: vec![7, 8] };
        let others = [destroy, Order::List, Order::Reset { key: None }, Order::Pause, Order::Drain];
        let orders = others.into_iter().chain([set, erase, hold, Order::Holds]);
        for order in orders {
            // What a client says of its user and process is not asked.
            let who = Who { uid: 0, pid: None, name: Some("anna".into()), reason: None };
            let asked = Ordered { order, who };
            let request = asked.request();
            let (word, rest) = request.split_once(' ').unwrap();
            assert_eq!(word, WORD);
            assert!(!request.contains('\n'), "one line");
            let who = Who { uid: 1000, pid: Some(7), ..asked.who.clone() };
            assert_eq!(Ordered::read(rest, PEER).unwrap(), Ordered { who, ..asked });
        }
        let least = Ordered::read("{\"order\":\"pause\"}", PEER).unwrap();
        assert_eq!((least.order, least.who.uid), (Order::Pause, 1000));
    }

    #[test]
    fn what_is_no_order_is_refused() {
        let long =
            format!("{{\"order\":{{\"set\":{{\"key\":\"a\",\"value\":{:?}}}}}}}", "x".repeat(1025));
        for (text, words) in [
            ("", "of this release"),
            ("pause", "of this release"),
            ("{\"order\":\"burn\"}", "unknown variant"),
            ("{\"order\":\"pause\",\"now\":1}", "unknown field"),
            ("{\"order\":\"pause\",\"uid\":0}", "unknown field"),
            ("{\"order\":{\"set\":{\"key\":\"a\"}}}", "missing field"),
            ("{\"order\":\"pause\",\"as\":\"a\\u001b\"}", "expected at most 64 printable"),
            (&long, "at most 1024 bytes"),
        ] {
            let found = Ordered::read(text, PEER).unwrap_err().to_string();
            assert!(found.contains(words), "{text}: {found}");
        }
    }

    #[test]
    fn every_order_that_changes_something_has_its_word() {
        let all = [
            Order::Set { key: String::new(), value: String::new() },
            Order::Reset { key: None },
            Order::Pause,
            Order::Resume,
            Order::Seal,
            Order::Drain,
            Order::Erase { patient: 0, request: None },
            Order::DestroyKeys { patients: Vec::new() },
            Order::Hold { patient: 0, change: HoldOrder::Set },
        ];
        assert_eq!(all.map(|order| order.word()), Order::WORDS);
    }
}
