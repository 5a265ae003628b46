//! How far batches are, and what is under way behind them: a node's word, of which nothing is
//! checked. What settled is the chain's to say.

use model::BatchNumber;
use serde_json::{Map, Value, json};

/// Most windows and batches under way that are told, the open window included. Programs of the
/// first release read an answer of 4,096 bytes at most: this many are shorter.
pub const UNDER_WAY_MAX: usize = 32;

/// How far batches are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reach {
    /// The last one that is there.
    pub assembled: BatchNumber,
    /// The last one that settled, as far as the source knows.
    pub settled: BatchNumber,
    /// What is behind that one, the first one first; at most [`UNDER_WAY_MAX`]. The open window
    /// is the last, if the source tells of it.
    pub under_way: Vec<UnderWay>,
    /// How many windows between the last but one of these and the last are left out.
    pub left_out: u64,
}

/// A window or batch that is not settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnderWay {
    /// Its number.
    pub number: BatchNumber,
    /// How far it is.
    pub state: BatchState,
}

/// How far a window is on its way to the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BatchState {
    /// It takes in what comes.
    Open {
        /// When it began, milliseconds since 1970.
        since_unix_ms: u64,
    },
    /// It has ended and waits to be proven.
    Closed,
    /// Its proofs are being made.
    Proving(Proofs),
    /// It is a batch: proven and stored.
    Assembled,
    /// Its transaction was given to the chain's node.
    Sent,
}

/// How far the proofs of a batch are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Proofs {
    /// Those that are made.
    pub done: u32,
    /// How many there will be; none until the whole window is laid out.
    pub all: Option<u32>,
}

impl Reach {
    /// Name and version of the format.
    pub const SCHEMA: &str = "vitals-batches-1";

    /// Of a source that tells of nothing under way.
    pub fn of(assembled: BatchNumber, settled: BatchNumber) -> Reach {
        Reach { assembled, settled, under_way: Vec::new(), left_out: 0 }
    }

    /// The JSON of `GET /batches`.
    pub fn to_json(&self) -> Value {
        json!({
            "schema": Reach::SCHEMA,
            "assembled": self.assembled.0,
            "settled": self.settled.0,
            "under_way": self.under_way.iter().copied().map(UnderWay::to_json).collect::<Vec<_>>(),
            "under_way_left_out": self.left_out,
        })
    }

    /// Reads such an answer. What a later release may add is passed over, and so is what is under
    /// way where it is told in another form: both numbers are what an answer is there for.
    ///
    /// ```
    /// use page_server::Reach;
    ///
    /// let answer = br#"{"schema":"vitals-batches-1","assembled":4,"settled":3}"#;
    /// assert_eq!(Reach::read(answer).map(|reach| reach.settled.0), Some(3));
    /// assert_eq!(Reach::read(b"[]"), None);
    /// ```
    pub fn read(bytes: &[u8]) -> Option<Reach> {
        let answer: Value = serde_json::from_slice(bytes).ok()?;
        let number = |name: &str| answer[name].as_u64();
        (answer["schema"] == Reach::SCHEMA).then_some(())?;
        let (assembled, settled) = (number("assembled")?, number("settled")?);
        let told = answer["under_way"].as_array().map_or(&[][..], Vec::as_slice);
        let under_way = told.iter().take(UNDER_WAY_MAX).filter_map(UnderWay::read);
        Some(Reach {
            assembled: BatchNumber(assembled),
            settled: BatchNumber(settled),
            under_way: under_way.collect(),
            left_out: number("under_way_left_out").unwrap_or(0),
        })
    }
}

impl UnderWay {
    fn to_json(self) -> Value {
        let mut told = Map::from_iter([
            ("batch".to_owned(), self.number.0.into()),
            ("state".to_owned(), self.state.name().into()),
        ]);
        match self.state {
            BatchState::Open { since_unix_ms } => {
                told.insert("since_unix_ms".to_owned(), since_unix_ms.into());
            }
            BatchState::Proving(Proofs { done, all }) => {
                told.insert("proofs_done".to_owned(), done.into());
                told.insert("proofs".to_owned(), all.into());
            }
            BatchState::Closed | BatchState::Assembled | BatchState::Sent => {}
        }
        Value::Object(told)
    }

