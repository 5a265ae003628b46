//! `vitals study key | claims | export`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use client::headers;
use extract::{
    ClaimsWriter, Expected as Of, Reader, SoundClaims, Study, StudyFiles, StudyReading, Times,
    read_claims,
};
use files::Audience;
use model::{Categories, Category, PatientIndex, PractitionerId, Purpose};
use serde::Deserialize;
use serde_json::json;
use statement::scope::header_hash;

use crate::node::{Expected, tell_deployment};
use crate::of_patient::OfPatient;
use crate::report::{Outcome, Report, Usage};

/// Name and version of the file that says what a study is.
const PLAN_SCHEMA: &str = "vitals-study-plan-1";
/// Largest plan that is read: room for some 100,000 participants.
const PLAN_BYTES_MAX: u64 = 16 << 20;
/// Largest file of readings or claims that is read.
const FILE_BYTES_MAX: u64 = extract::RECORD_BYTES_MAX as u64;

#[derive(Subcommand)]
pub(crate) enum Command {
    Key(NewKey),
    Claims(Box<Claims>),
    Export(Box<Export>),
}

/// Make the key of a study's pseudonyms
///
/// For a study's data manager: whoever has it can make the pseudonym of any patient, so that it
/// stays with the study, and goes to its auditor inside the proofs.
///
///   vitals study key --out hrv.key
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct NewKey {
    /// The file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Open a study's claims on one's own record to that study
///
/// For a participant: each time that this practitioner read for research, with what opens that
/// claim and nothing else; the view key stays here. The study can then show to its auditor that it
/// was permitted.
///
///   vitals study claims --patient-key anna.key --data batches --headers headers.json \
///       --identity DIR --practitioner dr-study --out anna.claims
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Claims {
    #[command(flatten)]
    of: OfPatient,
    /// Whose claims
    #[arg(long, value_name = "NAME", value_parser = PractitionerId::new)]
    practitioner: PractitionerId,
    /// The file, which replaces one that is there
    #[arg(long, value_name = "FILE.claims")]
    out: PathBuf,
}

/// Make a study's data set of what was released for research and proven to be permitted
///
/// For a study's data manager. The plan names the study, its practitioner and categories, and of
/// each participant the readings that vitals access --purpose research released. What no settled,
/// covered claim of the study covers is left out and counted. The set has pseudonyms and, unless
/// the plan says so, no clock; the proofs say who is who, and are for the study's auditor alone.
///
///   vitals study export --study hrv.json --key hrv.key --claims anna.claims \
///       --headers headers.json --identity DIR --out hrv
///   auditor verify --study hrv/data.csv --proofs hrv/proofs.jsonl --deployment deployment.json \
///       --headers headers.json
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Export {
    /// What the study is: name, practitioner, categories, times and participants, as JSON
    #[arg(long, value_name = "FILE.json")]
    study: PathBuf,
    /// Key of the pseudonyms (vitals study key)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Claims that participants opened to the study (vitals study claims)
    #[arg(long, value_name = "FILE", required = true)]
    claims: Vec<PathBuf>,
    /// Headers that an auditor saved: the claims have to be of these batches
    #[arg(long, value_name = "FILE")]
    headers: PathBuf,
    /// Folder with deployment.json
    #[arg(long, env = "VITALS_IDENTITY", value_name = "DIR")]
    identity: PathBuf,
    #[command(flatten)]
    expected: Expected,
    /// Folder for data.csv and proofs.jsonl, in which neither is
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What a study is, as its file says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    schema: String,
    name: String,
    practitioner: String,
    categories: Vec<String>,
    #[serde(default = "relative")]
    times: Times,
    participants: Vec<Participant>,
}

/// Whose readings stand in which file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Participant {
    patient: u32,
    /// As `vitals access --out` writes it, beside the plan.
    readings: PathBuf,
}

