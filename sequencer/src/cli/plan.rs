//! `sequencer plan`: what other settings would have made of what a node recorded.

mod html;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use l1_contracts::gas::Fork;
use model::calendar::Utc;
use sequencer::doors::config::Config;
use sequencer::folder::layout::Layout;
use sequencer::forecast::{
    Candidates, Forecast, ForecastError, Past, ProofTimes, Question, SetError, Spread, predict,
};
use sequencer::node::recorded::{ArrivalError, Recorded};
use sequencer::node::survey::SurveyError;
use serde::Serialize;
use serde_json::json;

use super::outcome::{Failure, Outcome, failed, unavailable, usage};

/// Time between two blocks of Ethereum, seconds.
const BLOCK_SECONDS: f64 = 12.0;

#[derive(Args)]
pub(crate) struct PlanArgs {
    /// The folder of a stopped node, or the journal in it. Nothing of it is changed; files that are
    /// archived are read from the archive.
    #[arg(long, value_name = "DIR")]
    journal: PathBuf,
    /// A value to try, as in the configuration. Values of one key, `KEY=1,2` or the key once more,
    /// are alternatives; of several keys every combination is a candidate.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Seconds of CPU that a proof of a shape takes; without it the README's measurement, for
    /// shapes of 2^17 rows.
    #[arg(long, value_name = "SHAPE=S")]
    proof_seconds: Vec<String>,
    /// Seconds between two blocks of the base chain [default: 12; the embedded chain has a block
    /// for each transaction].
    #[arg(long, value_name = "S")]
    block_seconds: Option<f64>,
    /// Rules by which the base chain counts gas: osaka or amsterdam.
    #[arg(long, default_value_t = Fork::Osaka)]
    fork: Fork,
    /// Price of a unit of gas in gwei; without it gas is not turned into ether.
    #[arg(long, value_name = "GWEI")]
    gas_price: Option<f64>,
    /// Plan for so many patients: those that were recorded again and again, each time a little
    /// later.
    #[arg(long, value_name = "N")]
    patients: Option<u64>,
    /// Print one JSON object with a schema instead of a table.
    #[arg(long)]
    json: bool,
    /// Also write a page with charts, one file that asks no network.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Everything that a plan says.
#[derive(Serialize)]
struct Said<'a> {
    schema: &'static str,
    recorded: Recording,
    assumed: Assumed,
    #[serde(flatten)]
    forecast: &'a Forecast,
}

/// What was recorded.
#[derive(Serialize)]
struct Recording {
    from: String,
    until: String,
    hours: f64,
    entries: u64,
    patients: u64,
    batches: u64,
    /// Closes that no rule of the configuration explains.
    closes_kept: u64,
}

/// What the model goes by besides.
#[derive(Serialize)]
struct Assumed {
    patients: u64,
    fork: String,
    block_seconds: f64,
    gas_price_gwei: Option<f64>,
}

pub(crate) fn plan(args: &PlanArgs) -> Outcome {
    let layout = folder(&args.journal);
    let settings = Config::read(&layout.config()).map_err(config_failed)?;
    let candidates = Candidates::new(&settings, &args.sets).map_err(set_failed)?;
    let proofs = ProofTimes { given: proof_seconds(&args.proof_seconds)?, ..Default::default() };
    let gas_price_gwei = positive("--gas-price", args.gas_price)?;
    let embedded = settings.chain.rpc.is_none();
    let block_seconds = positive("--block-seconds", args.block_seconds)?;
    let block_seconds = block_seconds.unwrap_or(if embedded { 0.0 } else { BLOCK_SECONDS });
    let recorded = Recorded::open(&layout).map_err(survey_failed)?;
    let past = Past::of(&recorded, recorded.ledger_config(), &settings);
    let past = past.map_err(forecast_failed)?;
    let question = Question {
        candidates,
        proofs,
        block_ms: (block_seconds * 1000.0) as u64,
        poll_ms: embedded.then_some(sequencer::doors::config::EMBEDDED_POLL_MS),
        fork: args.fork,
        gas_price_gwei,
        spread: spread(args.patients, &past)?,
    };
    let forecast = predict(&recorded, recorded.ledger_config(), &past, &question);
    let forecast = forecast.map_err(forecast_failed)?;
    let said = Said {
        schema: "vitals-plan-1",
        recorded: Recording::of(&past),
        assumed: Assumed {
            patients: args.patients.unwrap_or(past.patients),
            fork: args.fork.to_string(),
            block_seconds,
            gas_price_gwei,
        },
        forecast: &forecast,
    };
    if let Some(path) = &args.html {
        let page = html::page(&said);
        std::fs::write(path, page).with_context(|| path.display().to_string()).map_err(failed)?;
    }
    match args.json {
        true => println!("{}", json!(said)),
        false => println!("{}", text::text(&said)),
    }
    Ok(())
}

