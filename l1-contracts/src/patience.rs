//! Waiting for a node that says that it has too much to do.
//!
//! Public nodes refuse what comes too fast, and say so by a status, or in words. Whoever reads a
//! long history is refused many times and has to go on; whoever is refused for ever has to end. So
//! each wait has a longest time, and one question a greatest number of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use model::escape;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use thiserror::Error;

use crate::url::HttpUrl;

/// A node that is busy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Busy {
    /// The status of its answer.
    pub status: u16,
    /// How long it asks to wait, if it says so.
    pub asks: Option<Duration>,
    /// Its words, if it has any: foreign ones.
    pub words: Option<String>,
}

/// A wait that begins, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wait {
    /// Who is waited for, as it may be shown.
    pub node: String,
    /// The status of its answer.
    pub status: u16,
    /// How long.
    pub length: Duration,
    /// How many waits for this question this makes, from 1.
    pub number: u32,
    /// How many there will be at most.
    pub most: u32,
}

/// Is told of each wait.
pub type TellWait = Arc<dyn Fn(&Wait) + Send + Sync>;

/// How often and how long a busy node is waited for.
#[derive(Clone)]
pub struct Patience {
    waits_max: u32,
    wait_max: Duration,
    tell: TellWait,
}

/// A node that stayed busy.
#[derive(Debug, Error)]
#[error("{}", show(.busy, .waits, .wait_max))]
pub struct StayedBusy {
    busy: Busy,
    waits: u32,
    wait_max: Duration,
}

impl StayedBusy {
    /// Whether a gateway found nobody who answers, rather than too many questions: one that names
    /// a time is to be asked then, and not for less at once.
    pub(crate) fn is_silent_gateway(&self) -> bool {
        self.busy.is_silent_gateway()
    }
}

/// Longest pause before a node is asked again that asked for a shorter one, or for none.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Waits for a status that says that a gateway has no answer: it may have none for ever.
const GATEWAY_WAITS_MAX: u32 = 3;

impl Patience {
    /// At most 3 waits of 10 s for a question: for whoever asks again by itself.
    pub fn short() -> Patience {
        Patience { waits_max: 3, wait_max: Duration::from_secs(10), tell: Arc::new(|_| {}) }
    }

    /// At most 10 waits of 60 s for a question, each told: for whoever reads a history to its end.
    pub fn long(tell: TellWait) -> Patience {
        Patience { waits_max: 10, wait_max: Duration::from_secs(60), tell }
    }

    /// The waits for one question.
    pub fn begin<'a>(&'a self, node: &'a HttpUrl) -> Waits<'a> {
        Waits { patience: self, node, number: 0 }
    }
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Patience({} waits of {:?})", self.waits_max, self.wait_max)
    }
}

/// The waits for one question.
pub struct Waits<'a> {
    patience: &'a Patience,
    node: &'a HttpUrl,
    number: u32,
}

impl fmt::Debug for Waits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Waits({} for {})", self.number, self.node)
    }
}

impl Waits<'_> {
    /// Waits until the question may be asked again.
    ///
    /// # Errors
    /// [`StayedBusy`] if it was waited often enough, or the node asks for more than is waited.
    pub async fn wait(&mut self, busy: Busy) -> Result<(), StayedBusy> {
        let Patience { waits_max, wait_max, tell } = self.patience;
        let length = self.next_wait(&busy);
        let most =
            if busy.is_silent_gateway() { GATEWAY_WAITS_MAX.min(*waits_max) } else { *waits_max };
        if self.number >= most || length > *wait_max {
            return Err(StayedBusy { busy, waits: self.number, wait_max: *wait_max });
        }
        self.number += 1;
        let (status, number) = (busy.status, self.number);
        tell(&Wait { node: self.node.to_string(), status, length, number, most });
        tokio::time::sleep(length).await;
        Ok(())
    }

    fn next_wait(&self, busy: &Busy) -> Duration {
        let doubled = Duration::from_secs(1) * (1 << self.number.min(10));
        match busy.asks {
            None => doubled.min(self.patience.wait_max),
            // A node that asks for no time at all must not be asked without a pause.
            Some(asked) => asked.max((doubled / 4).min(PAUSE_MAX)),
        }
    }
}

impl Busy {
    fn is_gateway(&self) -> bool {
        matches!(self.status, 502..=504)
    }

    fn is_silent_gateway(&self) -> bool {
        self.is_gateway() && self.asks.is_none()
    }

    /// What an answer with this status and head says; `None` if its node is not busy.
    pub fn of(status: u16, headers: &HeaderMap) -> Option<Busy> {
        matches!(status, 429 | 502 | 503 | 504).then(|| Busy {
            status,
            asks: retry_after(headers),
            words: None,
        })
    }
}

/// `Retry-After`, in either of its forms.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has are a long time all the same.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    // By the node's own clock: this machine's may be another. Every answer is to tell it, and a
    // date alone says nothing of how long.
    let now = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    // A time that is over asks for no wait.
    Some(until.duration_since(now).unwrap_or_default())
}

