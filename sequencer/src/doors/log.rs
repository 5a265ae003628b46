//! The log as lines of JSON, for whoever collects it: one object a line, whose keys stay.
//!
//! `time`, `level`, `target`, `message` and `fields` are always there, in this order; what an event
//! says besides its message stands in `fields` under its own name. The page of them is
//! `docs/watching.md`. Whatever comes from outside is escaped by the encoding, so that no line
//! break of somebody's makes a line of its own.

use std::error::Error;
use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use model::calendar::Utc;
use model::{Clock, with_causes};
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer};

/// Longest text of a message or field, bytes: an error with its causes is far shorter. Reached: it
/// ends there, and in three dots.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: String,
    target: &'a str,
    message: String,
    fields: Map<String, Value>,
}

/// Writes each event as a line.
#[derive(Clone)]
pub struct JsonLog<W> {
    writer: W,
    clock: Arc<dyn Clock>,
}

impl<W> JsonLog<W> {
    /// Writes to this, with the times of this clock.
    pub fn new(writer: W, clock: Arc<dyn Clock>) -> JsonLog<W> {
        JsonLog { writer, clock }
    }
}

impl<S, W> Layer<S> for JsonLog<W>
where
    S: Subscriber,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (metadata, mut said) = (event.metadata(), Said::default());
        event.record(&mut said);
        let line = Line {
            time: Utc(self.clock.now()).to_string(),
            level: metadata.level().as_str().to_lowercase(),
            target: metadata.target(),
            message: said.message,
            fields: said.fields,
        };
        // Text and numbers only: nothing in it fails to encode.
        let Ok(mut bytes) = serde_json::to_vec(&line) else { return };
        bytes.push(b'\n');
        // In one piece, so that lines of two threads do not mix. Who would be told of a failure?
        drop(self.writer.make_writer_for(metadata).write_all(&bytes));
    }
}

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    fields: Map<String, Value>,
}

impl Said {
    fn text(&mut self, field: &Field, mut text: String) {
        if text.len() > TEXT_BYTES_MAX {
            text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
            text += "...";
        }
        match field.name() {
            "message" => self.message = text,
            name => _ = self.fields.insert(name.to_owned(), text.into()),
        }
    }

    fn value(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.text(field, with_causes(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.value(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.value(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.value(field, value);
    }

    /// What is no number, JSON has no number for: null.
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.value(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use model::{ManualClock, Millis};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `work` logs, as they are.
    fn logged(work: impl FnOnce()) -> Vec<String> {
        let kept = Kept::default();
        let (writer, at) = (kept.clone(), Millis::from_unix_ms(1_800_000_000_000));
        let log = JsonLog::new(move || writer.clone(), Arc::new(ManualClock::fixed(at)));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log), work);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_has_its_keys_in_their_order_and_values_of_their_kind() {
        let lines = logged(|| {
            tracing::warn!(free = 5_u64, ahead = -3, ratio = 0.5, yes = true, who = %"x", "the {}", 1);
        });
        let expected = "{\"time\":\"2027-01-15T08:00:00.000Z\",\"level\":\"warn\",\
                        \"target\":\"sequencer::doors::log::tests\",\"message\":\"the 1\",\
                        \"fields\":{\"ahead\":-3,\"free\":5,\"ratio\":0.5,\"who\":\"x\",\"yes\":true}}";
        assert_eq!(lines, [expected]);
    }

    #[test]
    fn whatever_is_said_is_one_line_that_parses() {
        let hostile = "a\nb\r\n\"}{\\\u{1b}[31m\u{0}\u{2028} \u{fffd} \u{1f980}";
        let long = "\u{e9}".repeat(TEXT_BYTES_MAX);
        let cause = io::Error::other(hostile);
        let lines = logged(|| {
            tracing::error!(text = hostile, "{hostile}");
            tracing::info!(?hostile, error = &cause as &dyn Error, none = f64::NAN, long);
            tracing::debug!("");
        });
        let parsed: Vec<Value> =
            lines.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
        assert_eq!(parsed.len(), 3, "{lines:?}");
        assert_eq!(parsed[0]["message"], hostile);
        assert_eq!(parsed[0]["fields"]["text"], hostile);
        assert_eq!(parsed[1]["fields"]["error"], with_causes(&cause));
        assert_eq!(parsed[1]["fields"]["none"], Value::Null);
        assert_eq!((&parsed[2]["message"], &parsed[2]["level"]), (&"".into(), &"debug".into()));
        let cut = parsed[1]["fields"]["long"].as_str().unwrap();
        assert!(cut.len() <= TEXT_BYTES_MAX + 3 && cut.ends_with("\u{e9}..."), "{}", cut.len());
        assert!(lines.iter().all(|line| line.chars().all(|c| c != '\u{1b}')), "{lines:?}");
    }
}
