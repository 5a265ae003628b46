//! The demo: a day on a ward, on an embedded chain, with real recordings, in one process; then an
//! auditor as a process of its own.
//!
//! It goes through the same doors as everybody: gateways, wallet and practitioners are `client`
//! connections over QUIC, the auditor is the `auditor` program. What it shows is checked: the
//! first thing that is not as expected ends it with `DEMO FAILED at <step>: <expected>, <found>`.

mod audit;
mod cast;
mod expect;
mod play;
mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use model::{Clock, ManualClock};

use crate::doors::config::{BatchSection, Config};
use crate::folder::layout::Layout;
use crate::node::Node;
use crate::node::setup::{self, Chain};

pub use expect::DemoError;
pub use report::Report;

use expect::Step;

/// What the demo is told on the command line.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Where it keeps node, identities and batches; a fresh folder beside the program if none.
    pub dir: Option<PathBuf>,
    /// Seed of the cast.
    pub seed: u64,
    /// Whether to leave the node running at the end.
    pub keep: bool,
    /// Whether to end with one JSON object on stdout.
    pub json: bool,
}

/// Plays the demo. Lines about stages go to stdout (stderr with `--json`), bars to stderr.
///
/// # Errors
/// [`DemoError`]: the step, what was expected and what was found.
pub async fn demo(options: &DemoOptions) -> Result<Report, DemoError> {
    let begun = Instant::now();
    let dir = fresh_folder(options)?;
    let clock = Arc::new(ManualClock::running());
    let mut report = Report::new(options, &dir);
    let node = start(&dir, &config(&dir), clock.clone(), &mut report).await?;
    let size = world::Size::default();
    let cast = cast::Cast::assemble(&node, &dir, options.seed, size, clock.clone()).await?;
    play::play(&node, &cast, &clock, &mut report).await?;
    let outcome = audit::audit(&node, &dir, &mut report).await;
    outcome?;
    report.done(begun.elapsed());
    if options.keep {
        keep(&node, &dir, &cast).await;
    }
    cast.leave().await;
    node.stop().await;
    Ok(report)
}

/// A fresh folder: the demo's own may be replaced, any other must be empty.
fn fresh_folder(options: &DemoOptions) -> Result<PathBuf, DemoError> {
    let step = Step("folder");
    let dir = match &options.dir {
        Some(dir) => dir.clone(),
        None => {
            let own = beside_program("demo").ok_or_else(|| {
                step.failed("the folder of this program", "none that can be named")
            })?;
            if own.join("node").join("deployment.json").exists() || own.join("node").exists() {
                step.io(&own, std::fs::remove_dir_all(&own))?;
            }
            own
        }
    };
    step.io(&dir, std::fs::create_dir_all(&dir))?;
    let mut entries = step.io(&dir, std::fs::read_dir(&dir))?;
    match entries.next() {
        None => Ok(dir),
        Some(_) => Err(step.failed(format!("{} to be empty", dir.display()), "files in it")),
    }
}

/// A path beside the running program, where a second run finds it again.
fn beside_program(name: &str) -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.join(name))
}

/// Starts a development node: the demo's ward in small, without its story. Writes patients' and
/// practitioners' keys, identity folders and `assignments.json` into `dir`, and prints what to
/// paste.
///
/// # Errors
/// [`DemoError`].
pub async fn dev(dir: &Path) -> Result<Node, DemoError> {
    let options = DemoOptions { dir: Some(dir.into()), seed: 1, keep: false, json: false };
    let dir = fresh_folder(&options)?;
    let clock = Arc::new(ManualClock::running());
    let mut report = Report::new(&options, &dir);
    let config = Config {
        batch: BatchSection { close_after_ms: DEV_CLOSE_AFTER_MS, ..BatchSection::default() },
        ..config(&dir)
    };
    let node = start(&dir, &config, clock.clone(), &mut report).await?;
    let size = world::Size { patients: 4, gateways: 2, practitioners: 2 };
    let cast = cast::Cast::assemble(&node, &dir, options.seed, size, clock).await?;
    play::onboard(&node, &cast, &mut report).await?;
    cast.write_keys(&dir).await?;
    for line in report::dev_steps(&node, &dir, &cast) {
        println!("{line}");
    }
    cast.leave().await;
    Ok(node)
}

/// Windows of a development node: short, so that batches can be watched.
const DEV_CLOSE_AFTER_MS: u64 = 20_000;

fn config(dir: &Path) -> Config {
    let mut config = Config::default();
    let loopback = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    config.ingest.listen = loopback(0);
    config.http.listen = loopback(0);
    // The demo closes its windows itself.
    config.batch.close_after_ms = model::limits::WINDOW_MS_MAX - 1000;
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
    let keys = tokio::task::spawn_blocking(move || {
        let (layout, config) = for_keys;
        setup::prover_keys(&layout, &config, |shape| {
            told.set_message(format!("proving key {shape} (made once, then kept)"));
        })
    });
    let keys = step.ok(step.ok(keys.await)?)?;
    bar.finish_and_clear();
    report.constraints = keys.constraints();
    let registrar = cast::registrar_key().key_hash();
    let chain: Chain = step.ok(setup::open_chain(&layout, config, clock.clone()))?;
    let now = clock.now();
    let deployment = step.ok(setup::deploy(&layout, &chain, &keys, registrar, now).await)?;
    let node = Node::start(&folder, config, chain, Arc::new(keys), clock).await;
    let node = step.ok(node)?;
    report.setup(begun.elapsed(), &deployment, node.endpoints());
    Ok(node)
}

/// A spinner on stderr; nothing if stderr is no terminal.
fn spinner(message: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(message);
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    bar
}

/// A bar on stderr; nothing if stderr is no terminal.
fn bar(length: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:24} [{bar:40}] {pos}/{len}");
    let bar = ProgressBar::new(length).with_message(what);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
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
        error = node.failed() => println!("{error}"),
    }
}
