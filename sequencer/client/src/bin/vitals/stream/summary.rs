//! What `vitals stream` says at its end, or of a file before it.

use client::Counts;
use model::{ExitCode, Signal};
use recordings::text;
use serde_json::{Value, json};

use super::frames::Ended;
use super::input::Survey;
use super::step::End;
use crate::node::Standing;
use crate::report::Report;

/// What was sent and why it ended.
pub(super) struct Streamed {
    pub(super) counts: Counts,
    pub(super) standing: Standing,
    pub(super) ended: Ended,
    /// Lines of the file; unknown of a pipe.
    pub(super) of_lines: Option<u64>,
}

/// Of a file that is not sent.
pub(super) fn dry_run(found: &Survey, signals: &[&'static Signal]) -> Report {
    let names: Vec<_> = signals.iter().map(|signal| signal.name).collect();
    let Survey { counts, readings, first_error, .. } = found;
    let lines = counts.lines;
    let mut text = format!("{readings} readings of {}", names.join(", "));
    if lines > 0 {
        text += &format!(" in {lines} lines");
    }
    let mut json = json!({
        "schema": "vitals-stream-dry-run-1", "lines": lines, "readings": readings,
        "signals": names, "error": null, "at": null,
    });
    text += "; nothing was sent";
    tell(counts, &mut text, &mut json);
    match first_error {
        None => Report::success(text, json),
        Some(error) => {
            text += &format!("\n{error}");
            json["error"] = error.why.as_str().into();
            json["at"] = error.place.as_str().into();
            Report { text, json, exit: ExitCode::Usage }
        }
    }
}

/// Of a stream that ended.
pub(super) fn report(streamed: Streamed) -> Report {
    let Streamed { counts, standing, ended, of_lines } = streamed;
    let Counts { frames_sent, readings_sent, frames_receipted, receipts, reconnects, .. } = counts;
    let mut json = json!({
        "schema": "vitals-stream-1", "frames": frames_sent, "readings": readings_sent,
        "frames_receipted": frames_receipted, "receipts": receipts,
        "frames_delayed": counts.frames_delayed, "streams_delayed": counts.streams_delayed,
        "reconnects": reconnects,
    });
    let mut text = format!(
        "{readings_sent} readings in {frames_sent} frames; {frames_receipted} frames are durable \
         by {receipts} verified receipts; {reconnects} reconnects"
    );
    let report = match ended {
        Ended::Whole(end) => {
            tell(&end.counts, &mut text, &mut json);
            tell_lines(&end, &mut text, &mut json);
            Report::success(text, json)
        }
        Ended::Bad(bad) => {
            let of = of_lines.map_or_else(String::new, |lines| format!(" of {lines}"));
            text += &format!(
                "\n{bad}\neverything before {}{of} is durable: correct it and go on from there, or \
                 pass over such places with --on-error skip",
                bad.place
            );
            json["error"] = bad.why.as_str().into();
            json["at"] = bad.place.as_str().into();
            Report { text, json, exit: ExitCode::Usage }
        }
    };
    standing.tell(report)
}

/// What was not taken as it stood, each only where there is some.
fn tell(counts: &text::Counts, text: &mut String, json: &mut Value) {
    let text::Counts { absent, skipped, sentinels, rounded, converted, others, .. } = counts;
    for (count, key, what) in [
        (absent, "absent", "readings say that the sensor was off (--missing says otherwise)"),
        (skipped, "missing", "places without a value were passed over (--missing skip)"),
        (sentinels, "sentinels", "of those were sentinels (--sentinel)"),
        (rounded, "rounded", "values were rounded (--round)"),
        (converted, "converted", "values were converted from another unit"),
        (others, "others", "rows of another device or signal were passed over"),
    ] {
        json[key] = (*count).into();
        if *count > 0 {
            *text += &format!("\n{count} {what}");
        }
    }
    json["lines"] = counts.lines.into();
    if let Some(line) = counts.first_latin1 {
        *text += &format!("\nline {line} is no UTF-8 and was read as Latin-1");
    }
}

/// Lines that were passed over, and a last one that may have been cut.
fn tell_lines(end: &End, text: &mut String, json: &mut Value) {
    json["sent_before"] = end.sent_before.into();
    if end.sent_before > 0 {
        let count = end.sent_before;
        *text += &format!("\n{count} readings of the file were sent before, and are not again");
    }
    json["lines_skipped"] = end.skipped_lines.into();
    if end.skipped_lines > 0 {
        let count = end.skipped_lines;
        *text += &format!(
            "\n{count} lines or samples that are no readings were passed over, the first:"
        );
    }
    for error in &end.skipped {
        *text += &format!("\n  {error}");
    }
    json["last_line_cut"] = end.is_cut.into();
    if end.is_cut {
        *text += &format!(
            "\nline {}, the last, has no end: it was read as it stands; was the file whole?",
            end.counts.lines
        );
    }
}
