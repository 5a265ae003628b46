//! What the commands share.

pub(crate) mod idle;
pub(crate) mod outputs;
pub(crate) mod scenario;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use client::Fingerprint;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loadgen::{Live, find_deployment};
use model::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// An error for people, and how the program ends by it.
pub(crate) type Failure = (ExitCode, anyhow::Error);

#[derive(Args)]
pub(crate) struct Node {
    /// Address and UDP port of the node.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4433")]
    pub(crate) node: SocketAddr,
    /// Name in the node's certificate.
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    pub(crate) server_name: String,
    /// The deployment's fingerprint, as the hospital told you and not as a file says: identities of
    /// another deployment are refused.
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<Fingerprint>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Node {
    /// The one deployment of these identities, for the report. Asked before anything else:
    /// identities of another one are refused, and no measurement is lost by a file that went away
    /// meanwhile.
    pub(crate) fn deployment<'a>(
        &self,
        folders: impl Iterator<Item = &'a PathBuf>,
    ) -> Result<Fingerprint, Failure> {
        let found = find_deployment(folders.map(PathBuf::as_path), self.fingerprint);
        found.map_err(|error| (error.exit_code(), error.into()))
    }
}

/// The first signal ends sending, the second the program.
pub(crate) async fn interrupt(stop: watch::Sender<bool>) {
    // One listener for both: the second may come before the first was answered.
    let Ok(mut interrupted) = signal(SignalKind::interrupt()) else { return };
    for last in [false, true] {
        if interrupted.recv().await.is_none() {
            return;
        }
        if last {
            // Not a return: the receipts that are waited for may never come.
            process::exit(ExitCode::Interrupted.number().into());
        }
        eprintln!("loadgen: waiting for the last receipts; once more to leave at once");
        stop.send_replace(true);
    }
}

/// A line on a terminal's stderr; nothing elsewhere.
pub(crate) async fn show(live: Arc<Live>, duration: Duration) {
    let bar = Bar(ProgressBar::with_draw_target(
        Some(duration.as_millis() as u64),
        ProgressDrawTarget::stderr(),
    ));
    let style = ProgressStyle::with_template("{elapsed} [{bar:30}] {msg}");
    bar.0.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let mut before = live.readings();
    loop {
        ticks.tick().await;
        let readings = live.readings();
        let rate = (readings - before) * 5;
        before = readings;
        let elapsed = bar.0.elapsed().as_millis() as u64;
        bar.0.set_position(elapsed.min(duration.as_millis() as u64));
        let frames = live.frames();
        bar.0.set_message(format!("{readings} readings in {frames} frames durable, {rate}/s"));
    }
}

struct Bar(ProgressBar);

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The report, with the deployment that it is of.
pub(crate) fn print_json(
    report: &impl serde::Serialize,
    deployment: Fingerprint,
) -> Result<(), Failure> {
    let failed = |error: serde_json::Error| (ExitCode::Failed, error.into());
    let mut report = serde_json::to_value(report).map_err(failed)?;
    report["fingerprint"] = deployment.to_string().into();
    println!("{}", serde_json::to_string_pretty(&report).map_err(failed)?);
    Ok(())
}
