//! `auditor verify --bundle` and `--study`: files that left the rollup with their proofs.

use std::path::Path;

use anyhow::Context as _;
use auditor::headers::read_saved;
use auditor::{ExtractReport, Fault, KnownHeaders, audit_record, audit_study};
use files::Audience;
use l1_contracts::{Deployment, HttpUrl};
use model::ExitCode;

use crate::given::{Given, told};
use crate::line::colour;

/// Most bytes of a record or its Bundle that are read: the core reads no more either.
const BYTES_MAX: u64 = 3 * extract::RECORD_BYTES_MAX as u64;

/// What a file is held against.
pub(crate) struct Against<'a> {
    pub(crate) deployment: &'a Deployment,
    /// A node of the chain.
    pub(crate) rpc: Option<&'a str>,
    /// Headers that an audit saved.
    pub(crate) headers: Option<&'a Path>,
    pub(crate) json: bool,
}

impl Against<'_> {
    /// The headers of the chain, or else those of the file; none of neither.
    async fn known(&self) -> anyhow::Result<Result<Option<KnownHeaders>, Fault>> {
        if let Some(rpc) = self.rpc {
            let rpc = rpc.parse::<HttpUrl>().context("reading --rpc")?;
            return Ok(KnownHeaders::of_chain(&rpc, self.deployment).await.map(Some));
        }
        let Some(path) = self.headers else { return Ok(Ok(None)) };
        let what = || format!("the saved headers {}", path.display());
        // To an audit a missing file is an empty one; here it would compare with nothing.
        anyhow::ensure!(path.is_file(), "{}: expected a file, found none", what());
        let saved = read_saved(path, self.deployment).with_context(what)?;
        Ok(Ok(Some(KnownHeaders::of_saved(&saved))))
    }
}

/// Checks a patient's record.
pub(crate) async fn verify_record(path: &Path, against: &Against<'_>) -> anyhow::Result<ExitCode> {
    let text = read(path).map_err(Given)?;
    match against.known().await.map_err(Given)? {
        Ok(known) => show(&audit_record(&text, against.deployment, known.as_ref()), against.json),
        Err(fault) => Ok(told(&fault)),
    }
}

/// Checks a study's data set against its proofs.
pub(crate) async fn verify_study(
    data: &Path,
    proofs: &Path,
    against: &Against<'_>,
) -> anyhow::Result<ExitCode> {
    // The set is for everybody.
    let data = read_as(data, Audience::Public).map_err(Given)?;
    let proofs = read(proofs).map_err(Given)?;
    match against.known().await.map_err(Given)? {
        Ok(known) => {
            let report = audit_study([&data, &proofs], against.deployment, known.as_ref());
            show(&report, against.json)
        }
        Err(fault) => Ok(told(&fault)),
    }
}

/// Whoever was handed it keeps it closed: it says who was treated.
fn read(path: &Path) -> anyhow::Result<String> {
    read_as(path, Audience::Owner)
}

fn read_as(path: &Path, audience: Audience) -> anyhow::Result<String> {
    let what = || format!("the file {}", path.display());
    let bytes = files::read(path, BYTES_MAX, audience).with_context(what)?;
    let text = String::from_utf8(bytes);
    text.map_err(|_| anyhow::anyhow!("{}: expected text, found other bytes", what()))
}

fn show(report: &ExtractReport, json: bool) -> anyhow::Result<ExitCode> {
    match json {
        true => println!("{}", serde_json::to_string_pretty(report)?),
        false => print!("{}", report.text(colour())),
    }
    Ok(report.exit_code())
}
