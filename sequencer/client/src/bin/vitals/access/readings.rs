//! The readings of released frames, and the file that `vitals stream` reads back.

use std::cmp::Reverse;
use std::fmt::Write as _;

use anyhow::Context;
use model::calendar::Utc;
use model::{Position, Signal, signal_by_code};
use recordings::decimal::to_decimal;
use wire::{DeviceTime, Page, PageOrder, Released};

/// Most frames of one page: of the largest frames a connection holds so many (64 MiB).
const PAGE_FRAMES_MAX: u32 = 1024;

/// How much of the answer is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    /// All.
    All,
    /// At most so many readings, in the order in which they are stored.
    First(u64),
    /// The latest so many.
    Latest(u64),
}

impl Wanted {
    /// The first page to ask for.
    pub(super) fn page(self, after: Option<Position>) -> Page {
        let (order, readings) = match self {
            Wanted::All => (PageOrder::Stored, u64::from(u32::MAX)),
            Wanted::First(readings) => (PageOrder::Stored, readings),
            Wanted::Latest(readings) => (PageOrder::Newest, readings),
        };
        // No more than what is wanted is released: a frame has at least one reading.
        let frames_max = u32::try_from(readings).unwrap_or(u32::MAX).min(PAGE_FRAMES_MAX);
        Page { order, after, frames_max, ..Page::FIRST }
    }

    /// Whether no further page could hold anything that is wanted.
    pub(super) fn is_reached(self, released: &[Released]) -> anyhow::Result<bool> {
        let readings = |one: &Released| u64::from(one.frame.header().count);
        let most = match self {
            Wanted::All => return Ok(false),
            Wanted::First(most) => return Ok(released.iter().map(readings).sum::<u64>() >= most),
            Wanted::Latest(most) => usize::try_from(most).unwrap_or(usize::MAX),
        };
        let mut rows = rows(released)?;
        // Further pages hold only frames that end no later than the last one here.
        let last = released.len().saturating_sub(1);
        let end = rows.iter().filter(|row| row.frame == last).map(|row| row.at).max();
        rows.sort_by_key(|row| Reverse(row.at));
        let kept = most.checked_sub(1).and_then(|at| rows.get(at));
        Ok(kept.is_some_and(|kept| end.is_none_or(|end| kept.at >= end)))
    }

    /// What is wanted of it, by time, so that a file of it can be sent again as it lies. It began
    /// behind the frame at `begun`.
    pub(super) fn choose(
        self,
        released: &[Released],
        begun: Option<Position>,
    ) -> anyhow::Result<Chosen> {
        let mut rows = rows(released)?;
        let all = rows.len();
        // What is behind the last frame that is in it whole is for the next request.
        let mut left_out = None;
        if let Wanted::First(most) = self {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            left_out = rows.get(most).map(|row| row.frame);
            rows.truncate(most);
        }
        let whole = released[..left_out.unwrap_or(released.len())].last();
        // Of the latest ones there is no further part that a place could name.
        let is_latest = matches!(self, Wanted::Latest(_));
        let after = whole.map(|one| one.position).or(begun).filter(|_| !is_latest);
        let is_within_a_frame = left_out == Some(0);
        rows.sort_by_key(|row| row.at);
        if let Wanted::Latest(most) = self {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            rows.drain(..rows.len().saturating_sub(most));
        }
        let is_cut = rows.len() < all;
        Ok(Chosen { rows, is_cut, after, is_within_a_frame })
    }
}

/// One reading of a released frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    frame: usize,
    pub(super) at: DeviceTime,
    value: Option<i32>,
}

/// What is handed over.
pub(super) struct Chosen {
    /// By time.
    pub(super) rows: Vec<Row>,
    /// Whether readings that came are left out.
    pub(super) is_cut: bool,
    /// Behind which frame whoever wants more goes on: where nothing is in it whole, the one behind
    /// which it began.
    pub(super) after: Option<Position>,
    /// Whether not even the first frame is in it whole: as many readings again bring no other.
    pub(super) is_within_a_frame: bool,
}

fn signal_of(released: &Released) -> anyhow::Result<&'static Signal> {
    let code = released.stream.signal;
    signal_by_code(code).with_context(|| {
        format!(
            "expected a released frame of a known signal, found code {code}: update this client"
        )
    })
}

fn rows(released: &[Released]) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (frame, one) in released.iter().enumerate() {
        // Its readings are not known; that it is there is told apart.
        if one.frame.is_encrypted() {
            continue;
        }
        let readings = one.frame.readings(signal_of(one)?)?;
        rows.extend(readings.iter().map(|reading| Row {
            frame,
            at: reading.at,
            value: reading.value,
        }));
    }
    Ok(rows)
}

/// The time as it is stored, to the microsecond where a millisecond does not say it.
pub(super) fn time(at: DeviceTime) -> String {
    let text = Utc(at.millis()).to_string();
    match (at.micros() % 1000, text.strip_suffix('Z')) {
        (0, _) | (_, None) => text,
        (micros, Some(millis)) => format!("{millis}{micros:03}Z"),
    }
}

/// The file, which `vitals stream` reads back as it lies: each value in its signal's own unit.
pub(super) fn csv(released: &[Released], rows: &[Row]) -> anyhow::Result<String> {
    let mut text = String::from("device,signal,time,value,unit\n");
    for Row { frame, at, value } in rows {
        let one = &released[*frame];
        let signal = signal_of(one)?;
        let value = match value {
            Some(value) => to_decimal(*value, signal.decimals),
            None => "off".to_owned(),
        };
        let (device, name, at, unit) =
            (one.stream.device.as_str(), signal.name, time(*at), signal.unit);
        writeln!(text, "{device},{name},{at},{value},{unit}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_the_largest_frames_is_no_more_than_a_connection_holds() {
        for wanted in [Wanted::All, Wanted::First(u64::MAX), Wanted::Latest(u64::MAX)] {
            let frames = wanted.page(None).frames_max as usize;
            assert!(frames * wire::limits::FRAME_BYTES_MAX <= 64 << 20, "{wanted:?}");
        }
        assert_eq!(Wanted::First(3).page(None).frames_max, 3);
    }
}
