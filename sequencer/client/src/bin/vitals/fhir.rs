//! `vitals fhir`: vital signs posted as FHIR R4 become readings with receipts.
//!
//! ```text
//! request  bytes -> head and body           no socket, no clock
//! door     who may post                     a token of the issuer, or this machine
//! desk     what is posted -> its answer     read and mapped by the crates `fhir` and `bridge`
//! store    what is asked of the delivery that all bridges share (`bridge`)
//! serve    sockets, time, threads
//! ```

mod answer;
mod desk;
mod door;
#[cfg(test)]
mod double;
mod serve;
mod store;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bridge::{MAP_BYTES_MAX, Map};
use clap::{Args, ValueEnum};
use fhir::{BASE, Defaults, PeriodAt};
use files::Audience;
use model::{DeviceId, escape};
use serde_json::json;
use tokens::{Expected, Keys, Verifier};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use wire::Role;

use crate::bridge::{Delivery, Standings};
use crate::node::{Node, runtime, tell_deployment};
use crate::report::{Outcome, Report, Usage};
use crate::wallet::stopped;

use desk::{Desk, WORK_MAX};
use door::Door;
use serve::{Limits, serve};
use store::Delivered;

/// Longest JWKS, bytes.
const JWKS_BYTES_MAX: u64 = 64 << 10;
/// How long receipts are waited for: senders give up after 30 s at the earliest.
const RECEIPTS_WAIT: Duration = Duration::from_secs(10);
/// How long a whole request may take from its first byte on.
const REQUEST_WAIT: Duration = Duration::from_secs(20);
/// How far the clock of the issuer of tokens may be apart.
const SKEW_MS: u64 = 5_000;
/// How long a token may still be good.
const LIFETIME_MS_MAX: u64 = 3_600_000;

/// Take vital signs posted as FHIR R4, and answer when each has a receipt
///
/// For a hospital's integration engine, or a gateway of personal devices: it posts Observations, or
/// Bundles of them, and gets 201 when the node's signed receipt was verified. Who and what is meant
/// by the names in them says the map. Whoever posts shows a token of --issuer, checked with the
/// keys of --jwks; --open asks for none, on a loopback address.
///
///   vitals fhir --listen 127.0.0.1:8080 --map map.toml --jwks jwks.json \
///       --issuer "$ISSUER" --state state --node HOST:PORT --identity DIR
///   curl -H 'Content-Type: application/fhir+json' -H "Authorization: Bearer $TOKEN" \
///       --data @heart-rate.json http://127.0.0.1:8080/fhir/Observation
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Fhir {
    #[command(flatten)]
    node: Node,
    /// Where it listens; beyond this machine only with --behind-tls
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
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
    /// The address that others post to, by default http://LISTEN/fhir
    #[arg(long, value_name = "URL")]
    base: Option<String>,
    /// Something in front of it has TLS, and nobody else reaches it
    #[arg(long)]
    behind_tls: bool,
    /// The registered device of Observations that name none, as those that people write down
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// When a value of a period was measured; without it such a value is refused
    #[arg(long, value_enum, value_name = "END")]
    period_at: Option<At>,
    /// Connections at once
    #[arg(long, value_name = "N", default_value = "64",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Longest body; each connection holds one
    #[arg(long, value_name = "BYTES", default_value = "2097152",
          value_parser = clap::value_parser!(u32).range(1024..=16_777_216))]
    body_bytes: u32,
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
    pub(crate) fn run(self) -> Outcome {
        let is_loopback = self.listen.ip().is_loopback();
        if !is_loopback && (self.open || !self.behind_tls) {
            let why = if self.open {
                "expected a loopback address as --listen with --open, found another"
            } else {
                "expected a loopback address as --listen, found another: a token in the clear is \
                 everybody's; --behind-tls says that a proxy with TLS stands in front"
            };
            return Err(Usage(why.to_owned()).into());
        }
        self.node.check_role(&[Role::Gateway])?;
        let map = self.read_map()?;
        let runtime = runtime()?;
        runtime.block_on(self.serve(map))
    }

    async fn serve(self, map: Map) -> Outcome {
        let listener = TcpListener::bind(self.listen).await;
        let listener = listener.with_context(|| format!("expected {} to be free", self.listen))?;
        let address = listener.local_addr().context("expected the address that was bound")?;
        let base = self.base.clone().unwrap_or_else(|| format!("http://{address}{BASE}"));
        let base = base.trim_end_matches('/').to_owned();
        let (door, defaults) = (self.door(&base)?, self.defaults()?);
        let deployment = self.node.deployment()?;
        let delivery = Delivery::open(self.state.clone(), RECEIPTS_WAIT)?;
        let limits = Limits {
            connections_max: self.connections.into(),
            body_bytes_max: self.body_bytes as usize,
            request_wait: REQUEST_WAIT,
        };
        let store = Delivered::new(Arc::clone(&delivery));
        let work = Semaphore::new(WORK_MAX);
        let desk = Arc::new(Desk { map, defaults, door, store, base: base.clone(), work });
        // A program that waits for it reads the port here.
        eprintln!("vitals: FHIR R4 on http://{address}{BASE}");
        let say = |text: &str| eprintln!("vitals: {}", escape(text));
        let mut why = None;
        let stop = async {
            tokio::select! {
                () = stopped() => {}
                ended = delivery.link(&self.node, self.state.clone(), say) => why = Some(ended),
            }
        };
        // What is under way when it stops is waited for as long as its receipts may take.
        serve(listener, desk, limits, stop).await;
        let Standings { counts, is_connected, under_way } = delivery.standings();
        delivery.close().await?;
        if let Some(why) = why {
            return Err(why.context("the connection to the node ended"));
        }
        let frames = counts.frames_receipted;
        let text = format!("stopped; {frames} frames have receipts, {under_way} Observations none");
        let ended = json!({
            "schema": "vitals-fhir-ended-1", "frames_receipted": frames, "under_way": under_way,
            "is_connected": is_connected,
        });
        Ok(tell_deployment(deployment.fingerprint, Report::success(text, ended)))
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
        let reading = || format!("reading the keys {}", jwks.display());
        let bytes = files::read(jwks, JWKS_BYTES_MAX, Audience::Public).with_context(reading)?;
        let keys = Keys::from_jwks(&bytes).with_context(reading)?;
        let expected = Expected {
            issuer: issuer.clone(),
            audience: self.audience.clone().unwrap_or_else(|| base.to_owned()),
            skew_ms: SKEW_MS,
            lifetime_ms_max: LIFETIME_MS_MAX,
        };
        Ok(Door::Tokens(Verifier::new(keys, expected)))
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
