//! `vitals mqtt`: what devices publish at an MQTT broker.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bridge::{MAP_BYTES_MAX, Map};
use clap::Args;
use files::Audience;
use model::{ExitCode, escape, whole_number};
use payloads::{TOPICS_BYTES_MAX, Topics};
use serde_json::json;
use wire::Role;

use self::refused::{Keeping, RefusedFile};
use self::session::{Broker, Login, Session};
use self::work::{Limits, Worker};
use crate::bridge::Delivery;
use crate::node::{Node, runtime, tell_deployment};
use crate::report::{Outcome, Report, Usage};
use crate::wallet::stopped;

mod ahead;
#[cfg(test)]
mod limits;
mod refused;
mod session;
mod work;

/// Longest message that can be asked for, KiB.
const MESSAGE_KIB_MAX: i64 = 1024;
/// Most messages that may wait, as can be asked for: below what may be under way.
const WAITING_MAX: i64 = 960;
/// Least file of what is refused that can be asked for, MiB: a line is little more than twice its
/// message and its topic, so that each has room in an empty one.
const REFUSED_MIB_MIN: i64 = 4;
/// How long one attempt to deliver a message waits before it counts as another one.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest name or password of a login, bytes.
const PASSWORD_BYTES_MAX: u64 = 1024;

/// Take in what devices publish by MQTT, acknowledged when stored
///
/// For wearables and gateways that publish at an MQTT broker (3.1.1): JSON by pointers, and Open
/// mHealth. Sparkplug B is left out, and a topic under spBv1.0/ is refused by that name.
///
/// A message of QoS 1 is acknowledged to the broker only after the node's verified receipt for
/// every reading in it. While the node is away nothing is, so that the broker keeps it; one that
/// comes again is stored once, also after a restart. What can never be taken, or what consent does
/// not cover, is acknowledged and told, without its content, so that it does not hold up its topic;
/// with --refused it is kept before that, in a file that holds health data and is yours alone.
/// The topics file (TOML) says what is subscribed to and where values and times stand, the map
/// which patient, device, code, unit and zone is meant; nothing is guessed. Both must be yours
/// alone (chmod 600). --client-id names the session that the broker keeps: one program has it.
///
/// There is no TLS in here: for a broker elsewhere run a tunnel, or a broker of your own that
/// bridges to it.
///
///   vitals mqtt --broker 127.0.0.1:1883 --client-id vitals-ward-3 --topics topics.toml \
///       --map ward.toml --state state --node HOST:PORT --identity DIR
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Mqtt {
    #[command(flatten)]
    node: Node,
    /// The broker
    #[arg(long, value_name = "HOST:PORT")]
    broker: String,
    /// Name of the session that the broker keeps, 1 to 64 letters, digits, - and _
    #[arg(long, value_name = "NAME")]
    client_id: String,
    /// Which topics are read, and how
    #[arg(long, value_name = "FILE.toml")]
    topics: PathBuf,
    /// The map: who and what is meant
    #[arg(long, value_name = "FILE.toml")]
    map: PathBuf,
    /// Folder that keeps what has no receipt, and which messages are stored
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Name at the broker
    #[arg(long, value_name = "NAME", requires = "password_file")]
    user: Option<String>,
    /// File with the password at the broker, yours alone
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Longest message, KiB
    #[arg(long, value_name = "KIB", default_value = "64",
          value_parser = clap::value_parser!(u16).range(1..=MESSAGE_KIB_MAX))]
    max_message: u16,
    /// Most messages that wait for their receipts; the broker keeps the others
    #[arg(long, value_name = "N", default_value = "256",
          value_parser = clap::value_parser!(u16).range(1..=WAITING_MAX))]
    max_waiting: u16,
    /// File that keeps what is refused, with its payload, a line of JSON each; yours alone
    #[arg(long, value_name = "FILE")]
    refused: Option<PathBuf>,
    /// Longest file of --refused, MiB; what has no room in it is not acknowledged
    #[arg(long, value_name = "MIB", default_value = "64", requires = "refused",
          value_parser = clap::value_parser!(u16).range(REFUSED_MIB_MIN..))]
    refused_max: u16,
    /// Keep the payload of what consent refuses, too
    #[arg(long, requires = "refused")]
    refused_by_consent: bool,
    /// Say nothing on the way but what goes wrong
    #[arg(long)]
    quiet: bool,
}

