//! The drill: a node's disk is lost and the node comes back from a backup, with everything that an
//! operator does on the way and how long each step takes.
//!
//! A ward with real recordings, as in the demo; but the node is the program in a process of its
//! own, which is killed, its folder is removed, and every command is run as an operator would run
//! it. The base chain lives elsewhere, as every chain but the embedded one does. What gateways had
//! a receipt for is compared with what the journal holds in the end.

mod gateways;
mod options;
mod program;
mod report;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bodies::RecoverySecret;
use devchain::{DevChain, Genesis, HttpServer, Limits};
use files::Audience;
use l1_contracts::{Deployment, Edge};
use model::{Clock as _, ManualClock, SystemClock};

use super::expect::{DemoError, Step};
use super::options::{DemoOptions, beside_program, fresh_folder};
use super::report::Report;
use super::{cast, play};
use crate::doors::admin::ask;
use crate::doors::config::Config;
use crate::folder::body_keys;
use crate::folder::layout::Layout;
use crate::node::inspect::Inspected;
use crate::node::setup;
use crate::node::status::NodeStatus;
use crate::node::survey::key_folder;
use crate::stages::ledger::Item;

pub use options::DrillOptions;
pub use report::DrillReport;

use gateways::{Ledger, Ward};
use program::{Program, run};

/// The cast: small, so that the drill takes a minute.
const SIZE: world::Size = world::Size { patients: 4, gateways: 2, practitioners: 2 };
/// Seconds of recording that each device sends before the backup, after it, and in the end.
const SECONDS: u64 = 20;
/// Windows of the node that catches up: short, so that the drill need not wait.
const CLOSE_AFTER_MS: u64 = 2_000;
/// How often the node is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long everything may take to settle in the end.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);

/// Plays the drill.
///
/// # Errors
/// [`DemoError`]: the step, what was expected and what was found.
pub async fn drill(options: &DrillOptions) -> Result<DrillReport, DemoError> {
    let own = std::env::temp_dir().join(format!("vitals-drill-{}", std::process::id()));
    let dir = options.dir.clone().unwrap_or_else(|| own.clone());
    let demo = DemoOptions { dir: Some(dir), seed: options.seed, keep: false, json: true };
    let dir = fresh_folder(&demo)?;
    let mut drill = Drill::set_up(options, &demo, &dir).await?;
    drill.lose_and_restore().await?;
    drill.catch_up().await?;
    drill.compare().await?;
    let Drill { report, chain, .. } = drill;
    Step("stop").io(&dir, chain.shut_down().await)?;
    if options.dir.is_none() {
        Step("folder").io(&dir, std::fs::remove_dir_all(&dir))?;
    }
    Ok(report)
}

/// Where everything of a drill stands.
struct Places {
    layout: Layout,
    backup: PathBuf,
    secrets: PathBuf,
    /// The backup of keys, and what opens it.
    keys: PathBuf,
    recovery: PathBuf,
    log: PathBuf,
}

impl Places {
    fn of(dir: &Path) -> Places {
        Places {
            layout: Layout::new(&dir.join("node")),
            backup: dir.join("backup"),
            secrets: dir.join("secrets"),
            keys: dir.join("keys.backup"),
            recovery: dir.join("recovery.key"),
            log: dir.join("node.log"),
        }
    }

    /// Arguments of a command with the node's folder.
    fn command(&self, words: &[&str]) -> Vec<String> {
        let folder = self.layout.folder().display().to_string();
        let words = words.iter().map(|word| (*word).to_owned());
        words.chain(["--dir".to_owned(), folder]).collect()
    }
}

/// A drill under way.
struct Drill {
    places: Places,
    config: Config,
    deployment: Deployment,
    edge: Edge,
    chain: HttpServer,
    ward: Ward,
    ledger: Ledger,
    report: DrillReport,
}