impl Plan {
    /// Of one who stands in it twice each reading would count twice.
    fn check_participants(&self) -> anyhow::Result<()> {
        let mut named = BTreeSet::new();
        for Participant { patient, .. } in &self.participants {
            let is_new = named.insert(*patient);
            anyhow::ensure!(
                is_new,
                "expected each participant once, found patient {patient} twice"
            );
        }
        Ok(())
    }
}

fn relative() -> Times {
    Times::Relative
}

impl Command {
    pub(crate) fn run(self) -> Outcome {
        match self {
            Command::Key(new) => new.run(),
            Command::Claims(claims) => claims.run(),
            Command::Export(export) => export.run(),
        }
    }
}

impl NewKey {
    fn run(self) -> Outcome {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| Usage(error.to_string()))?;
        let what = || format!("writing {}", self.out.display());
        files::create(&self.out, hex::encode(key).as_bytes(), Audience::Owner)
            .with_context(what)?;
        let out = self.out.display().to_string();
        let text = format!("the study's key is in {out}: keep it as long as the study");
        Ok(Report::success(text, json!({ "schema": "vitals-study-key-1", "out": out })))
    }
}

impl Claims {
    fn run(self) -> Outcome {
        let opening = self.of.open()?;
        let (scope, fingerprint) = (opening.deployment.scope, opening.deployment.fingerprint);
        let of = Of { scope, fingerprint: fingerprint.to_string() };
        let practitioner = self.practitioner.as_str().to_owned();
        let mut writer = ClaimsWriter::new(&of, Reader { practitioner, purpose: PURPOSE })?;
        let done = self.of.each(&opening, |public, seen| {
            let own = seen.opening.as_deref();
            Ok(own.map_or(Ok(()), |own| writer.add(public, std::slice::from_ref(own)))?)
        })?;
        if let Err(broken) = done {
            return Ok(broken.report());
        }
        let claims = writer.len();
        put(&self.out, writer.finish().as_bytes(), Audience::Owner)?;
        let out = self.out.display().to_string();
        let text = format!("{claims} claims of {} for research, in {out}", self.practitioner);
        let json = json!({ "schema": "vitals-study-claims-1", "claims": claims, "out": out });
        Ok(tell_deployment(fingerprint, Report::success(text, json)))
    }
}

/// A set is exported for one purpose, and for no other.
const PURPOSE: Purpose = Purpose::Research;

impl Export {
    fn run(self) -> Outcome {
        let deployment = self.expected.load(&self.identity)?;
        let fingerprint = deployment.fingerprint;
        let of = Of { scope: deployment.scope, fingerprint: fingerprint.to_string() };
        let [data, proofs] = ["data.csv", "proofs.jsonl"].map(|name| self.out.join(name));
        if let Some(there) = [&data, &proofs].into_iter().find(|path| path.exists()) {
            let path = there.display();
            return Err(Usage(format!("expected no file at {path}, found one")).into());
        }
        let plan = self.plan()?;
        let study = self.study(&plan)?;
        let claims = self.claims(&of)?;
        let mut readings = Vec::new();
        for participant in &plan.participants {
            self.read(participant, &mut readings)?;
        }
        let made = study.export(&of, &readings, &claims)?;
        files::make_folder(&self.out, Audience::Owner)?;
        put(&proofs, made.proofs.as_bytes(), Audience::Owner)?;
        put(&data, made.data.as_bytes(), Audience::Owner)?;
        Ok(tell_deployment(fingerprint, report(&made, [&data, &proofs])))
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        let what = || format!("reading {}", self.study.display());
        let bytes = files::read(&self.study, PLAN_BYTES_MAX, Audience::Owner).with_context(what)?;
        let plan: Plan = serde_json::from_slice(&bytes).with_context(what)?;
        let is_known = plan.schema == PLAN_SCHEMA;
        anyhow::ensure!(is_known, "{}: expected schema {PLAN_SCHEMA}, found another", what());
        plan.check_participants().with_context(what)?;
        Ok(plan)
    }

