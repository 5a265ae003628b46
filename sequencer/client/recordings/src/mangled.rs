//! Files that were cut, damaged or made up: whatever their bytes are, a reader answers.

use model::calendar::parse_instant;

use crate::recording::{ChannelRules, Recording};
use crate::{Files, Folder, Format};

/// Readings of a channel that are looked at: a header may promise more than a test has time for.
const READINGS_MAX: usize = 10_000;

/// Small numbers that are the same in each run (xorshift).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % count as u64) as usize
    }
}

/// A file cut at every byte, and with some of its bytes another, often one that means something.
pub(crate) fn of(bytes: &[u8], rounds: usize) -> impl Iterator<Item = Vec<u8>> {
    const LIKELY: &[u8] = b"\0\x01\x14\x7f\x80\xff 0123456789-+/.~:xX(#\n";
    let mut dice = Dice::new(0x9e37_79b9_7f4a_7c15 ^ bytes.len() as u64);
    let cut = (0..bytes.len()).map(|end| bytes[..end].to_vec());
    let changed = (0..rounds).map(move |_| {
        let mut bytes = bytes.to_vec();
        for _ in 0..=dice.below(4) {
            let at = dice.below(bytes.len());
            bytes[at] = match dice.below(2) {
                0 => dice.below(256) as u8,
                _ => LIKELY[dice.below(LIKELY.len())],
            };
        }
        bytes
    });
    cut.chain(changed)
}

/// Reads everything there is as several signals; returns how many readings there were.
pub(crate) fn read_all(format: Format, name: &str, files: &dyn Files) -> usize {
    let Ok(recording) = Recording::open(format, name, Folder::new(files, 1 << 20)) else {
        return 0;
    };
    let now = parse_instant("2026-11-28T12:00:00Z").unwrap();
    let start = parse_instant("2026-05-01T08:30:00Z").unwrap();
    let mut count = 0;
    for channel in recording.channels.iter().take(20) {
        for signal in ["ecg", "ppg", "heart-rate", "weight"] {
            let signal = model::signal_by_name(signal).unwrap();
            let rules = ChannelRules { start: Some(start), ..ChannelRules::new(signal, now) };
            let Ok(readings) = recording.read(channel.number, rules) else { continue };
            count += readings.take(READINGS_MAX).filter(Result::is_ok).count();
        }
    }
    count
}