/// The node's folder, of which the journal may be named instead.
fn folder(named: &Path) -> Layout {
    let parent = named.parent().filter(|_| named.file_name() == Some("journal".as_ref()));
    let parent = parent.map(|parent| match parent.as_os_str().is_empty() {
        true => Path::new("."),
        false => parent,
    });
    Layout::new(parent.unwrap_or(named))
}

impl Recording {
    fn of(past: &Past) -> Recording {
        Recording {
            from: Utc(past.first).to_string(),
            until: Utc(past.last).to_string(),
            hours: past.last.since(past.first) as f64 / 3_600_000.0,
            entries: past.entries,
            patients: past.patients,
            batches: past.batches,
            closes_kept: past.asked,
        }
    }
}

fn spread(wanted: Option<u64>, past: &Past) -> Outcome<Spread> {
    let Some(wanted) = wanted else { return Ok(Spread::RECORDED) };
    Spread::new(past.patients, wanted).ok_or_else(|| {
        let most = past.patients.saturating_mul(Spread::COPIES_MAX);
        let recorded = past.patients;
        usage(anyhow!(
            "expected --patients to be 1 to {most} ({} times the {recorded} that were recorded), \
             found {wanted}",
            Spread::COPIES_MAX
        ))
    })
}

fn proof_seconds(given: &[String]) -> Outcome<BTreeMap<String, f64>> {
    let one = |text: &String| {
        let (shape, seconds) = text.split_once('=')?;
        let known = circuits::shapes::Shape::named(shape)?;
        let seconds: f64 = seconds.parse().ok()?;
        is_positive(seconds).then(|| (known.name.to_owned(), seconds))
    };
    let read = |text: &String| {
        one(text).ok_or_else(|| {
            usage(anyhow!(
                "expected --proof-seconds SHAPE=S, a shape of `prover shapes` and seconds above 0 \
                 and up to {SECONDS_MAX}, found {text}"
            ))
        })
    };
    given.iter().map(read).collect()
}

/// Most seconds, and most gwei: beyond it a figure is a slip of the pen.
const SECONDS_MAX: f64 = 1_000_000.0;

fn is_positive(value: f64) -> bool {
    value > 0.0 && value <= SECONDS_MAX
}

fn positive(name: &str, value: Option<f64>) -> Outcome<Option<f64>> {
    match value {
        Some(value) if !is_positive(value) => Err(usage(anyhow!(
            "expected {name} to be above 0 and up to {SECONDS_MAX}, found {value}"
        ))),
        value => Ok(value),
    }
}

fn config_failed(error: sequencer::doors::config::ConfigError) -> Failure {
    use sequencer::doors::config::ConfigError;
    match error {
        ConfigError::File { .. } => unavailable(error),
        error => usage(error),
    }
}

fn set_failed(error: SetError) -> Failure {
    usage(anyhow::Error::new(error).context("--set"))
}

fn survey_failed(error: SurveyError) -> Failure {
    match error {
        SurveyError::Absent { .. } | SurveyError::Locked { .. } => unavailable(error),
        error => failed(error),
    }
}

fn forecast_failed(error: ForecastError<ArrivalError>) -> Failure {
    match error {
        ForecastError::Proof(_) | ForecastError::TooManyWindows { .. } => usage(error),
        ForecastError::Empty | ForecastError::NoWindow { .. } => unavailable(error),
        error => failed(error),
    }
}
