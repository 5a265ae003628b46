//! `vitals fhir`: vital signs posted as FHIR R4 become readings with receipts.
//!
//! ```text
//! request  bytes -> head and body           no socket, no clock
//! door     who may post                     a token of the issuer, or this machine
//! desk     what is posted -> its answer     read and mapped by the crates `fhir` and `bridge`
//! store    what is asked of the delivery that all bridges share (`bridge`)
//! tally    what was done, in numbers and words
//! serve    sockets, time, threads
//! ```

mod answer;
mod desk;
mod door;
#[cfg(test)]
mod double;
#[cfg(test)]
#[path = "../../../../tokens/tests/tokens/issuer.rs"]
mod issuer;
mod keys;
#[cfg(test)]
mod limits;
mod serve;
mod store;
mod tally;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bridge::{MAP_BYTES_MAX, Map};
use clap::{Args, ValueEnum};
use fhir::{BASE, Defaults, PeriodAt};
use files::Audience;
use model::{DeviceId, ExitCode, escape};
use serde_json::json;
use tokens::{Expected, LIFETIME_MS_MAX, SKEW_MS};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use wire::Role;

use crate::bridge::Delivery;
use crate::node::{Node, now, runtime, tell_deployment};
use crate::report::{Outcome, Report, Usage};
use crate::tls::TlsArgs;
use crate::wallet::stopped;

use desk::{Desk, WORK_MAX};
use door::Door;
use keys::KeyFile;
use serve::{Entrance, Limits, serve};
use store::Delivered;
use tally::{Counts, Tally};

/// Most connections that can be asked for.
const CONNECTIONS_MAX: i64 = 1024;
/// Longest body that can be asked for.
const BODY_BYTES_MAX: i64 = 16 << 20;
/// How long receipts are waited for: senders give up after 30 s at the earliest.
const RECEIPTS_WAIT: Duration = Duration::from_secs(10);
/// How long a whole request may take from its first byte on.
const REQUEST_WAIT: Duration = Duration::from_secs(20);

/// Take vital signs posted as FHIR R4, and answer when each has a receipt
///
/// For a hospital's integration engine, or a gateway of personal devices: it posts Observations, or
/// Bundles of them, and gets 201 when the node's signed receipt was verified. Who and what is meant
/// by the names in them says the map. Whoever posts shows a token of --issuer, checked with the
/// keys of --jwks, which may become others while it runs; --open asks for none, on a loopback
/// address. Beyond this machine it takes TLS: --tls-cert, or a proxy and --behind-tls.
///
///   vitals fhir --listen 127.0.0.1:8090 --map map.toml --jwks jwks.json \
///       --issuer "$ISSUER" --state state --node HOST:PORT --identity DIR
///   vitals fhir --listen 0.0.0.0:8443 --base "$BASE" --tls-cert fhir.pem --tls-key fhir.key \
///       --map map.toml --jwks jwks.json --issuer "$ISSUER" --state state --node HOST:PORT \
///       --identity DIR
///   curl -H 'Content-Type: application/fhir+json' -H "Authorization: Bearer $TOKEN" \
///       --data @heart-rate.json http://127.0.0.1:8090/fhir/Observation
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Fhir {
    #[command(flatten)]
    node: Node,
    /// Where it listens; beyond this machine only with --tls-cert or --behind-tls
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Who and what is meant by the names of others: a TOML file of its owner alone
    #[arg(long, value_name = "FILE")]
    map: PathBuf,
    /// Folder that keeps readings until they have a receipt, and remembers which Observations were
    /// stored
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Keys of the issuer of tokens
    #[arg(long, value_name = "FILE", requires = "issuer", required_unless_present = "open")]
    jwks: Option<PathBuf>,
    /// Who issues tokens: their `iss`
    #[arg(long, value_name = "URL", requires = "jwks")]
    issuer: Option<String>,
    /// For whom tokens are: their `aud`, by default the address of --base
    #[arg(long, value_name = "URL", requires = "jwks")]
    audience: Option<String>,
    /// Ask for no token; only on a loopback address
    #[arg(long, conflicts_with = "jwks")]
    open: bool,
    /// The address that others post to, by default http://LISTEN/fhir, or https with --tls-cert
    #[arg(long, value_name = "URL")]
    base: Option<String>,
    /// Something in front of it has TLS, and nobody else reaches it
    #[arg(long)]
    behind_tls: bool,
    #[command(flatten)]
    tls: TlsArgs,
    /// The registered device of Observations that name none, as those that people write down
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// When a value of a period was measured; without it such a value is refused
    #[arg(long, value_enum, value_name = "END")]
    period_at: Option<At>,
    /// Connections at once
    #[arg(long, value_name = "N", default_value = "64",
          value_parser = clap::value_parser!(u16).range(1..=CONNECTIONS_MAX))]
    connections: u16,
    /// Longest body; each connection holds one
    #[arg(long, value_name = "BYTES", default_value = "2097152",
          value_parser = clap::value_parser!(u32).range(1024..=BODY_BYTES_MAX))]
    body_bytes: u32,
    /// Say nothing on the way but what goes wrong
    #[arg(long)]
    quiet: bool,
}

