//! The document, the names in it, and its zone, as the command line gives them.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use client::Wallet;
use files::Audience;
use model::calendar::{Instant, Local};
use pcf::{Finding, PlaceDay, Reading, Weight};
use recordings::Zone;
use serde_json::{Value, json};

use super::plan::Plan;
use crate::known::CheckedNames;
use crate::report::{Report, Usage};
use crate::rule::Answers;
use crate::signing::Preview;

/// Largest file that is opened: what the crate `pcf` takes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A Consent.
#[derive(Args)]
pub(crate) struct DocumentArgs {
    /// The Consent: FHIR R4 as JSON, of a profile of IHE PCF
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What the document calls people, devices, purposes and the patient, and what they are here:
    /// TOML, as the page on consents shows
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// Where its dates hold: UTC, +02:00, or a name as Europe/Berlin; without it dates are refused
    #[arg(long, value_name = "ZONE")]
    zone: Option<Zone>,
}

/// What stands in a file.
pub(crate) struct Consent {
    pub(crate) reading: Reading,
    /// The document itself in words, a line for each provision.
    pub(crate) lines: Vec<String>,
}

impl DocumentArgs {
    pub(crate) fn read(&self) -> anyhow::Result<Consent> {
        let bytes = read_file(&self.file)?;
        let names = read_names(self.names.as_deref())?;
        let days = self.zone.as_ref().map(Days);
        let zone = days.as_ref().map(|days| days as &dyn PlaceDay);
        let in_file = || self.file.display().to_string();
        let reading = pcf::read(&bytes, &names, zone).with_context(in_file)?;
        Ok(Consent { reading, lines: pcf::in_words(&bytes).with_context(in_file)? })
    }
}

impl Consent {
    /// The same, if it is one of this wallet's patient that rules can say; else what is reported.
    pub(crate) fn signable(self, wallet: &Wallet) -> Result<Consent, Report> {
        let refused = |why: String| {
            let findings = &self.reading.findings;
            let text = format!("{why}{}", findings_in_words(findings));
            let json = json!({
                "schema": SCHEMA, "applied": false, "refused": why, "document": self.lines,
                "findings": findings_object(findings),
            });
            Report::failure(text + "\nnothing was signed or sent", json)
        };
        if self.reading.clone().compiled().is_err() {
            let lines = self.lines.join("\n  ");
            return Err(refused(format!("the document says\n  {lines}\nno rules can say that")));
        }
        // Another patient's consent, signed with this key, would be this patient's.
        if self.reading.patient != Some(wallet.patient.get()) {
            return Err(refused("the document is of another patient than this wallet".to_owned()));
        }
        Ok(self)
    }

    /// What would be signed, all of it.
    pub(crate) fn preview(
        &self,
        plan: &Plan,
        names: CheckedNames,
        answers: Option<Answers>,
    ) -> Preview {
        let mut text = format!("the document says\n  {}", self.lines.join("\n  "));
        text += "\nto be signed";
        text += &plan.in_words();
        if !self.reading.findings.is_empty() {
            text += "\nto know";
            text += &findings_in_words(&self.reading.findings);
        }
        text += &names.in_words();
        let mut json = json!({
            "schema": SCHEMA, "applied": false, "document": self.lines,
            "findings": findings_object(&self.reading.findings),
        });
        plan.tell(&mut json);
        names.tell(&mut json);
        if let Some(Answers { before, after }) = answers {
            text += &format!("\nnow:       {before}\nafter it:  {after}");
            json["before"] = before.into();
            json["after"] = after.into();
        }
        Preview { text, json, names }
    }
}

const SCHEMA: &str = "vitals-consent-import-1";

/// Names of a file; none without one.
pub(crate) fn read_names(path: Option<&Path>) -> anyhow::Result<pcf::Names> {
    let Some(path) = path else { return Ok(pcf::Names::default()) };
    let bytes = read_file(path)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        let why = format!("expected names as text in {}, found other bytes", path.display());
        Usage(why)
    })?;
    pcf::Names::parse(&text).with_context(|| path.display().to_string())
}

fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    // A document that a hospital hands out, and not this wallet's own: who else may open it is
    // theirs to say.
    files::read(path, FILE_BYTES_MAX, Audience::Public).with_context(|| path.display().to_string())
}

/// Days of the zone that the command line names.
struct Days<'a>(&'a Zone);

impl PlaceDay for Days<'_> {
    fn begin_of(&self, day: Local) -> Option<Instant> {
        self.0.place_begin(day).ok()
    }
}

/// A line for each finding: what is refused, or told, and what to do.
pub(crate) fn findings_in_words(findings: &[Finding]) -> String {
    let line = |one: &Finding| {
        let weight = if one.weight() == Weight::Refused { "refused" } else { "to know" };
        let (element, why, instead) = (&one.element, &one.reason, one.reason.rewrite());
        format!("\n  {weight}  {element}: {why}\n           {instead}")
    };
    findings.iter().map(line).collect()
}

/// The same for programs.
pub(crate) fn findings_object(findings: &[Finding]) -> Value {
    let object = |one: &Finding| {
        json!({
            "element": one.element, "code": one.reason.code(), "why": one.reason.to_string(),
            "instead": one.reason.rewrite(), "refused": one.weight() == Weight::Refused,
        })
    };
    findings.iter().map(object).collect()
}