impl Mqtt {
    pub(crate) fn run(self, json: bool) -> Outcome {
        self.node.check_role(&[Role::Gateway])?;
        let fingerprint = self.node.deployment()?.fingerprint;
        let map = read(&self.map, MAP_BYTES_MAX as u64)?;
        let map = Map::parse(&map).map_err(|error| wrong(&self.map, error))?;
        let topics = read(&self.topics, TOPICS_BYTES_MAX as u64)?;
        let topics = Topics::parse(&topics).map_err(|error| wrong(&self.topics, error))?;
        let broker = self.broker()?;
        if !broker.is_here() && !self.quiet {
            eprintln!(
                "vitals: warning: readings and names of patients cross the network in the clear \
                 from a broker on another machine: a TLS tunnel hides them"
            );
        }
        let delivery = Delivery::open(self.state.clone(), PATIENCE)?;
        let bytes_max = usize::from(self.max_message) << 10;
        let limits = Limits { bytes: bytes_max, waiting: broker.waiting_max };
        let refused = self.refused_file()?;
        let worker = Worker::new(delivery.clone(), (map, topics), limits, refused);
        let worker = Arc::new(worker);
        let is_told = !self.quiet && !json;
        let runtime = runtime()?;
        let ended = runtime.block_on(async {
            let mut session = Session::new(&broker, worker.clone());
            let say = |line: &str| eprintln!("vitals: {}", escape(line));
            let ended = tokio::select! {
                error = delivery.link(&self.node, self.state.clone(), say) => Some(error),
                error = session.run() => Some(error),
                never = delivery.show(is_told, || worker.sentence()) => match never {},
                () = stopped() => None,
            };
            session.end().await;
            delivery.close().await?;
            anyhow::Ok(ended)
        })?;
        runtime.shutdown_background();
        match ended {
            Some(error) => Err(error.context(worker.sentence())),
            None => Ok(tell_deployment(fingerprint, report(&worker, &delivery))),
        }
    }

    fn refused_file(&self) -> anyhow::Result<Option<RefusedFile>> {
        let Some(path) = self.refused.clone() else { return Ok(None) };
        let bytes_max = u64::from(self.refused_max) << 20;
        let keeping = Keeping { path, bytes_max, with_consent: self.refused_by_consent };
        Ok(Some(RefusedFile::open(keeping)?))
    }

    fn broker(&self) -> anyhow::Result<Broker> {
        let place = &self.broker;
        let split = place.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        let split = split.and_then(|(host, port)| Some((host, whole_number(port)?)));
        let wrong = || Usage(format!("expected --broker as HOST:PORT, found {place}"));
        let (host, port) = split.ok_or_else(wrong)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let id = &self.client_id;
        if id.is_empty() || id.len() > 64 || !id.bytes().all(is_plain) {
            let expected = "expected --client-id of 1 to 64 letters, digits, - and _";
            return Err(Usage(expected.to_owned()).into());
        }
        let login = match (&self.user, &self.password_file) {
            (Some(user), Some(path)) => {
                let password = read(path, PASSWORD_BYTES_MAX)?.trim_end_matches('\n').to_owned();
                Some(Login { user: user.clone(), password })
            }
            _ => None,
        };
        let waiting_max = self.max_waiting.into();
        Ok(Broker { host: host.to_owned(), port, client_id: id.clone(), login, waiting_max })
    }
}

/// A file of its owner alone.
fn read(path: &Path, bytes_max: u64) -> anyhow::Result<String> {
    let bytes = files::read(path, bytes_max, Audience::Owner);
    let bytes = bytes.with_context(|| format!("reading {}", path.display()))?;
    Ok(String::from_utf8(bytes).map_err(|_| wrong(path, "expected UTF-8"))?)
}

fn wrong(path: &Path, why: impl std::fmt::Display) -> Usage {
    Usage(format!("{}: {why}", path.display()))
}

/// What was done until somebody ended it.
fn report(worker: &Worker, delivery: &Delivery) -> Report {
    let counts = worker.counts();
    let json = json!({
        "schema": "vitals-mqtt-1", "messages": counts.messages, "stored": counts.stored,
        "refused": counts.refused, "refused_by_consent": counts.refused_by_consent,
        "refused_kept": counts.refused_kept,
        "lost": counts.lost, "readings": counts.readings, "left_out": counts.left_out,
        "epochs_used_max": delivery.standings().epochs_used_max,
    });
    Report { text: worker.sentence(), json, exit: ExitCode::Interrupted, after: None }
}