    fn study(&self, plan: &Plan) -> anyhow::Result<Study> {
        let what = || format!("reading {}", self.key.display());
        let text = files::read(&self.key, 65, Audience::Owner).with_context(what)?;
        let key = hex::decode(text.trim_ascii()).ok().and_then(|bytes| bytes.try_into().ok());
        let wrong = || Usage("expected a key of vitals study key, found something else".to_owned());
        let categories = plan.categories.iter().map(|name| Category::from_name(name));
        let categories: Categories = categories.collect::<Result<Categories, _>>()?;
        Ok(Study {
            name: plan.name.clone(),
            practitioner: PractitionerId::new(&plan.practitioner)?.as_str().to_owned(),
            purpose: PURPOSE,
            categories,
            times: plan.times,
            key: key.ok_or_else(wrong)?,
        })
    }

    /// The claims of every file, each of a batch that the auditor saw settled.
    fn claims(&self, of: &Of) -> anyhow::Result<SoundClaims> {
        let mut all = SoundClaims::default();
        for path in &self.claims {
            let what = || format!("the opened claims {}", path.display());
            let text = files::read(path, FILE_BYTES_MAX, Audience::Owner).with_context(what)?;
            let text = String::from_utf8(text).with_context(what)?;
            all.merge(read_claims(&text, of).with_context(what)?);
        }
        let headers = headers::read(&self.headers, of.scope)?;
        let settled = |one: &extract::UsedHeader| {
            let header = headers.iter().find(|header| header.number.0 == one.batch);
            header.is_some_and(|header| header_hash(header) == one.hash)
        };
        if let Some(other) = all.headers.iter().find(|one| !settled(one)) {
            let number = other.batch;
            anyhow::bail!(
                "claims of batch {number}: expected its settled header, found another: save the \
                 headers anew, or ask who opened them"
            );
        }
        Ok(all)
    }

    fn read(&self, of: &Participant, to: &mut Vec<StudyReading>) -> anyhow::Result<()> {
        let folder = self.study.parent().unwrap_or(Path::new(""));
        let path = folder.join(&of.readings);
        let what = || format!("the readings {}", path.display());
        let patient = PatientIndex::new(of.patient)?;
        let bytes = files::read(&path, FILE_BYTES_MAX, Audience::Owner).with_context(what)?;
        let text = String::from_utf8(bytes).with_context(what)?;
        for (row, number) in text.lines().zip(1..).skip(1) {
            let reading = StudyReading::from_row(patient, row);
            to.push(reading.with_context(|| format!("{}, line {number}", what()))?);
        }
        Ok(())
    }
}

fn put(path: &Path, bytes: &[u8], audience: Audience) -> anyhow::Result<()> {
    let what = || format!("writing {}", path.display());
    files::replace(path, &[bytes], audience).with_context(what)
}

fn report(made: &StudyFiles, [data, proofs]: [&Path; 2]) -> Report {
    let StudyFiles { rows, participants, uncovered, others, root, .. } = made;
    let (root, [data, proofs]) = (hex::encode(root), [data, proofs].map(|one| one.display()));
    let text = format!(
        "{rows} readings of {participants} participants, root {root}\n{uncovered} readings that no \
         settled, covered claim of the study covers are left out, {others} of other categories\n\
         the set is in {data}; who is who, for the study's auditor alone, in {proofs}"
    );
    let json = json!({
        "schema": "vitals-study-export-1", "rows": rows, "participants": participants,
        "uncovered": uncovered, "others": others, "root": root, "data": data.to_string(),
        "proofs": proofs.to_string(),
    });
    Report::success(text, json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_names_a_patient_twice_is_refused() {
        let plan = |second: u32| -> Plan {
            let one = |patient: u32| json!({ "patient": patient, "readings": "p.csv" });
            serde_json::from_value(json!({
                "schema": PLAN_SCHEMA, "name": "hrv", "practitioner": "dr-001",
                "categories": ["ecg"], "participants": [one(7), one(second)],
            }))
            .unwrap()
        };
        assert!(plan(8).check_participants().is_ok());
        assert!(plan(7).check_participants().unwrap_err().to_string().contains("patient 7 twice"));
    }
}
