//! The demo: a day on a ward, on an embedded chain, with real recordings, in one process; then an
//! auditor as a process of its own.
//!
//! It goes through the same doors as everybody: gateways, wallet and practitioners are `client`
//! connections over QUIC, the auditor is the `auditor` program. What it shows is checked: the
//! first thing that is not as expected ends it with `DEMO FAILED at <step>: <expected>, <found>`.

mod audit;
mod bars;
mod cast;
pub mod drill;
mod expect;
mod options;
mod play;
mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use files::Audience;
use model::{Clock, ManualClock};
use prover::Priority;

use crate::doors::config::{BatchSection, Config};
use crate::folder::layout::Layout;
use crate::node::setup::{self, BaseChain, GenesisTerms};
use crate::node::{Node, Provided};

pub use expect::DemoError;
pub use options::DemoOptions;
pub use report::Report;

use bars::spinner;
use expect::Step;
use options::{beside_program, fresh_folder};

/// Plays the demo. Lines about stages go to stdout (stderr with `--json`), bars to stderr.
///
/// # Errors
/// [`DemoError`]: the step, what was expected and what was found.
pub async fn demo(options: &DemoOptions) -> Result<Report, DemoError> {
    let begun = Instant::now();
    let dir = fresh_folder(options)?;
    let mut report = Report::new(options, &dir);
    let (config, size) = (config(&dir), world::Size::default());
    let (node, cast) = play_on(&dir, &config, size, &mut report).await?;
    audit::audit(&node, &dir, &mut report).await?;
    report.finish(begun.elapsed());
    if options.keep {
        keep(&node, &dir, &cast).await;
    }
    // Before the node: everybody says goodbye while there is somebody to hear it.
    cast.leave().await;
    Step("stop").ok(node.stop().await)?;
    Ok(report)
}

/// Plays the demo's day for a ward of so many patients, 8 at least, without its audit, on a node
/// with these values. What is left in the folder is a node that ran and stopped.
///
/// # Errors
/// As [`demo`].
pub async fn record_day(
    options: &DemoOptions,
    patients: u32,
    prepare: impl FnOnce(&mut Config),
) -> Result<Report, DemoError> {
    let begun = Instant::now();
    let dir = fresh_folder(options)?;
    let mut config = config(&dir);
    prepare(&mut config);
    let mut report = Report::new(options, &dir);
    let size = world::Size { patients, ..world::Size::default() };
    let (node, cast) = play_on(&dir, &config, size, &mut report).await?;
    cast.leave().await;
    Step("stop").ok(node.stop().await)?;
    report.finish(begun.elapsed());
    Ok(report)
}

/// Starts a node and plays the day on it; both go on.
async fn play_on(
    dir: &Path,
    config: &Config,
    size: world::Size,
    report: &mut Report,
) -> Result<(Node, cast::Cast), DemoError> {
    let clock = Arc::new(ManualClock::running());
    let node = start(dir, config, clock.clone(), report).await?;
    let world = world::World::new(report.seed, size);
    let mut cast = cast::Cast::assemble(&node, dir, world, clock.clone()).await?;
    cast.connect_gateways(&node).await?;
    play::play(&node, &cast, &clock, report).await?;
    Ok((node, cast))
}

