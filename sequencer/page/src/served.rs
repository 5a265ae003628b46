//! What a server says about itself to its page.

/// Who serves a page, and so what it may say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trust {
    /// The operator: *shown by this operator*, whatever was computed; it takes no key.
    Operator,
    /// The reader, on the reader's own machine: *verified* stands only here.
    Verifier,
    /// The patient, on the patient's own machine.
    Wallet,
}

/// What `/page.json` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Served {
    /// Who serves.
    pub trust: Trust,
    /// How many nodes of the base chain are behind `/chain/1`, `/chain/2` and so on, 1 to 8. With
    /// two, the page compares what they say.
    pub chains: u8,
    /// Whether an operator's desk is behind `/desk`.
    pub desk: bool,
}

impl Served {
    /// The JSON of `/page.json`.
    ///
    /// ```
    /// use page::{Served, Trust};
    ///
    /// let served = Served { trust: Trust::Verifier, chains: 2, desk: false };
    /// assert_eq!(served.to_json(), r#"{"schema":1,"trust":"verifier","chains":2}"#);
    /// ```
    pub fn to_json(self) -> String {
        // By hand: two fixed words and a number need no escaping, and this crate no serde.
        let Served { trust, chains, desk } = self;
        let trust = match trust {
            Trust::Operator => "operator",
            Trust::Verifier => "verifier",
            Trust::Wallet => "wallet",
        };
        // Said where there is one, and else left out: pages of before know nothing of it.
        let desk = if desk { ",\"desk\":true" } else { "" };
        format!("{{\"schema\":1,\"trust\":\"{trust}\",\"chains\":{chains}{desk}}}")
    }
}
