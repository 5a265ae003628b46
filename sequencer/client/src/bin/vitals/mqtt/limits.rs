//! The table of limits of `docs/mqtt.md`.

use bridge::Measurement;
use payloads::{
    IDENTITY_BYTES_MAX, READINGS_MAX, ROWS_MAX, STEPS_MAX, TEXT_BYTES_MAX, TOPIC_BYTES_MAX,
    TOPICS_BYTES_MAX, VALUES_MAX,
};

use super::ahead::PLACES_MAX;
use super::session::PACKET_BYTES_MAX;
use super::{MESSAGE_KIB_MAX, Mqtt, REFUSED_MIB_MIN, WAITING_MAX};
use crate::bridge::limits::rows;
use crate::limits::{Limit, bytes, check, count, number_of};

/// Packets that the library reads before one is looked at.
const PACKETS_READ: usize = 10;

/// What messages that wait take, each as long and as full as may be.
fn waiting(messages: u64, message_bytes: u64) -> String {
    let readings = (READINGS_MAX * size_of::<Measurement>()) as u64;
    format!("{} MiB", (messages * (message_bytes + readings)).div_ceil(1 << 20))
}

#[test]
fn the_page_of_mqtt_says_its_limits() {
    let message = number_of::<Mqtt>("max-message") << 10;
    let (messages, message_max) =
        (number_of::<Mqtt>("max-waiting"), (MESSAGE_KIB_MAX as u64) << 10);
    let refused = "refused (`too-many`)";
    let not_started = "the command does not start";
    let mut limits = vec![
        Limit::of(
            "max-message",
            "bytes of a message",
            format!("{}, at most {}", bytes(message), bytes(message_max)),
            refused,
        ),
        Limit::of(
            "max-waiting",
            "messages that wait for their receipts",
            format!("{messages}, at most {WAITING_MAX}"),
            "the broker keeps the others; of QoS 0 they are lost, and counted",
        )
        .with_memory(format!(
            "{}; {} of {WAITING_MAX} as long as can be asked for",
            waiting(messages, message),
            waiting(WAITING_MAX as u64, message_max)
        )),
        Limit::of(
            "refused-max",
            "file of what is refused",
            format!(
                "{}, at least {}",
                bytes(number_of::<Mqtt>("refused-max") << 20),
                bytes(REFUSED_MIB_MIN << 20)
            ),
            "what is refused is not acknowledged until the file is moved away",
        )
        .with_memory("on disk; one line at a time in memory"),
        Limit::fixed(
            "messages that wait for their time where it is a device's clock",
            format!("{PLACES_MAX}, at most half of `--max-waiting`"),
            "refused (`time-ahead`)",
        ),
        Limit::fixed(
            "bytes of a packet",
            bytes(PACKET_BYTES_MAX),
            "the connection ends, each time it comes",
        )
        .with_memory(format!(
            "{PACKETS_READ} are read at once: {}, unless the broker lets none of that length \
             through (`message_size_limit`)",
            bytes(PACKETS_READ * PACKET_BYTES_MAX)
        )),
        Limit::fixed("values of a message", count(READINGS_MAX), refused),
        Limit::fixed("bytes of a text in a message", count(TEXT_BYTES_MAX), "refused"),
        Limit::fixed("bytes of its identifier", count(IDENTITY_BYTES_MAX), "refused"),
        Limit::fixed(
            "file of topics, rows, values of each",
            format!("{}, {}, {}", bytes(TOPICS_BYTES_MAX), count(ROWS_MAX), count(VALUES_MAX)),
            not_started,
        ),
        Limit::fixed(
            "bytes of a topic, steps of a pointer",
            format!("{}, {STEPS_MAX}", count(TOPIC_BYTES_MAX)),
            not_started,
        ),
    ];
    limits.extend(rows("not acknowledged, and tried again"));
    check("mqtt.md", &limits);
}