    /// None of what is no such thing, or of a state that a later release added.
    fn read(told: &Value) -> Option<UnderWay> {
        let number = BatchNumber(told["batch"].as_u64()?);
        let count = |name: &str| told[name].as_u64().and_then(|count| u32::try_from(count).ok());
        let state = match told["state"].as_str()? {
            "open" => BatchState::Open { since_unix_ms: told["since_unix_ms"].as_u64()? },
            "closed" => BatchState::Closed,
            "proving" => {
                let (done, all) = (count("proofs_done")?, count("proofs"));
                BatchState::Proving(Proofs { done, all })
            }
            "assembled" => BatchState::Assembled,
            "sent" => BatchState::Sent,
            _ => return None,
        };
        Some(UnderWay { number, state })
    }
}

impl BatchState {
    /// As JSON and pages say it.
    pub fn name(self) -> &'static str {
        match self {
            BatchState::Open { .. } => "open",
            BatchState::Closed => "closed",
            BatchState::Proving(_) => "proving",
            BatchState::Assembled => "assembled",
            BatchState::Sent => "sent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_states() -> Reach {
        let states = [
            BatchState::Sent,
            BatchState::Assembled,
            BatchState::Proving(Proofs { done: 2, all: Some(5) }),
            BatchState::Proving(Proofs { done: 0, all: None }),
            BatchState::Closed,
            BatchState::Open { since_unix_ms: 1_800_000_000_000 },
        ];
        let numbers = (8..).map(BatchNumber);
        let under_way = numbers.zip(states).map(|(number, state)| UnderWay { number, state });
        let (assembled, settled) = (BatchNumber(9), BatchNumber(7));
        Reach { assembled, settled, under_way: under_way.collect(), left_out: 3 }
    }

    #[test]
    fn what_is_told_is_read_back() {
        let reach = all_states();
        assert_eq!(Reach::read(reach.to_json().to_string().as_bytes()), Some(reach.clone()));
        let proving = &reach.to_json()["under_way"][2];
        let expected = json!({ "batch": 10, "state": "proving", "proofs_done": 2, "proofs": 5 });
        assert_eq!(*proving, expected);
    }

    #[test]
    fn what_is_under_way_in_another_form_is_passed_over() {
        let read = |under_way: Value| {
            let answer = json!({
                "schema": Reach::SCHEMA, "assembled": 9, "settled": 7, "under_way": under_way,
            });
            Reach::read(answer.to_string().as_bytes()).unwrap().under_way
        };
        for odd in [
            json!(null),
            json!({ "batch": 8 }),
            json!([null, 8, {}, [], "open"]),
            json!([{ "batch": -8, "state": "closed" }]),
            json!([{ "batch": 8, "state": "anchored" }]),
            json!([{ "batch": 8, "state": "open" }]),
            json!([{ "batch": 8, "state": "proving", "proofs_done": 4_294_967_296_u64 }]),
        ] {
            assert_eq!(read(odd.clone()), [], "{odd}");
        }
        let closed = json!({ "batch": 8, "state": "closed", "later": 1 });
        assert_eq!(read(vec![closed; 1000].into()).len(), UNDER_WAY_MAX);
    }

    #[test]
    fn the_longest_answer_is_read_by_programs_of_the_first_release() {
        let longest = Proofs { done: u32::MAX, all: Some(u32::MAX) };
        let longest =
            UnderWay { number: BatchNumber(u64::MAX), state: BatchState::Proving(longest) };
        let reach = Reach {
            assembled: BatchNumber(u64::MAX),
            settled: BatchNumber(u64::MAX),
            under_way: vec![longest; UNDER_WAY_MAX],
            left_out: u64::MAX,
        };
        let bytes = reach.to_json().to_string().len();
        assert!(bytes <= 4096, "{bytes} bytes");
    }
}
