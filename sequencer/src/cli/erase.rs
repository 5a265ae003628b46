//! `sequencer erase` and `sequencer hold`: a patient's request to erase their readings, and what
//! keeps it from being carried out.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use files::Audience;
use model::{Millis, PatientIndex, calendar, escape_lines};
use sequencer::doors::orders::{HoldOrder, Order};
use serde_json::Value;
use wire::SignedErasure;

use super::orders::{Signed, order, warn};
use super::outcome::{Asked, Outcome, failed, usage};

#[derive(Args)]
pub(crate) struct EraseArgs {
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    asked: Asked,
    /// The patient's index.
    #[arg(long, value_name = "INDEX")]
    patient: PatientIndex,
    /// The request that the patient signed (`vitals consent erase --out FILE`); without it, the one
    /// that they handed in over HTTP, as `sequencer hold list` shows.
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// Where the receipt of the tombstone goes, for the patient: a file that must not exist yet.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum HoldCommand {
    /// Keeps a patient's readings from being erased, for the reason that is given.
    Set(HoldArgs),
    /// Ends a legal hold, for the reason that is given.
    Clear(HoldArgs),
    /// Every legal hold: on whom, since when, by whom and why; and who asks to be erased.
    List(Asked),
}

#[derive(Args)]
pub(crate) struct HoldArgs {
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    asked: Asked,
    /// The patient's index.
    #[arg(long, value_name = "INDEX")]
    patient: PatientIndex,
}

/// A time of an answer, for people.
fn time(found: &Value, field: &str) -> Option<String> {
    let at = found[field].as_u64()?;
    Some(calendar::Utc(Millis::from_unix_ms(at)).to_string())
}

pub(crate) fn erase(args: EraseArgs) -> Outcome {
    let EraseArgs { signed, asked, patient, request, receipt } = args;
    // Before anything is done that nobody undoes: the receipt has a place to go.
    if let Some(path) = receipt.as_ref().filter(|path| path.exists()) {
        return Err(usage(anyhow!("expected no file {}, found one", path.display())));
    }
    let request = request.as_deref().map(read_request).transpose().map_err(usage)?;
    let erase = Order::Erase { patient: patient.get(), request: request.map(hex::encode) };
    let answer = order(&asked, erase, signed)?;
    warn(&answer);
    let kept = receipt.map(|path| keep(&path, &answer));
    let ends = ends(&answer);
    let at = time(&answer, "at_ms").unwrap_or_default();
    let text = format!(
        "erased at {at}, journal position {}; {} keys destroyed; {ends}\nwho read what, when and \
         why stays in the patient's log, and their consents",
        answer["position"], answer["keys"]
    );
    asked.print(&text, &answer);
    kept.unwrap_or(Ok(()))
}

fn read_request(path: &Path) -> anyhow::Result<Vec<u8>> {
    let what = || format!("reading {}", path.display());
    let bytes = files::read(path, SignedErasure::BYTES as u64, Audience::Public);
    let bytes = bytes.with_context(what)?;
    SignedErasure::from_bytes(&bytes).with_context(what)?;
    Ok(bytes)
}

/// When nobody reads any more what was erased, as far as the node knows.
pub(super) fn ends(answer: &Value) -> String {
    let (copies, then) = match time(answer, "last_copy_expires_ms") {
        Some(at) => (format!("a backup of keys may hold them until {at}"), " then"),
        None => ("no backup of keys holds them".to_owned(), ""),
    };
    match answer["unsealed_frames"].as_bool() {
        Some(false) => format!("{copies}: the erasure is complete{then}"),
        Some(true) => format!(
            "{copies}\nNOT COMPLETE: the journal has frames of before readings were sealed, which \
             stand in it in the clear, and in its copies, whatever keys are destroyed"
        ),
        None => format!(
            "{copies}\nthe begin of the journal cannot be read here: the erasure is complete{then} \
             unless it has frames of before readings were sealed, which stand in the clear"
        ),
    }
}

/// Keeps the receipt; the erasure is done whatever becomes of it.
fn keep(path: &Path, answer: &Value) -> Outcome {
    let why = || escape_lines(answer["not_receipted"].as_str().unwrap_or("none came")).to_string();
    let bytes = answer["receipt"].as_str().and_then(|text| hex::decode(text).ok());
    let bytes = bytes.ok_or_else(|| {
        failed(anyhow!("it is erased, and there is no receipt: {}; ask again for it", why()))
    })?;
    let written = files::create(path, &bytes, Audience::Owner);
    let what = || format!("it is erased; ask again for the receipt: writing {}", path.display());
    written.with_context(what).map_err(failed)
}

pub(crate) fn hold(command: HoldCommand) -> Outcome {
    let (args, change, done) = match command {
        HoldCommand::List(asked) => return list(&asked),
        HoldCommand::Set(args) => (args, HoldOrder::Set, "set"),
        HoldCommand::Clear(args) => (args, HoldOrder::Clear, "cleared"),
    };
    let HoldArgs { signed, asked, patient } = args;
    let answer = order(&asked, Order::Hold { patient: patient.get(), change }, signed)?;
    let text = format!("the legal hold is {done}, at journal position {}", answer["position"]);
    asked.print(&text, &answer);
    Ok(())
}

fn list(asked: &Asked) -> Outcome {
    let answer = order(asked, Order::Holds, Signed::default())?;
    let holds = answer["holds"].as_array().map_or(&[][..], Vec::as_slice);
    let line = |hold: &Value| {
        let words =
            |field: &str| escape_lines(hold[field].as_str().unwrap_or_default()).to_string();
        let since = time(hold, "since_ms").unwrap_or_default();
        let (who, reason) = (words("who"), words("reason"));
        format!("patient {}: since {since}, by {who}, because {reason}", hold["patient"])
    };
    let mut lines: Vec<String> = holds.iter().map(line).collect();
    if lines.is_empty() {
        lines.push("no legal hold is set".to_owned());
    }
    let requests = answer["requests"].as_array().map_or(&[][..], Vec::as_slice);
    let asks = |one: &Value| {
        let at = |field| time(one, field).unwrap_or_default();
        let held = if one["held"] == true { ", and is held" } else { "" };
        let (asked, until) = (at("requested_at_ms"), at("valid_until_ms"));
        let patient = &one["patient"];
        format!("patient {patient}: asked at {asked} to be erased, good until {until}{held}")
    };
    lines.extend(requests.iter().map(asks));
    lines.push(format!("patients erased: {}", answer["patients_erased"]));
    asked.print(&lines.join("\n"), &answer);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::ends;

    #[test]
    fn an_erasure_is_called_complete_only_where_no_reading_stands_in_the_clear() {
        let says = |unsealed: serde_json::Value| {
            ends(&json!({ "last_copy_expires_ms": null, "unsealed_frames": unsealed }))
        };
        assert!(says(json!(false)).ends_with(": the erasure is complete"));
        assert!(says(json!(true)).contains("NOT COMPLETE"));
        assert!(!says(json!(true)).contains("is complete"));
        assert!(says(json!(null)).contains("is complete unless"));
    }
}
