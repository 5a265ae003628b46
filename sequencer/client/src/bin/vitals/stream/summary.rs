//! What `vitals stream` says at its end, or of a file before it.

use std::fmt;
use std::path::PathBuf;

use client::{Counts, Gap, GapCause};
use model::calendar::Utc;
use model::{ExitCode, Signal, with_causes};
use recordings::text;
use serde_json::{Value, json};

use super::frames::{Ended, SignalGap};
use super::input::Survey;
use super::progress::unsent;
use super::step::{End, Skipped};
use crate::node::Standing;
use crate::report::Report;

/// What was sent and why it ended.
pub(super) struct Streamed {
    pub(super) counts: Counts,
    pub(super) standing: Standing,
    pub(super) ended: Ended,
    /// Lines of the file; unknown of a pipe.
    pub(super) of_lines: Option<u64>,
    /// Readings that were put in frames.
    pub(super) readings: u64,
    /// Readings of the file that were sent or kept before, with the same state folder.
    pub(super) sent_before: u64,
    pub(super) state: Option<PathBuf>,
    /// Readings that were given up by this run.
    pub(super) given_up: u64,
    /// What was given up and told now, by runs before too.
    pub(super) gaps: Vec<SignalGap>,
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
            Report { text, json, exit: ExitCode::Usage, after: None }
        }
    }
}

/// Of a stream that ended.
pub(super) fn report(streamed: Streamed) -> Report {
    let Streamed { counts, standing, ended, of_lines, readings, sent_before, .. } = streamed;
    let Streamed { state, given_up, gaps, .. } = streamed;
    let Counts { frames_sent, frames_receipted, receipts, reconnects, .. } = counts;
    let restored = (counts.readings_sent + counts.readings_restored)
        .saturating_sub(readings + counts.readings_sent_again);
    let without = unsent(&counts).readings;
    let mut json = json!({
        "schema": "vitals-stream-1", "read": readings + sent_before, "sent_before": sent_before,
        "readings": readings, "restored": restored, "durable": counts.readings_receipted,
        "refused": 0, "frames": frames_sent, "frames_receipted": frames_receipted,
        "receipts": receipts, "frames_delayed": counts.frames_delayed,
        "streams_delayed": counts.streams_delayed, "reconnects": reconnects,
        "sent_again": counts.readings_sent_again, "given_up": given_up,
        "gaps": gaps.iter().map(SignalGap::json).collect::<Vec<_>>(),
        "error": null, "at": null,
    });
    let mut text = format!(
        "{readings} readings in {frames_sent} frames; {frames_receipted} frames are durable by \
         {receipts} verified receipts; {reconnects} reconnects"
    );
    if restored > 0 {
        text += &format!("\n{restored} more readings were kept by a run before, and sent now");
    }
    if sent_before > 0 {
        text += &format!(
            "\n{sent_before} readings of the file were sent or kept before, and are not read again"
        );
    }
    tell_losses(counts.readings_sent_again, &gaps, &mut text);
    let report = match ended {
        Ended::Whole(end) => {
            tell(&end.counts, &mut text, &mut json);
            tell_lines(&end, &mut text, &mut json);
            Report::success(text, json)
        }
        Ended::Bad(bad, end) => {
            let of = of_lines.map_or_else(String::new, |lines| format!(" of {lines}"));
            tell(&end.counts, &mut text, &mut json);
            tell_lines(&end, &mut text, &mut json);
            let before = match counts.readings_receipted + sent_before {
                0 => "nothing stands before it".to_owned(),
                _ => format!("everything before {}{of} is durable", bad.place),
            };
            text += &format!(
                "\n{bad}\n{before}: correct it and go on from there, or pass over such places with \
                 --on-error skip"
            );
            json["error"] = bad.why.as_str().into();
            json["at"] = bad.place.as_str().into();
            Report { text, json, exit: ExitCode::Usage, after: None }
        }
        Ended::Refused(error) => {
            let why = with_causes(&error);
            text += &format!("\n{why}\n{without} readings are not durable");
            if let Some(state) = state {
                text += &format!("; they are kept in {} and sent by the next run", state.display());
            }
            json["error"] = why.into();
            json["refused"] = without.into();
            Report::failure(text, json)
        }
    };
    // Not everything that was read is durable, and never will be.
    let is_whole = gaps.is_empty() && given_up == 0;
    let exit = if is_whole || report.exit != ExitCode::Ok { report.exit } else { ExitCode::Failed };
    standing.tell(Report { exit, ..report })
}

/// What the node lost, and what was lost here.
fn tell_losses(sent_again: u64, gaps: &[SignalGap], text: &mut String) {
    if sent_again > 0 {
        *text += &format!(
            "\n{sent_again} readings had receipts and were sent again, because the node had lost \
             them"
        );
    }
    for gap in gaps {
        *text += &format!("\n{gap}");
    }
}

impl SignalGap {
    fn json(&self) -> Value {
        let Gap { readings, from, until, cause, .. } = &self.gap;
        json!({
            "signal": self.signal.name, "readings": readings, "from": from.millis().unix_ms(),
            "until": until.millis().unix_ms(), "why": cause.name(),
        })
    }
}

impl fmt::Display for SignalGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Gap { readings, from, until, cause, .. } = &self.gap;
        let (name, from, until) = (self.signal.name, Utc(from.millis()), Utc(until.millis()));
        let why = match cause {
            GapCause::Full => "the state folder held as much as it may (--state-max)",
            GapCause::Old => "they were kept for as long as they may be (--state-age)",
        };
        write!(f, "{readings} readings of {name} from {from} to {until} are given up: {why}")
    }
}

/// What was not taken as it stood, each only where there is some.
fn tell(counts: &text::Counts, text: &mut String, json: &mut Value) {
    let text::Counts { absent, skipped, sentinels, rounded, converted, others, .. } = counts;
    for (count, key, what) in [
        (absent, "absent", "readings say that the sensor was off (--missing says otherwise)"),
        (skipped, "missing", "places without a value were passed over (--missing skip)"),
        (sentinels, "sentinels", "of those were sentinels (--sentinel)"),
        (rounded, "rounded", "values were rounded to a step of their signal"),
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
    json["lines_skipped"] = end.skipped_lines.into();
    if end.skipped_lines > 0 {
        let count = end.skipped_lines;
        *text += &format!("\n{count} lines or samples that are no readings were passed over:");
    }
    for Skipped { first, count } in &end.skipped {
        *text += &format!("\n  {count}, the first {first}");
    }
    let skipped = end.skipped.iter().map(|Skipped { first, count }| {
        json!({ "why": first.why, "count": count, "first": first.place })
    });
    json["skipped"] = skipped.collect();
    json["last_line_cut"] = end.is_cut.into();
    if end.is_cut {
        *text += &format!(
            "\nline {}, the last, has no end: it was read as it stands; was the file whole?",
            end.counts.lines
        );
    }
}
