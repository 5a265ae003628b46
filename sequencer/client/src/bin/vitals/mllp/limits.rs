//! The table of limits of `docs/mllp.md`.

use hl7::{FAULTS_MAX, READINGS_MAX, SEGMENTS_MAX, STRAY_BYTES_MAX};

use super::serve::READ_BYTES;
use super::share::OWN_BYTES;
use super::{BUFFERED_MIB_MIN, CONNECTIONS_MAX, MESSAGE_KIB_MAX, Mllp};
use crate::bridge::limits::rows;
use crate::limits::{Limit, bytes, check, count, default_of, number_of};

const REJECTED: &str = "AR `too-many`";

#[test]
fn the_page_of_mllp_says_its_limits() {
    let own = (READ_BYTES + OWN_BYTES) as u64;
    let (connections, message) = (CONNECTIONS_MAX as u64, (MESSAGE_KIB_MAX as u64) << 10);
    let length = |option| default_of::<Mllp>(option);
    let mut limits = vec![
        Limit::of(
            "max-connections",
            "connections",
            format!("{}, at most {connections}", number_of::<Mllp>("max-connections")),
            "the next is closed",
        )
        .with_memory(format!(
            "{} each, {} of {connections}; beside what TLS takes",
            bytes(own),
            bytes(own * connections)
        )),
        Limit::of(
            "max-message",
            "bytes of a message",
            format!(
                "{}, at most {}",
                bytes(number_of::<Mllp>("max-message") << 10),
                bytes(message)
            ),
            REJECTED,
        )
        .with_memory(format!(
            "twice as many while it comes; what is beyond {} is of the next row",
            bytes(OWN_BYTES)
        )),
        Limit::of(
            "max-buffered",
            "memory of all messages that come",
            format!(
                "{}, at least {}",
                bytes(number_of::<Mllp>("max-buffered") << 20),
                bytes(BUFFERED_MIB_MIN << 20)
            ),
            "the message that has no room is given up: AE `bridge-busy`",
        )
        .with_memory(format!(
            "as much; without it {connections} connections in messages of {} would be {}, and {} \
             with buffers that grow",
            bytes(message),
            bytes(connections * message),
            bytes(2 * connections * message)
        )),
        Limit::fixed("segments of a message", count(SEGMENTS_MAX), REJECTED),
        Limit::fixed("readings of a message", count(READINGS_MAX), REJECTED),
        Limit::fixed("faults that an answer names", count(FAULTS_MAX), "others are not named"),
        Limit::fixed("bytes between frames", bytes(STRAY_BYTES_MAX), "the connection is closed")
            .with_memory("none"),
        Limit::of(
            "message-within",
            "time of a message, of an answer, of a greeting of TLS",
            length("message-within"),
            "the connection is closed",
        ),
        Limit::of("idle", "silence between messages", length("idle"), "the connection is closed"),
        Limit::of(
            "answer-within",
            "time until an answer",
            length("answer-within"),
            "AE `node-away`; the message goes on by itself",
        ),
    ];
    limits.extend(rows("AE `bridge-busy`, and nothing of the message is kept"));
    check("mllp.md", &limits);
}
