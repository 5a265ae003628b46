//! Times as devices write them: ISO 8601, or a count since 1970.

use bridge::{Cause, Map, Refusal};
use model::Millis;
use model::calendar::{Instant, Written};
use recordings::Decimal;
use recordings::decimal::{Linear, Scaled};

use crate::json::Node;

/// How a time is written. There is no default: ten digits may be seconds or a cut count of others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Clock {
    /// With its zone, or in that of the map.
    Iso,
    UnixS,
    UnixMs,
    UnixUs,
}

impl Clock {
    /// The instant that a value says.
    pub(crate) fn read(self, node: &Node<'_>, map: &Map) -> Result<Instant, Refusal> {
        let text = node.text()?;
        let read = match self {
            Clock::Iso => iso(&text, map),
            Clock::UnixS => since_1970(&text, 6),
            Clock::UnixMs => since_1970(&text, 3),
            Clock::UnixUs => since_1970(&text, 0),
        };
        read.map_err(|cause| node.refuse(cause))
    }
}

pub(crate) fn iso(text: &str, map: &Map) -> Result<Instant, Cause> {
    let wrong = Cause::TimeMalformed { expected: "a time of ISO 8601, as 2026-05-01T08:30:00Z" };
    // A count of milliseconds is one, too, and belongs to another format.
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong);
    }
    map.place(Written::parse(text).map_err(|_| wrong)?)
}

/// `decimals` are those of the unit in which a microsecond is whole.
fn since_1970(text: &str, decimals: u8) -> Result<Instant, Cause> {
    let expected = "a count since 1970, a decimal number in the unit that `time-format` says";
    let number = text.parse::<Decimal>().ok();
    let micros = number.and_then(|number| number.scaled(Linear::SAME, decimals));
    let micros = micros.map(Scaled::nearest).and_then(|micros| u64::try_from(micros).ok());
    // Times of this system count from 1900.
    let before = Millis::from_unix_ms(0).get() * 1000;
    let micros = micros.and_then(|micros| micros.checked_add(before));
    let instant = micros.and_then(|micros| Instant::from_micros(micros).ok());
    instant.ok_or(Cause::TimeMalformed { expected })
}
