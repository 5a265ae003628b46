//! The files that lawyers ask a log for: accounting of disclosures, access log, AuditEvents.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use accounting::{
    About, Document, Entry, Export, ExportKind, FILE_BYTES_MAX, Format, KEPT_ACCESS_LOG_MS,
    KEPT_DISCLOSURES_MS, Known, Purposes,
};
use anyhow::Context;
use clap::{Args, ValueEnum};
use client::log::Seen;
use client::party::{self, Names};
use files::Audience;
use model::calendar::{self, CalendarError};
use model::{BatchNumber, ChainScope, Millis, Party, PatientIndex, Word};
use serde_json::{Value, json};

use crate::report::{Report, Usage};

/// Which files to write.
#[derive(Args, Default)]
pub(crate) struct Exports {
    /// Write the accounting of disclosures (45 CFR 164.528) of the last six years: each line names
    /// its settled claims, and `auditor accounting` finds them again
    #[arg(long, value_name = "FILE")]
    accounting: Option<PathBuf>,
    /// Write the log of accesses (EHDS, Article 9) of the last three years
    #[arg(long, value_name = "FILE")]
    ehds: Option<PathBuf>,
    /// Write every settled claim as FHIR R4 AuditEvents (IHE BALP): a Bundle, in JSON
    #[arg(long, value_name = "FILE")]
    audit_events: Option<PathBuf>,
    /// Begin the files not before this time
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<Millis>,
    /// How the first two are written
    #[arg(long, value_enum, default_value = "csv")]
    format: Written,
    /// Into the accounting also what the law exempts: treatment, payment, operations, the patient
    #[arg(long, requires = "accounting")]
    all_purposes: bool,
    /// Say in the accounting that a suspension under 164.528(a)(2) was declared until then
    #[arg(long, requires = "accounting", value_name = "TIME", value_parser = parse_moment)]
    suspended_until: Option<Millis>,
}

/// How a table is written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
enum Written {
    /// For a spreadsheet
    #[default]
    Csv,
    /// For programs
    Json,
    /// One page, to be printed
    Html,
}

/// What a log gives for files.
pub(crate) struct Accounts {
    scope: ChainScope,
    patient: PatientIndex,
    known: BTreeMap<Word, String>,
    transactions: BTreeMap<BatchNumber, [u8; 32]>,
    entries: Vec<Entry>,
}

impl Accounts {
    pub(crate) fn new(
        scope: ChainScope,
        patient: PatientIndex,
        names: &Names,
        transactions: BTreeMap<BatchNumber, [u8; 32]>,
    ) -> Accounts {
        let known = names.all().filter_map(|text| {
            let (_, name) = text.split_once(':')?;
            match party::actor(text) {
                Ok(Party::Named(word)) => Some((word, name.to_owned())),
                _ => None,
            }
        });
        let known = known.collect();
        Accounts { scope, patient, known, transactions, entries: Vec::new() }
    }

    /// Takes the claims of a batch that was checked.
    pub(crate) fn take(&mut self, batch: BatchNumber, seen: &Seen) -> anyhow::Result<()> {
        let claims = seen.opening.iter().flat_map(|opening| &opening.claims);
        for opening in claims {
            let name = |word: &Word| self.known.get(word).cloned();
            let claim = &opening.claim;
            let known = Known {
                individual: name(&claim.individual),
                organisation: name(&claim.organisation),
            };
            let transaction = self.transactions.get(&batch).copied();
            self.entries.push(Entry::new(batch, transaction, opening.clone(), known)?);
        }
        Ok(())
    }
}

impl Exports {
    /// Whether any file is wanted.
    pub(crate) fn any(&self) -> bool {
        self.wanted().next().is_some()
    }

    /// Writes the files of a log that holds, and says so in its report. Of one that does not, none:
    /// it would be read as if all of it were proven.
    pub(crate) fn write(
        &self,
        accounts: &Accounts,
        until: Option<Millis>,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        if !self.any() {
            return Ok(());
        }
        let Some(until) = until.filter(|_| report.json["holds"] == true) else {
            report.text += "\nno file is written: the log does not hold, or has no batch";
            report.json["written"] = json!([]);
            return Ok(());
        };
        let written = self.wanted().map(|(kind, path)| {
            let written = self.write_one(accounts, kind, path, until)?;
            report.text += &format!(
                "\n{} lines of {} settled claims are written to {}",
                written["lines"],
                written["claims"],
                path.display()
            );
            Ok(written)
        });
        let written = written.collect::<anyhow::Result<Vec<Value>>>()?;
        report.json["written"] = written.into();
        Ok(())
    }

    fn wanted(&self) -> impl Iterator<Item = (ExportKind, &Path)> {
        let all = [
            (ExportKind::Disclosures, &self.accounting),
            (ExportKind::AccessLog, &self.ehds),
            (ExportKind::AuditEvents, &self.audit_events),
        ];
        all.into_iter().filter_map(|(kind, path)| Some((kind, path.as_deref()?)))
    }

    fn write_one(
        &self,
        accounts: &Accounts,
        kind: ExportKind,
        path: &Path,
        until: Millis,
    ) -> anyhow::Result<Value> {
        let from = match kind {
            ExportKind::Disclosures => begin(until, KEPT_DISCLOSURES_MS),
            ExportKind::AccessLog => begin(until, KEPT_ACCESS_LOG_MS),
            // All that is settled: a repository of audit records keeps them as long as it has to.
            ExportKind::AuditEvents => Millis::UNBOUNDED_PAST,
        };
        let from = self.since.map_or(from, |since| from.max(since));
        let is_accounting = kind == ExportKind::Disclosures;
        let about = About {
            kind,
            scope: accounts.scope,
            patient: accounts.patient,
            from,
            until,
            purposes: match is_accounting && self.all_purposes {
                true => Purposes::All,
                false => Purposes::Required,
            },
            suspended_until: self.suspended_until.filter(|_| is_accounting),
        };
        let document = Document::new(about, accounts.entries.iter().cloned())?;
        let counts = json!({
            "kind": kind.name(), "file": path.display().to_string(),
            "lines": document.lines().len(), "claims": document.entries().len(),
        });
        let export = Export { document, format: self.format.of_table() };
        let text = export.to_text();
        // Nobody could read it back.
        let (found, most) = (text.len(), FILE_BYTES_MAX);
        if found > most {
            let why =
                format!("expected a file of at most {most} bytes, found {found}: give --since");
            return Err(Usage(why).into());
        }
        let failed = || format!("writing {}", path.display());
        files::replace(path, &[text.as_bytes()], Audience::Owner).with_context(failed)?;
        Ok(counts)
    }
}

impl Written {
    fn of_table(self) -> Format {
        match self {
            Written::Csv => Format::Csv,
            Written::Json => Format::Json,
            Written::Html => Format::Html,
        }
    }
}

fn parse_moment(text: &str) -> Result<Millis, CalendarError> {
    Ok(calendar::parse_instant(text)?.millis())
}

fn begin(until: Millis, kept_ms: u64) -> Millis {
    // Below a time that was read, so of its width.
    Millis::new(until.get().saturating_sub(kept_ms)).unwrap_or(Millis::UNBOUNDED_PAST)
}
