//! A recording that somebody was sent: the file that is named, and whatever file that one names.

use std::io::Cursor;

use model::calendar::{Instant, parse_instant};
use recordings::recording::{ChannelRules, Recording};
use recordings::text::{Lines, Preview, Reader, Rules};
use recordings::{Folder, Format};

use crate::source::Source;

/// Readings of a channel that are looked at: a header may promise more than there is time for.
const READINGS_MAX: usize = 1_000;
/// Channels that are looked at.
const CHANNELS_MAX: usize = 4;
const FILE_BYTES_MAX: u64 = 1 << 16;

/// A recording of the format that the first byte chooses. Behind it and a length stands the file
/// that is opened; what is left is the content of every file that it names.
///
/// # Panics
/// If a reader does.
pub fn recording(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let format = [Format::Text, Format::Wfdb, Format::Edf, Format::Bdf, Format::Fit]
        [usize::from(source.below(5))];
    let length = source.place();
    let rest = source.rest();
    let (asked, named) = rest.split_at(length.min(rest.len()));
    let now = parse_instant("2026-11-28T12:00:00Z").expect("a written time");
    if format == Format::Text {
        return text(asked, now);
    }
    let files =
        |name: &str, _: u64| Ok(if name.starts_with("asked") { asked } else { named }.to_vec());
    let Ok(recording) = Recording::open(format, "asked", Folder::new(&files, FILE_BYTES_MAX))
    else {
        return;
    };
    let start = parse_instant("2026-05-01T08:30:00Z").expect("a written time");
    for channel in recording.channels.iter().take(CHANNELS_MAX) {
        for name in ["ecg", "heart-rate"] {
            let signal = model::signal_by_name(name).expect("a signal");
            let rules = ChannelRules { start: Some(start), ..ChannelRules::new(signal, now) };
            let Ok(readings) = recording.read(channel.number, rules) else { continue };
            readings.take(READINGS_MAX).for_each(drop);
        }
    }
}

fn text(bytes: &[u8], now: Instant) {
    let signal = model::signal_by_name("heart-rate").expect("a signal");
    let (mut preview, mut reader) = (Preview::new(None), Reader::new(Rules::new(signal)));
    let mut lines = Lines::new(Cursor::new(bytes));
    while let Ok(Some(line)) = lines.read() {
        preview.read(&line);
        if reader.read(&line, now).is_err_and(|error| error.fault.is_final()) {
            break;
        }
    }
    let _ = (preview.columns(), reader.counts(), reader.tallies());
}