impl Drill {
    /// A ward on a node that settled once, and is stopped again.
    async fn set_up(
        options: &DrillOptions,
        demo: &DemoOptions,
        dir: &Path,
    ) -> Result<Drill, DemoError> {
        let (step, begun, places) = (Step("setup"), Instant::now(), Places::of(dir));
        let mut config = super::config(dir);
        config.batch.operations_shape = "c1-test".into();
        config.batch.claims_shapes = vec!["c2-test".into(), "c2-test-1".into()];
        config.prover.keys = beside_program("drill-keys").or(config.prover.keys);
        config.ingest.limits.connections_max = 16;
        let layout = &places.layout;
        step.ok(setup::init(layout, &config, SystemClock.now()))?;
        let signer = step.ok(setup::settlement_signer(layout))?;
        let seconds = Arc::new(|| SystemClock.now().unix_ms() / 1000);
        let genesis = Genesis::funding([signer.address()]);
        let path = dir.join("elsewhere.journal");
        let opened = DevChain::open(&path, genesis, Limits::default(), seconds);
        let (chain, _) = step.ok(opened)?;
        let provider = chain.provider(signer);
        let server = step.io(&path, devchain::serve_http(chain, 0).await)?;
        config.chain.rpc = Some(step.ok(server.url().parse())?);
        write_config(layout, &config)?;

        let clock = Arc::new(ManualClock::running());
        let mut said = Report::new(demo, dir);
        let node = super::start(dir, &config, clock.clone(), &mut said).await?;
        let world = || world::World::new(options.seed, SIZE);
        let cast = cast::Cast::assemble(&node, dir, world(), clock).await?;
        play::onboard(&node, &cast, &mut said).await?;
        let first = node.status().window.0;
        step.ok(node.submit(Item::Close).await)?;
        step.ok(node.wait_until_settled(first).await)?;
        let deployment = node.deployment().clone();
        cast.leave().await;
        step.ok(node.stop().await)?;
        let edge = Edge::unchecked(provider, deployment.clone());
        let mut report = DrillReport::new(options);
        report.step("setup", begun.elapsed(), "a ward of 4 patients and 2 gateways, settled once");
        let (ward, ledger) = (Ward::new(world(), dir), Ledger::default());
        Ok(Drill { places, config, deployment, edge, chain: server, ward, ledger, report })
    }

    async fn start(&self) -> Result<Program, DemoError> {
        Program::start(&self.places.layout, &self.places.log).await
    }

    /// Readings, a backup among them, readings behind it; then the disk is gone, and the backup is
    /// put in its place.
    async fn lose_and_restore(&mut self) -> Result<(), DemoError> {
        let program = self.start().await?;
        let begun = Instant::now();
        let mut gateways = self.ward.connect(program.ingest).await?;
        gateways.open(&self.ward).await?;
        gateways.send(&mut self.ward, &mut self.ledger, SECONDS).await?;
        self.report.acknowledged.before_backup = self.ledger.len();
        let said = format!("{} readings acknowledged", self.ledger.len());
        self.report.step("readings", begun.elapsed(), &said);

        let begun = Instant::now();
        let (to, secrets) = (&self.places.backup, &self.places.secrets);
        let words =
            ["backup", &to.display().to_string(), "--secrets-to", &secrets.display().to_string()];
        let (command, ended) = (self.places.command(&words), Cell::new(false));
        let backup = async {
            let said = run(Step("backup"), &command).await;
            ended.set(true);
            said
        };
        let load = async {
            while !ended.get() {
                gateways.send(&mut self.ward, &mut self.ledger, 1).await?;
            }
            Ok::<_, DemoError>(())
        };
        let (said, load) = tokio::join!(backup, load);
        load?;
        self.report.acknowledged.during_backup =
            self.ledger.len() - self.report.acknowledged.before_backup;
        self.report.step("backup", begun.elapsed(), &first_line(&said?));

        self.back_up_keys().await?;
        let before = self.ledger.len();
        gateways.send(&mut self.ward, &mut self.ledger, SECONDS).await?;
        self.report.acknowledged.after_backup = self.ledger.len() - before;
        let begun = Instant::now();
        program.kill().await?;
        let folder = self.places.layout.folder();
        Step("disk").io(folder, std::fs::remove_dir_all(folder))?;
        drop(gateways);
        self.report.step("disk", begun.elapsed(), "node killed (SIGKILL), its folder removed");
        self.restore().await
    }

    /// Apart from the journal, sealed to a key that the node does not have.
    async fn back_up_keys(&mut self) -> Result<(), DemoError> {
        let (step, begun) = (Step("keys"), Instant::now());
        let secret = step.ok(RecoverySecret::create(&self.places.recovery))?;
        let (file, to) = (self.places.keys.display().to_string(), secret.public().to_string());
        let words = ["keys", "backup", &file, "--to", &to, "--expires", "1d"];
        let said = run(step, &self.places.command(&words)).await?;
        self.report.step("keys", begun.elapsed(), &first_line(&said));
        Ok(())
    }

    async fn restore_keys(&mut self) -> Result<(), DemoError> {
        let begun = Instant::now();
        let [file, secret] =
            [&self.places.keys, &self.places.recovery].map(|path| path.display().to_string());
        let words = ["keys", "restore", &file, "--secret", &secret];
        let said = run(Step("keys"), &self.places.command(&words)).await?;
        self.report.step("keys", begun.elapsed(), &first_line(&said));
        Ok(())
    }

    async fn restore(&mut self) -> Result<(), DemoError> {
        let begun = Instant::now();
        let (from, secrets) = (&self.places.backup, &self.places.secrets);
        let words = [
            "restore",
            &from.display().to_string(),
            "--secrets",
            &secrets.display().to_string(),
            "--verify",
        ];
        let said = run(Step("restore"), &self.places.command(&words)).await?;
        self.report.step("restore", begun.elapsed(), &first_line(&said));
        self.restore_keys().await?;
        let restored = self.stored()?;
        self.report.lost_with_disk = self.ledger.lacking(&restored).count();
        Ok(())
    }