/// Starts a development node: the demo's ward in small, without its story. Writes patients' and
/// practitioners' keys, identity folders and `assignments.json` into `dir`, and prints what to
/// paste.
///
/// # Errors
/// [`DemoError`].
pub async fn dev(dir: &Path, size: DevSize) -> Result<Node, DemoError> {
    let options = DemoOptions { dir: Some(dir.into()), seed: 1, keep: false, json: false };
    let dir = fresh_folder(&options)?;
    let clock = Arc::new(ManualClock::running());
    let mut report = Report::new(&options, &dir);
    let mut config = Config {
        batch: BatchSection {
            close_after_ms: DEV_CLOSE_AFTER_MS,
            fixed_cadence: true,
            ..BatchSection::default()
        },
        ..config(&dir)
    };
    // Whoever tries it out may look at it.
    config.web.listen = Some(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    config.web.token_file = Some(draw_desk_token(&dir)?);
    // All are enrolled at once, and one wallet writes every permit.
    config.ingest.rates.operations_burst += 2 * size.patients;
    if size.gateways > GATEWAYS_OF_ONE_WARD {
        let limits = &mut config.ingest.limits;
        // A part of them is the wallets' alone.
        limits.connections_max = size.gateways as usize * 5 / 4;
        config.batch.close_after_ms = DEV_HOSPITAL_CLOSE_AFTER_MS;
    }
    let node = start(&dir, &config, clock.clone(), &mut report).await?;
    let DevSize { patients, gateways } = size;
    let size = world::Size { patients, gateways, practitioners: 2 };
    let world = world::World::new(options.seed, size);
    let cast = cast::Cast::assemble(&node, &dir, world, clock).await?;
    play::onboard(&node, &cast, &mut report).await?;
    cast.write_keys(&dir).await?;
    for line in report::dev_steps(&node, &dir, &cast) {
        println!("{line}");
    }
    cast.leave().await;
    Ok(node)
}

/// A token for the desk, in a file beside the keys: whoever has these may see it.
fn draw_desk_token(dir: &Path) -> Result<PathBuf, DemoError> {
    let (step, path, mut token) = (Step("desk"), dir.join("desk.token"), [0; 32]);
    step.ok(getrandom::fill(&mut token))?;
    let token = hex::encode(token);
    step.io(&path, files::replace(&path, &[token.as_bytes()], Audience::Owner))?;
    Ok(path)
}

/// How many a development node has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DevSize {
    /// Patients, each with a device and permits; at most 10,000.
    pub patients: u32,
    /// Gateways; devices are dealt to them in turn. At most 10,000: with more than 800 the node's
    /// limits are those of a hospital, so that all of them have a connection.
    pub gateways: u32,
}

/// Windows of a development node: short and of a fixed cadence, so that batches can be watched
/// although nobody streams.
const DEV_CLOSE_AFTER_MS: u64 = 20_000;

/// The same for the gateways of a hospital: each stream is a claim of each window, and thousands
/// of them every 20 s are more than one machine proves.
const DEV_HOSPITAL_CLOSE_AFTER_MS: u64 = 600_000;

/// As many as find a connection under the limits of a node that nobody has set up.
const GATEWAYS_OF_ONE_WARD: u32 = 800;

fn config(dir: &Path) -> Config {
    let mut config = Config::default();
    let loopback = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    config.ingest.listen = loopback(0);
    config.http.listen = loopback(0);
    // The demo closes its windows itself.
    config.batch.close_after_ms = model::limits::WINDOW_MS_MAX - 1000;
    // They would be built while somebody watches, and be used for a handful of proofs.
    config.prover.table_bytes_max = 0;
    // Somebody waits for them, on a machine that may never be idle.
    config.prover.priority = Priority::Normal.to_string();
    config.prover.keys = Some(beside_program("proving-keys").unwrap_or_else(|| dir.join("keys")));
    config
}

async fn start(
    dir: &Path,
    config: &Config,
    clock: Arc<ManualClock>,
    report: &mut Report,
) -> Result<Node, DemoError> {
    let step = Step("setup");
    let begun = Instant::now();
    let folder = dir.join("node");
    let layout = Layout::new(&folder);
    step.ok(setup::init(&layout, config, clock.now()))?;
    let bar = spinner("proving keys");
    let told = bar.clone();
    let for_keys = (layout.clone(), config.clone());
    // Made in minutes the first time: the spinner and Ctrl-C go on meanwhile.
    let keys = tokio::task::spawn_blocking(move || {
        let (layout, config) = for_keys;
        setup::prover_keys(&layout, &config, |shape| {
            told.set_message(format!("proving key {shape} (made once, then kept)"));
        })
    });
    let keys = step.ok(step.ok(keys.await)?)?;
    bar.finish_and_clear();
    report.constraints = keys.constraints().into_iter().collect();
    let registrar = cast::registrar_key().key_hash();
    let chain: BaseChain = step.ok(setup::open_chain(&layout, config, clock.clone()))?;
    let terms = GenesisTerms { registrar, time: clock.now() };
    let deployment = step.ok(setup::deploy(&layout, &chain, &keys, terms).await)?;
    let provided = Provided { chain, keys: Arc::new(keys), clock, space: None, poster: None };
    let node = step.ok(Node::start(&folder, config, provided).await)?;
    report.setup(begun.elapsed(), &deployment, node.endpoints());
    Ok(node)
}

async fn keep(node: &Node, dir: &Path, cast: &cast::Cast) {
    if let Err(error) = cast.write_keys(dir).await {
        eprintln!("{error}");
    }
    for line in report::next_steps(node, dir, cast) {
        println!("{line}");
    }
    tokio::select! {
        _ = tokio::signal::ctrl_c() => println!("stopping"),
        error = node.wait_for_failure() => println!("{error}"),
    }
}