fn show(busy: &Busy, waits: &u32, wait_max: &Duration) -> String {
    let Busy { status, asks, words } = busy;
    let longest = wait_max.as_secs();
    let long = asks.filter(|asked| asked > wait_max);
    let found = match long {
        Some(asked) => format!(
            "it is busy (status {status}) and asks to wait {} s, at most {longest} s are waited",
            asked.as_secs()
        ),
        None if busy.is_gateway() => {
            format!("nothing answers behind it: status {status} still after {waits} waits")
        }
        None => format!("it is busy: status {status} still after {waits} waits"),
    };
    let words = words.as_ref().map_or_else(String::new, |words| format!(" ({})", escape(words)));
    format!("{found}{words}: try again later, or ask another node")
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn asked(pairs: &[(reqwest::header::HeaderName, &str)]) -> Option<Duration> {
        let pairs = pairs.iter().map(|(name, value)| {
            (name.clone(), HeaderValue::from_str(value).expect("a value of a header"))
        });
        Busy::of(429, &pairs.collect()).expect("busy").asks
    }

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_until_a_date() {
        assert_eq!(asked(&[]), None);
        assert_eq!(asked(&[(RETRY_AFTER, "7")]), Some(Duration::from_secs(7)));
        let huge = asked(&[(RETRY_AFTER, "99999999999999999999999999")]);
        assert_eq!(huge, Some(Duration::from_secs(u64::MAX)));
        let (now, then) = ("Sat, 28 Nov 2026 10:00:00 GMT", "Sat, 28 Nov 2026 10:01:05 GMT");
        assert_eq!(asked(&[(DATE, now), (RETRY_AFTER, then)]), Some(Duration::from_secs(65)));
        assert_eq!(asked(&[(DATE, then), (RETRY_AFTER, now)]), Some(Duration::ZERO));
        assert_eq!(asked(&[(RETRY_AFTER, then)]), None);
        for none in ["", "-7", "+7", "soon", "7.5"] {
            assert_eq!(asked(&[(RETRY_AFTER, none)]), None, "{none}");
        }
    }

    #[test]
    fn only_some_answers_are_those_of_a_busy_node() {
        let busy = |status| Busy::of(status, &HeaderMap::new()).is_some();
        assert!([429, 502, 503, 504].into_iter().all(busy));
        assert!(![200, 301, 400, 401, 404, 413, 500].into_iter().any(busy));
    }

    fn node() -> HttpUrl {
        "http://node".parse().expect("an address")
    }

    /// The lengths of all waits for a node that answers the same each time.
    fn lengths(status: u16, asks: Option<u64>) -> Vec<u128> {
        let patience = Patience::long(Arc::new(|_| {}));
        let asks = asks.map(Duration::from_secs);
        let busy = Busy { status, asks, words: None };
        let most = if status == 429 || asks.is_some() { 10 } else { GATEWAY_WAITS_MAX };
        let node = node();
        let waits = (0..most).map(|number| {
            Waits { patience: &patience, node: &node, number }.next_wait(&busy).as_millis()
        });
        waits.collect()
    }

    #[test]
    fn waits_grow_up_to_the_longest_and_never_fall_below_a_pause() {
        let grown = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60].map(|seconds| seconds * 1000);
        assert_eq!(lengths(429, None), grown);
        assert_eq!(lengths(504, None), [1000, 2000, 4000]);
        assert_eq!(lengths(503, Some(5))[..5], [5000, 5000, 5000, 5000, 5000]);
        let paused = lengths(429, Some(0));
        assert_eq!(paused[..7], [250, 500, 1000, 2000, 4000, 5000, 5000]);
    }

    #[tokio::test]
    async fn only_a_gateway_that_names_no_time_may_answer_less_at_once() {
        let patience = Patience { waits_max: 0, ..Patience::short() };
        for (status, asks, expected) in
            [(503, None, true), (504, None, true), (503, Some(86_400), false), (429, None, false)]
        {
            let asks = asks.map(Duration::from_secs);
            let busy = Busy { status, asks, words: None };
            let gave_up = patience.begin(&node()).wait(busy).await.expect_err("no wait is left");
            assert_eq!(gave_up.is_silent_gateway(), expected, "{status} {asks:?}");
        }
    }

    #[tokio::test]
    async fn a_node_that_asks_for_too_long_is_not_waited_for() {
        let patience = Patience::long(Arc::new(|_| {}));
        let asks = Some(Duration::from_secs(86_400));
        let busy = Busy { status: 429, asks, words: Some("daily \u{1b}[2J limit".into()) };
        let gave_up = patience.begin(&node()).wait(busy).await.expect_err("a day is too long");
        let said = gave_up.to_string();
        assert!(said.contains("asks to wait 86400 s, at most 60 s"), "{said}");
        assert!(said.contains("daily \\u{1b}[2J limit"), "{said}");
    }
}
