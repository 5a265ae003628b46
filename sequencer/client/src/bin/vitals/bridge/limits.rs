//! The limits that all bridges have, for their pages.

use bridge::{MAP_BYTES_MAX, MAP_ROWS_MAX, Measurement};
use client::StateBounds;
use wire::Reading;

use super::streams::STREAMS_MAX;
use super::taken::MESSAGES_MAX;
use super::{READINGS_MAX, UNDER_WAY_MAX};
use crate::limits::{Limit, bytes, count};

/// What messages under way take at most: each reading as its message says it, and as it is sent.
const UNDER_WAY_BYTES_MAX: usize = 80 << 20;

/// What is reached is told by each in its own words.
pub(crate) fn rows(busy: &'static str) -> Vec<Limit> {
    let of_reading = size_of::<Measurement>() + size_of::<Reading>();
    assert!(READINGS_MAX * of_reading <= UNDER_WAY_BYTES_MAX, "{of_reading} bytes a reading");
    let state = StateBounds::default();
    vec![
        Limit::fixed("messages under way", count(UNDER_WAY_MAX), busy),
        Limit::fixed("readings of them", count(READINGS_MAX), busy)
            .with_memory(format!("some {}", bytes(UNDER_WAY_BYTES_MAX))),
        Limit::fixed(
            "names of messages that are remembered",
            count(MESSAGES_MAX),
            "the oldest is forgotten: sent again, it would be stored again",
        )
        .with_memory("some 10 MiB"),
        Limit::fixed(
            "streams (device and signal) at a time",
            count(STREAMS_MAX),
            "the one that was idle longest is closed; where none is idle the message waits",
        ),
        Limit::fixed(
            "state folder, of the streams that stand",
            bytes(state.bytes_max),
            "what has receipts goes first; then messages wait",
        )
        .with_memory("on disk"),
        Limit::fixed(
            "file of the map, rows of each kind",
            format!("{}, {}", bytes(MAP_BYTES_MAX), count(MAP_ROWS_MAX)),
            "the command does not start",
        )
        .with_memory(format!("some {}", bytes(3 * MAP_BYTES_MAX))),
    ]
}
