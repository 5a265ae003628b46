//! What devices publish by MQTT, and the file that says how it is read.

use std::sync::LazyLock;

use bridge::Map;
use payloads::{
    IDENTITY_BYTES_MAX, LEFT_OUT_MAX, Published, READINGS_MAX, ROWS_MAX, TOPICS_BYTES_MAX, Taken,
    Topics,
};

use crate::source::Source;

/// The map of the samples, and their topics, which are the example of the bridge's page.
static MAP: LazyLock<Map> = LazyLock::new(|| Map::parse(NAMES).expect("a map that can be read"));
static TOPICS: LazyLock<Topics> = LazyLock::new(|| {
    let (_, example) = PAGE.split_once("```toml\n").expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    Topics::parse(example).expect("topics of the page")
});
const NAMES: &str = r#"
version = 1
zone = "Europe/Berlin"
missing = "off"
unknown = "leave-out"
patient = [
    { authority = "HOSP", identifier = "4711", patient = 7 },
    { authority = "STUDY", identifier = "anna", patient = 8 },
]
device = [
    { authority = "MQTT", identifier = "bed7", device = "monitor-0001" },
    { authority = "MQTT", identifier = "watch-3", device = "wearable-0003" },
]
code = [{ system = "99ACME", code = "HR", signal = "heart-rate", unit = "/min" }]
"#;
const PAGE: &str = include_str!("../../client/docs/mqtt.md");
/// Whom the samples name; neither stands in a refusal.
const NAMED: [&str; 2] = ["4711", "watch-3"];

/// A message: a topic behind its length, and the payload. Behind a length that no sample has, a
/// file of topics.
///
/// # Panics
/// If what is read depends on blanks around it, if more is taken than may be, if a reading is out
/// of its signal's range, if a topic fits a filter that no broker would deliver it by, or if a
/// refusal names somebody.
pub fn published(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let length = usize::from(source.below(u8::MAX));
    let rest = source.rest();
    if length == usize::from(u8::MAX - 1) {
        return topics(rest);
    }
    let (topic, payload) = rest.split_at(length.min(rest.len()));
    let Ok(topic) = std::str::from_utf8(topic) else { return };
    let read = |payload: &[u8]| TOPICS.read(Published { topic, payload }, &MAP);
    let found = read(payload);
    let spaced = [&b" \n"[..], payload, b"\t "].concat();
    assert!(found == read(&spaced), "blanks around a value mean nothing");
    match &found {
        Ok(taken) => {
            let delivered = TOPICS.filters().any(|filter| is_delivered(filter, topic));
            assert!(delivered, "a topic that nobody subscribed to");
            taken_is_within(taken);
        }
        Err(refusal) => {
            let said = refusal.to_string();
            assert!(!NAMED.iter().any(|name| said.contains(name)), "{said}");
        }
    }
}

fn taken_is_within(taken: &Taken) {
    assert!((1..=READINGS_MAX).contains(&taken.readings.len()), "some, and not too many");
    assert!(taken.left_out.len() <= LEFT_OUT_MAX.min(taken.left_out_count), "what is told");
    let fits = |text: &String| (1..=IDENTITY_BYTES_MAX).contains(&text.len());
    assert!(taken.identity.as_ref().is_none_or(fits), "an identifier within its limit");
    for one in &taken.readings {
        let range = one.signal.min..=one.signal.max;
        assert!(one.value.is_none_or(|value| range.contains(&value)), "in range");
    }
}

/// A file of topics that is read is one that can be subscribed to.
fn topics(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert!(text.len() <= TOPICS_BYTES_MAX, "samples are small");
    let Ok(topics) = Topics::parse(text) else { return };
    assert!((1..=ROWS_MAX).contains(&topics.filters().count()), "rows");
    for filter in topics.filters() {
        assert!((1..=u16::MAX as usize).contains(&filter.len()) && !filter.contains('\0'));
        assert!(!filter.starts_with('$'), "a topic of the broker itself");
        let levels: Vec<_> = filter.split('/').collect();
        let (last, others) = levels.split_last().expect("one level at least");
        let is_whole = |level: &&str| level.len() == 1 || !level.contains(['+', '#']);
        assert!(others.iter().all(|level| is_whole(level) && *level != "#"), "{filter}");
        assert!(is_whole(last), "{filter}");
        let topic = filter.replace(['+', '#'], "1");
        assert!(is_delivered(filter, &topic), "{filter} delivers {topic}");
        _ = topics.read(Published { topic: &topic, payload: b"{}" }, &MAP);
    }
}

/// Whether a broker delivers a topic to whoever subscribed to a filter (MQTT 3.1.1, 4.7).
fn is_delivered(filter: &str, topic: &str) -> bool {
    match (filter.split_once('/').unwrap_or((filter, "")), filter.contains('/')) {
        (("#", _), false) => true,
        ((level, rest), more) => {
            let (own, below) = topic.split_once('/').unwrap_or((topic, ""));
            let fits = level == "+" || level == own;
            match (more, topic.contains('/')) {
                // The level above a # is part of it.
                (true, false) => fits && rest == "#",
                (false, true) => false,
                (false, false) => fits,
                (true, true) => fits && is_delivered(rest, below),
            }
        }
    }
}