/// An end of a period.
#[derive(Clone, Copy, ValueEnum)]
enum At {
    /// Its start
    Start,
    /// Its end
    End,
}

impl Fhir {
    pub(crate) fn run(self, json: bool) -> Outcome {
        let tls = self.tls.acceptor()?;
        let is_encrypted = self.behind_tls || tls.is_some();
        if !self.listen.ip().is_loopback() && (self.open || !is_encrypted) {
            let why = if self.open {
                "expected a loopback address as --listen with --open, found another"
            } else {
                "expected a loopback address as --listen, found another: a token in the clear is \
                 everybody's; --tls-cert and --tls-key encrypt, and --behind-tls says that a proxy \
                 with TLS stands in front"
            };
            return Err(Usage(why.to_owned()).into());
        }
        self.node.check_role(&[Role::Gateway])?;
        let (map, fingerprint) = (self.read_map()?, self.node.deployment()?.fingerprint);
        let runtime = runtime()?;
        let report = runtime.block_on(self.serve(map, tls, !self.quiet && !json))?;
        Ok(tell_deployment(fingerprint, report))
    }

    async fn serve(&self, map: Map, tls: Option<TlsAcceptor>, is_told: bool) -> Outcome {
        let listener = TcpListener::bind(self.listen).await;
        let listener = listener.with_context(|| format!("expected {} to be free", self.listen))?;
        let address = listener.local_addr().context("expected the address that was bound")?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let base = self.base.clone().unwrap_or_else(|| format!("{scheme}://{address}{BASE}"));
        let base = base.trim_end_matches('/').to_owned();
        let (door, defaults) = (self.door(&base)?, self.defaults()?);
        let delivery = Delivery::open(self.state.clone(), RECEIPTS_WAIT)?;
        let limits = Limits {
            connections_max: self.connections.into(),
            body_bytes_max: self.body_bytes as usize,
            request_wait: REQUEST_WAIT,
        };
        let store = Delivered::new(Arc::clone(&delivery));
        let (work, tally) = (Semaphore::new(WORK_MAX), Tally::default());
        let desk = Arc::new(Desk { map, defaults, door, store, base, work, tally });
        // A program that waits for it reads the port here.
        eprintln!("vitals: FHIR R4 on {scheme}://{address}{BASE}");
        let say = |text: &str| eprintln!("vitals: {}", escape(text));
        let mut why = None;
        let stop = async {
            tokio::select! {
                () = stopped() => {}
                ended = delivery.link(&self.node, self.state.clone(), say) => why = Some(ended),
                never = delivery.show(is_told, || desk.tally.sentence()) => match never {},
            }
        };
        // What is under way when it stops is waited for as long as its receipts may take.
        serve(Entrance { listener, tls }, Arc::clone(&desk), limits, stop).await;
        delivery.close().await?;
        match why {
            Some(why) => Err(why.context(desk.tally.sentence())),
            None => Ok(report(&desk.tally, &delivery)),
        }
    }

    fn read_map(&self) -> anyhow::Result<Map> {
        let reading = || format!("reading the map {}", self.map.display());
        // It names patients: one that others may open is refused.
        let bytes = files::read(&self.map, MAP_BYTES_MAX as u64, Audience::Owner);
        let bytes = bytes.with_context(reading)?;
        let text = String::from_utf8(bytes).with_context(reading)?;
        Map::parse(&text).with_context(reading)
    }

    fn door(&self, base: &str) -> anyhow::Result<Door> {
        let (Some(jwks), Some(issuer)) = (&self.jwks, &self.issuer) else { return Ok(Door::Open) };
        let expected = Expected {
            issuer: issuer.clone(),
            audience: self.audience.clone().unwrap_or_else(|| base.to_owned()),
            skew_ms: SKEW_MS,
            lifetime_ms_max: LIFETIME_MS_MAX,
        };
        Ok(Door::Tokens(KeyFile::open(jwks, expected, now())?))
    }

    fn defaults(&self) -> anyhow::Result<Defaults> {
        let period_at = self.period_at.map(|at| match at {
            At::Start => PeriodAt::Start,
            At::End => PeriodAt::End,
        });
        let device = self.device.as_deref().map(DeviceId::new).transpose();
        let device = device.map_err(|error| Usage(format!("--device: {error}")))?;
        Ok(Defaults { period_at, device })
    }
}

/// What was done until somebody ended it.
fn report(tally: &Tally, delivery: &Delivery) -> Report {
    let Counts { connections, refused_connections, requests, turned_away, .. } = tally.counts();
    let Counts { accepted, taken_before, errors, rejected, readings, left_out, .. } =
        tally.counts();
    let json = json!({
        "schema": "vitals-fhir-1", "connections": connections,
        "connections_refused": refused_connections, "requests": requests,
        "turned_away": turned_away, "accepted": accepted, "taken_before": taken_before,
        "errors": errors, "rejected": rejected, "readings": readings, "left_out": left_out,
        "epochs_used_max": delivery.standings().epochs_used_max,
    });
    Report { text: tally.sentence(), json, exit: ExitCode::Interrupted, after: None }
}
