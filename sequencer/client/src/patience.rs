//! Waiting for a host of batch files that says that it has too much to do: as often and as long as
//! the auditor waits, so that one host is the same to both.

use std::time::Duration;

use thiserror::Error;

/// A wait that begins, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wait {
    /// Who is waited for, as it may be shown.
    pub host: String,
    /// The status of its answer.
    pub status: u16,
    /// How long.
    pub length: Duration,
    /// How many waits for this file this makes, from 1.
    pub number: u32,
    /// How many there will be at most.
    pub most: u32,
}

/// Tells people of a wait and lets it pass: the program has the clock.
pub type LetPass<'a> = &'a dyn Fn(&Wait);

/// A host that stayed busy.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{}", show(.busy, .waits))]
pub struct StayedBusy {
    busy: Busy,
    waits: u32,
}

/// What a busy host answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Busy {
    status: u16,
    /// How long it asks to wait, if it says so.
    asks: Option<Duration>,
}

/// Most waits for one file.
const WAITS_MAX: u32 = 10;
/// Most for a status that says that a gateway has no answer: it may have none for ever.
const GATEWAY_WAITS_MAX: u32 = 3;
/// Longest wait; a host that asks for more is given up.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Longest pause before a host is asked again that asked for a shorter one, or for none.
const PAUSE_MAX: Duration = Duration::from_secs(5);

impl Busy {
    /// What an answer with this status and head says; `None` if its host is not busy.
    pub(crate) fn of(status: u16, head: &Asking<'_>) -> Option<Busy> {
        matches!(status, 429 | 502 | 503 | 504).then(|| Busy { status, asks: head.length() })
    }

    /// A host whose answer did not come: asked again as one that says 504.
    pub(crate) fn silent() -> Busy {
        Busy { status: 504, asks: None }
    }

    pub(crate) fn is_gateway(self) -> bool {
        matches!(self.status, 502..=504)
    }

    fn waits_max(self) -> u32 {
        if self.is_gateway() && self.asks.is_none() { GATEWAY_WAITS_MAX } else { WAITS_MAX }
    }

    /// How long the wait takes that follows so many.
    fn wait(self, waits: u32) -> Duration {
        let doubled = Duration::from_secs(1) * (1 << waits.min(10));
        match self.asks {
            None => doubled.min(WAIT_MAX),
            // A host that asks for no time at all must not be asked without a pause.
            Some(asked) => asked.max((doubled / 4).min(PAUSE_MAX)),
        }
    }
}

/// The lines of a head that say how long to wait.
#[derive(Clone, Copy, Default)]
pub(crate) struct Asking<'a> {
    /// `Retry-After`, in either of its forms.
    pub(crate) retry_after: Option<&'a str>,
    /// `Date`: the host's own clock, since this machine's may be another.
    pub(crate) date: Option<&'a str>,
}

impl Asking<'_> {
    fn length(&self) -> Option<Duration> {
        let text = self.retry_after?;
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // More digits than a number has are a long time all the same.
            return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
        }
        let until = httpdate::parse_http_date(text).ok()?;
        // Without the host's date the time says nothing of how long; one that is over, no wait.
        let now = httpdate::parse_http_date(self.date?).ok()?;
        Some(until.duration_since(now).unwrap_or_default())
    }
}

/// The waits for one file.
pub(crate) struct Waits<'a> {
    let_pass: LetPass<'a>,
    number: u32,
}

impl<'a> Waits<'a> {
    pub(crate) fn begin(let_pass: LetPass<'a>) -> Waits<'a> {
        Waits { let_pass, number: 0 }
    }

    /// Waits until the host may be asked again.
    pub(crate) fn wait(&mut self, host: &str, busy: Busy) -> Result<(), StayedBusy> {
        let (length, most) = (busy.wait(self.number), busy.waits_max());
        if self.number >= most || length > WAIT_MAX {
            return Err(StayedBusy { busy, waits: self.number });
        }
        self.number += 1;
        let (host, status, number) = (host.to_owned(), busy.status, self.number);
        (self.let_pass)(&Wait { host, status, length, number, most });
        Ok(())
    }
}

fn show(busy: &Busy, waits: &u32) -> String {
    let Busy { status, asks } = busy;
    let found = match asks.filter(|asked| *asked > WAIT_MAX) {
        Some(asked) => format!(
            "it is busy (status {status}) and asks to wait {} s, at most {} s are waited",
            asked.as_secs(),
            WAIT_MAX.as_secs()
        ),
        None if busy.is_gateway() => {
            format!("nothing answers behind it: status {status} still after {waits} waits")
        }
        None => format!("it is busy: status {status} still after {waits} waits"),
    };
    format!("{found}: try again later, or ask another host")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(retry_after: Option<&str>, date: Option<&str>) -> Option<u64> {
        let busy = Busy::of(429, &Asking { retry_after, date }).unwrap();
        busy.asks.map(|length| length.as_secs())
    }

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_until_a_date_of_the_hosts_clock() {
        let (now, then) = ("Sat, 28 Nov 2026 10:00:00 GMT", "Sat, 28 Nov 2026 10:01:05 GMT");
        assert_eq!(asked(None, Some(now)), None);
        assert_eq!(asked(Some("7"), None), Some(7));
        assert_eq!(asked(Some("99999999999999999999999999"), None), Some(u64::MAX));
        assert_eq!(asked(Some(then), Some(now)), Some(65));
        assert_eq!(asked(Some(now), Some(then)), Some(0));
        assert_eq!(asked(Some(then), None), None);
        for none in ["", "-7", "+7", "soon", "7.5"] {
            assert_eq!(asked(Some(none), Some(now)), None, "{none}");
        }
        for (status, is_busy) in [(429, true), (502, true), (503, true), (504, true), (500, false)]
        {
            assert_eq!(Busy::of(status, &Asking::default()).is_some(), is_busy, "{status}");
        }
    }

    /// The lengths in milliseconds of all waits for a host that answers the same each time.
    fn lengths(status: u16, asks: Option<u64>) -> (Vec<u128>, StayedBusy) {
        let told = std::cell::RefCell::new(Vec::new());
        let tell = |wait: &Wait| told.borrow_mut().push(wait.length.as_millis());
        let mut waits = Waits::begin(&tell);
        let busy = Busy { status, asks: asks.map(Duration::from_secs) };
        let gave_up = loop {
            if let Err(gave_up) = waits.wait("node", busy) {
                break gave_up;
            }
        };
        (told.take(), gave_up)
    }

    #[test]
    fn waits_grow_up_to_the_longest_never_fall_below_a_pause_and_end() {
        let grown = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60].map(|seconds| seconds * 1000);
        let (found, gave_up) = lengths(429, None);
        assert_eq!(found, grown);
        assert!(gave_up.to_string().contains("status 429 still after 10 waits"), "{gave_up}");
        let (found, gave_up) = lengths(504, None);
        assert_eq!(found, [1000, 2000, 4000]);
        assert!(gave_up.to_string().starts_with("nothing answers behind it"), "{gave_up}");
        assert_eq!(lengths(503, Some(5)).0, [5000; 10]);
        assert_eq!(lengths(429, Some(0)).0[..7], [250, 500, 1000, 2000, 4000, 5000, 5000]);
        let (found, gave_up) = lengths(429, Some(86_400));
        assert_eq!(found, [0; 0], "a day is not waited for");
        assert!(gave_up.to_string().contains("asks to wait 86400 s, at most 60 s"), "{gave_up}");
    }
}
