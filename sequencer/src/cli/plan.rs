//! `sequencer plan`: what other settings would have made of what a node recorded.

mod html;
mod said;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use files::Audience;
use l1_contracts::gas::Fork;
use model::escape_lines;
use sequencer::doors::config::Config;
use sequencer::folder::layout::Layout;
use sequencer::forecast::{
    Candidates, Expected, ForecastError, Past, ProofTimes, Question, Row, SetError, Spread, predict,
};
use sequencer::node::recorded::{ArrivalError, Recorded};
use sequencer::node::survey::SurveyError;
use serde_json::json;

use self::said::{Assumed, Recording, Said};
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
    /// What the node that proves said at `GET /metrics`, in a file: its own proofs, by circuit, are
    /// then what shapes take that no --proof-seconds names.
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
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
    /// Also write a row down, to be held against what happens after (`[plan] expected`).
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Which row is written down [default: the last].
    #[arg(long, value_name = "N", requires = "save")]
    row: Option<usize>,
}

pub(crate) fn plan(args: &PlanArgs) -> Outcome {
    let layout = folder(&args.journal);
    let settings = Config::read(&layout.config()).map_err(config_failed)?;
    let candidates = Candidates::new(&settings, &args.sets).map_err(set_failed)?;
    let given = proof_seconds(&args.proof_seconds)?;
    let proofs = ProofTimes { given, measured: measured(args.metrics.as_deref())? };
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
    let chosen = chosen(&forecast.rows, args.row)?;
    if let Some(path) = &args.html {
        write(path, &html::page(&said))?;
    }
    if let Some(path) = &args.save {
        write(path, &Expected::of(chosen).to_json())?;
    }
    match args.json {
        true => println!("{}", json!(said)),
        // Values stand there as they were given.
        false => println!("{}", escape_lines(&text::text(&said))),
    }
    Ok(())
}

/// The row of this number; the last one without.
fn chosen(rows: &[Row], number: Option<usize>) -> Outcome<&Row> {
    let number = number.unwrap_or(rows.len());
    let row = number.checked_sub(1).and_then(|at| rows.get(at));
    row.ok_or_else(|| usage(anyhow!("expected --row to be 1 to {}, found {number}", rows.len())))
}

/// Of a plan nothing is anybody's but counts; over what is there nothing is written.
fn write(path: &Path, text: &str) -> Outcome {
    let written = files::create(path, text.as_bytes(), Audience::Public);
    written.with_context(|| format!("writing {}, a new file", path.display())).map_err(failed)
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

fn spread(wanted: Option<u64>, past: &Past) -> Outcome<Spread> {
    let Some(wanted) = wanted else { return Ok(Spread::RECORDED) };
    let recorded_ms = past.last.since(past.first);
    Spread::new(past.patients, recorded_ms, wanted).ok_or_else(|| {
        let most = past.patients.saturating_mul(Spread::COPIES_MAX);
        let recorded = past.patients;
        usage(anyhow!(
            "expected --patients to be 1 to {most} ({} times the {recorded} that were recorded), \
             found {wanted}",
            Spread::COPIES_MAX
        ))
    })
}

/// Longest text of metrics that is read: a node's own is some 40 KiB.
const METRICS_BYTES_MAX: u64 = 16 << 20;

fn measured(path: Option<&Path>) -> Outcome<BTreeMap<String, f64>> {
    let Some(path) = path else { return Ok(BTreeMap::new()) };
    let text = files::read(path, METRICS_BYTES_MAX, Audience::Public);
    let text = text.with_context(|| path.display().to_string()).map_err(usage)?;
    let text = String::from_utf8(text);
    let text = text.with_context(|| format!("{} is no text", path.display())).map_err(usage)?;
    let measured = ProofTimes::measured(&text);
    match measured.is_empty() {
        true => Err(usage(anyhow!(
            "expected vitals_proof_seconds of proofs in {}, found none: it is what a node that \
             proved something says at `GET /metrics`",
            path.display()
        ))),
        false => Ok(measured),
    }
}

fn proof_seconds(given: &[String]) -> Outcome<BTreeMap<String, f64>> {
    let one = |text: &String| {
        let (shape, seconds) = text.split_once('=')?;
        let known = circuits::shapes::Shape::named(shape)?;
        let seconds = seconds.parse::<f64>().ok()?;
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
