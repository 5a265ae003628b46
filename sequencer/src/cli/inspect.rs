//! `sequencer journal inspect`.

use anyhow::anyhow;
use clap::Args;
use journal::ViewEnd;
use model::{Millis, calendar};
use sequencer::doors::admin::{AdminError, ask};
use sequencer::folder::layout::Layout;
use sequencer::node::archive::reads_of;
use sequencer::node::backup::JournalEnd;
use sequencer::node::inspect::{
    Bodies, EntryFields, FileSummary, GroupSummary, InspectError, Inspected, Inspection,
};
use serde::Serialize;
use serde_json::json;

use super::outcome::{Asked, Failure, Outcome, failed, runtime, unavailable};

#[derive(Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    asked: Asked,
    /// Show this group only.
    #[arg(long, value_name = "N", conflicts_with = "position")]
    group: Option<u64>,
    /// Show the entry at this position only, field by field.
    #[arg(long, value_name = "P")]
    position: Option<u64>,
    /// With the entry its body, and so patient, device and readings: on a screen, and in whatever
    /// keeps what is printed.
    #[arg(long, requires = "position")]
    bodies: bool,
}

pub(crate) fn inspect(args: &InspectArgs) -> Outcome {
    let InspectArgs { asked, group, position, bodies } = args;
    let layout = Layout::new(&asked.node.dir);
    let archive = Some(reads_of(&layout));
    let inspected = Inspected::open(&layout.journal(), end(&layout)?, archive);
    let inspected = inspected.map_err(inspect_failed)?;
    match (group, position) {
        (Some(group), _) => {
            let found = inspected.group(*group).map_err(inspect_failed)?;
            print(asked, &text_of_group(&found), &found);
        }
        (_, Some(position)) => {
            let bodies = if *bodies { Bodies::Shown } else { Bodies::Hidden };
            let found = inspected.entry(*position, bodies).map_err(inspect_failed)?;
            print(asked, &text_of_entry(&found), &found);
        }
        (None, None) => {
            let found = inspected.all().map_err(inspect_failed)?;
            print(asked, &text_of_all(&found), &found);
        }
    }
    Ok(())
}

fn print<T: Serialize>(asked: &Asked, text: &str, found: &T) {
    asked.print(text, &json!(found));
}

/// Where the journal ends, if a node runs that appends to it.
pub(super) fn end(layout: &Layout) -> Outcome<Option<ViewEnd>> {
    match runtime()?.block_on(ask(&layout.admin_socket(), "end")) {
        Ok(answer) => {
            let JournalEnd { file, end, .. } = JournalEnd::of_answer(&answer).map_err(failed)?;
            Ok(Some(ViewEnd { file, bytes: end }))
        }
        // Nobody listens, so nobody appends; a node that is about to starts with a scan of its own.
        Err(AdminError::Socket { source, .. }) if is_nobody(&source) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Whether this says that nobody listens, and not that somebody could not be asked.
pub(super) fn is_nobody(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, NotFound};
    matches!(error.kind(), NotFound | ConnectionRefused)
}

fn inspect_failed(error: InspectError) -> Failure {
    match error {
        InspectError::Absent { .. } => unavailable(error),
        InspectError::Read(journal::ReadError::Absent { .. }) => {
            let error = anyhow::Error::new(error);
            unavailable(error.context(anyhow!("expected a number that the journal has")))
        }
        error => failed(error),
    }
}

fn instant(unix_ms: Option<u64>) -> String {
    let at = unix_ms.map(|unix_ms| calendar::Utc(Millis::from_unix_ms(unix_ms)).to_string());
    at.unwrap_or_else(|| "-".to_owned())
}

fn text_of_all(found: &Inspection) -> String {
    let mut lines = vec![format!(
        "{:>8} {:>6} {:>12} {:>12} {:>14}  {:24}  last entry",
        "file", "", "groups", "entries", "bytes", "first entry"
    )];
    for file in &found.files {
        let FileSummary { number, sealed, groups, entries, bytes, first_ms, last_ms, .. } = file;
        let state = if *sealed { "sealed" } else { "open" };
        lines.push(format!(
            "{number:>8} {state:>6} {groups:>12} {entries:>12} {bytes:>14}  {:24}  {}",
            instant(*first_ms),
            instant(*last_ms)
        ));
    }
    for (kind, counted) in &found.kinds {
        lines.push(format!("{kind:16} {:>12} {:>14} bytes", counted.entries, counted.bytes));
    }
    for (codec, one) in &found.codecs {
        lines.push(format!(
            "codec {codec:10} {:>12} frames, {} readings, {} bytes",
            one.frames, one.readings, one.bytes
        ));
    }
    if let Some(bytes) = found.bytes_per_reading {
        lines.push(format!("{bytes:.2} bytes a reading, of all that the journal holds"));
    }
    if found.torn_bytes > 0 {
        lines.push(format!(
            "{} bytes of a write that was never acknowledged: the next start cuts them",
            found.torn_bytes
        ));
    }
    lines.join("\n")
}

fn text_of_group(found: &GroupSummary) -> String {
    let GroupSummary { group, file, offset, bytes, first, last, .. } = found;
    let mut lines = vec![
        format!("group        {group}"),
        format!("stands in    {file:08}.log, from byte {offset} on, {bytes} bytes"),
        format!("positions    {first} to {last}"),
        format!(
            "appended     {} to {}",
            instant(Some(found.first_ms)),
            instant(Some(found.last_ms))
        ),
        format!("journal hash {}", found.journal_hash),
        format!("digest       {}", found.digest),
    ];
    if found.given_up_before {
        lines.push("numbers before it were given up: its first entry says why".to_owned());
    }
    for (kind, counted) in &found.kinds {
        lines.push(format!("{kind:12} {} entries, {} bytes", counted.entries, counted.bytes));
    }
    lines.join("\n")
}

fn text_of_entry(found: &EntryFields) -> String {
    let EntryFields { position, kind, fields } = found;
    let fields = fields.iter().map(|field| format!("{:20} {}", field.name, field.value));
    let first = format!("{:20} {position}, {kind}", "position");
    std::iter::once(first).chain(fields).collect::<Vec<_>>().join("\n")
}