    /// The restored node hears its gateways, the loss is accepted, and what they kept goes again.
    async fn catch_up(&mut self) -> Result<(), DemoError> {
        let begun = Instant::now();
        let program = self.start().await?;
        let held = self.ward.told_history(program.ingest).await?;
        program.stop().await?;
        let said = format!("the restored node is held; {held} gateways show what it lacks");
        self.report.step("held", begun.elapsed(), &said);

        let begun = Instant::now();
        let words = ["journal", "recover", "--accept-loss", "--reason", "drill: the disk is gone"];
        let said = run(Step("recover"), &self.places.command(&words)).await?;
        let on = said.lines().find(|line| line.starts_with("the journal goes on"));
        self.report.step("accept", begun.elapsed(), on.unwrap_or("the loss is accepted"));

        self.config.batch.close_after_ms = CLOSE_AFTER_MS;
        write_config(&self.places.layout, &self.config)?;
        let begun = Instant::now();
        let program = self.start().await?;
        let mut gateways = self.ward.connect(program.ingest).await?;
        gateways.open(&self.ward).await?;
        gateways.flush().await?;
        self.report.sent_again = gateways.sent_again();
        let before = self.ledger.len();
        gateways.send(&mut self.ward, &mut self.ledger, SECONDS).await?;
        self.report.acknowledged.in_new_term = self.ledger.len() - before;
        let said = format!("{} readings sent again by their gateways", self.report.sent_again);
        self.report.step("catch up", begun.elapsed(), &said);
        self.settle().await?;
        gateways.leave().await;
        program.stop().await
    }

    /// Waits until the window that holds the last reading is settled.
    async fn settle(&mut self) -> Result<(), DemoError> {
        let (step, begun) = (Step("settle"), Instant::now());
        let wanted = self.status().await?.batches.closed + 1;
        loop {
            let batches = self.status().await?.batches;
            if batches.settled >= wanted {
                self.report.batches_settled = batches.settled;
                break;
            }
            if begun.elapsed() > SETTLED_WITHIN {
                let expected = format!("batch {wanted} to be settled within {SETTLED_WITHIN:?}");
                return Err(step.failed(expected, format!("{batches:?}")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let said = format!("{} batches settled", self.report.batches_settled);
        self.report.step("settle", begun.elapsed(), &said);
        Ok(())
    }

    async fn status(&self) -> Result<NodeStatus, DemoError> {
        let step = Step("status");
        let answer = step.ok(ask(&self.places.layout.admin_socket(), "status").await)?;
        step.ok(serde_json::from_value(answer))
    }

    /// The readings that the journal of the folder holds.
    fn stored(&self) -> Result<Ledger, DemoError> {
        let step = Step("journal");
        let layout = &self.places.layout;
        let inspected = step.ok(Inspected::open(&layout.journal(), None, None))?;
        let folder = step.ok(key_folder(layout))?;
        let inspected = inspected.with_keys(body_keys::of_stopped(layout, &folder));
        let mut stored = Ledger::default();
        step.ok(inspected.frames(&mut |frame| stored.note_frame(frame)))?;
        Ok(stored)
    }

    /// I1: whatever was acknowledged is there. I2: nothing twice, and every batch settled once.
    async fn compare(&mut self) -> Result<(), DemoError> {
        let (step, begun) = (Step("compare"), Instant::now());
        let stored = self.stored()?;
        self.report.acknowledged.all = self.ledger.len();
        self.report.stored = stored.len();
        self.report.lost = self.ledger.lacking(&stored).count();
        self.report.stored_twice = stored.twice();
        let settled = step.ok(self.edge.settled_batches().await)?;
        let numbers: Vec<u64> = settled.iter().map(|batch| batch.header.number.0).collect();
        let each_once: Vec<u64> = (1..=numbers.len() as u64).collect();
        step.equal("the chain's batches", each_once, numbers)?;
        let said = format!(
            "deployment {}: {} readings acknowledged, {} of them lost, {} stored twice",
            self.deployment.fingerprint,
            self.report.acknowledged.all,
            self.report.lost,
            self.report.stored_twice
        );
        self.report.step("compare", begun.elapsed(), &said);
        step.equal("readings that are acknowledged and nowhere (I1)", 0, self.report.lost)?;
        step.equal("readings that are stored twice (I2)", 0, self.report.stored_twice)
    }
}

fn write_config(layout: &Layout, config: &Config) -> Result<(), DemoError> {
    let (path, text) = (layout.config(), config.to_toml());
    let written = files::replace(&path, &[text.as_bytes()], Audience::Owner);
    Step("config").io(&path, written)
}

fn first_line(said: &str) -> String {
    said.lines().next().unwrap_or_default().to_owned()
}
