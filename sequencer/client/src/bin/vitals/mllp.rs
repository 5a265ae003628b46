//! `vitals mllp`: HL7 v2 in, over MLLP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bridge::{MAP_BYTES_MAX, Map};
use clap::Args;
use files::Audience;
use model::calendar::parse_length;
use model::{ExitCode, escape};
use serde_json::json;
use tokio::net::TcpListener;
use wire::Role;

use self::serve::{Limits, Server};
use crate::bridge::Delivery;
use crate::node::{Node, runtime, tell_deployment};
use crate::report::{Outcome, Report, Usage};
use crate::tls::TlsArgs;
use crate::wallet::stopped;

#[cfg(test)]
mod limits;
mod serve;
mod share;

/// Most connections that can be asked for.
const CONNECTIONS_MAX: i64 = 512;
/// Longest message that can be asked for, KiB.
const MESSAGE_KIB_MAX: i64 = 16_384;
/// Least buffers of all that can be asked for, MiB. A buffer that grows doubles, so that the
/// longest message may need twice its length: one alone is never given up.
const BUFFERED_MIB_MIN: i64 = (2 * MESSAGE_KIB_MAX) >> 10;
/// How long what is being answered may take when the command is to end.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Receive HL7 v2 from monitors over MLLP, answered when stored
///
/// For a ward's monitors, their server, or an interface engine (Mirth, Rhapsody) with ORU^R01.
///
/// AA is answered only after the node's verified receipt for every reading of the message; MSA-3
/// names it. AE says that the same may be sent again later (the node is away, the bridge is busy)
/// or that consent refuses; AR that the message as it is can never be taken, and ERR at which
/// field. One that is sent again is answered the same and stored once, also after a restart. The
/// map (TOML) says which patient, device, code, unit and zone is meant; nothing is guessed. It
/// names patients and must be yours alone (chmod 600); --state keeps what has no receipt.
///
///   vitals mllp --listen 127.0.0.1:2575 --map ward.toml --state state \
///       --node HOST:PORT --identity DIR
///   vitals mllp --listen 0.0.0.0:2575 --map ward.toml --state state --tls-cert mllp.pem \
///       --tls-key mllp.key --tls-clients ward-ca.pem --node HOST:PORT --identity DIR
///   mllp_send --file oru.hl7 --port 2575 127.0.0.1
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Mllp {
    #[command(flatten)]
    node: Node,
    /// Where senders connect
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:2575")]
    listen: SocketAddr,
    /// The map: who and what is meant
    #[arg(long, value_name = "FILE.toml")]
    map: PathBuf,
    /// Folder that keeps what has no receipt, and which messages are stored
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// How long a sender waits for its answer; then it is AE, and the message goes on by itself
    #[arg(long, value_name = "LENGTH", value_parser = parse_length, default_value = "10s")]
    answer_within: u64,
    /// Most connections at a time; each may hold one message
    #[arg(long, value_name = "N", default_value = "64",
          value_parser = clap::value_parser!(u16).range(1..=CONNECTIONS_MAX))]
    max_connections: u16,
    /// Longest message, KiB
    #[arg(long, value_name = "KIB", default_value = "1024",
          value_parser = clap::value_parser!(u16).range(1..=MESSAGE_KIB_MAX))]
    max_message: u16,
    /// Most memory of all messages that come, MiB; one of more than 64 KiB beyond it is AE
    #[arg(long, value_name = "MIB", default_value = "256",
          value_parser = clap::value_parser!(u16).range(BUFFERED_MIB_MIN..))]
    max_buffered: u16,
    /// How long a message may take to arrive, and an answer to be taken
    #[arg(long, value_name = "LENGTH", value_parser = parse_length, default_value = "30s")]
    message_within: u64,
    /// How long a connection may be silent between messages
    #[arg(long, value_name = "LENGTH", value_parser = parse_length, default_value = "24h")]
    idle: u64,
    #[command(flatten)]
    tls: TlsArgs,
    /// Say nothing on the way but what goes wrong
    #[arg(long)]
    quiet: bool,
}

impl Mllp {
    pub(crate) fn run(self, json: bool) -> Outcome {
        self.node.check_role(&[Role::Gateway])?;
        let fingerprint = self.node.deployment()?.fingerprint;
        let map = Arc::new(self.read_map()?);
        let tls = self.tls.acceptor()?;
        if tls.is_none() && !self.listen.ip().is_loopback() && !self.quiet {
            eprintln!(
                "vitals: warning: readings and patients' numbers come in the clear on {}: \
                 --tls-cert encrypts them, or a network that only the ward's systems reach",
                self.listen
            );
        }
        let patience = Duration::from_millis(self.answer_within);
        let delivery = Delivery::open(self.state.clone(), patience)?;
        let limits = Limits {
            connections: self.max_connections.into(),
            message_bytes: usize::from(self.max_message) << 10,
            buffered_bytes: usize::from(self.max_buffered) << 20,
            message: Duration::from_millis(self.message_within),
            idle: Duration::from_millis(self.idle),
        };
        let server = Arc::new(Server::new(delivery.clone(), map, limits));
        let is_told = !self.quiet && !json;
        let runtime = runtime()?;
        let ended = runtime.block_on(async {
            let binding = || format!("expected {} to be free", self.listen);
            let listener = TcpListener::bind(self.listen).await.with_context(binding)?;
            let address = listener.local_addr().with_context(binding)?;
            // A program that waits for it reads the port here.
            eprintln!("vitals: HL7 v2 over MLLP on {address}");
            let say = |line: &str| eprintln!("vitals: {}", escape(line));
            let ended = tokio::select! {
                error = delivery.link(&self.node, self.state.clone(), say) => Some(error),
                never = server.clone().serve(listener, tls) => match never {},
                never = delivery.show(is_told, || server.sentence()) => match never {},
                () = stopped() => None,
            };
            server.end(LAST_WAIT).await;
            delivery.close().await?;
            anyhow::Ok(ended)
        })?;
        runtime.shutdown_background();
        match ended {
            Some(error) => Err(error.context(server.sentence())),
            None => Ok(tell_deployment(fingerprint, report(&server, &delivery))),
        }
    }

    fn read_map(&self) -> anyhow::Result<Map> {
        let reading = || format!("reading the map {}", self.map.display());
        let bytes = files::read(&self.map, MAP_BYTES_MAX as u64, Audience::Owner);
        let bytes = bytes.with_context(reading)?;
        let wrong = |why: String| Usage(format!("{}: {why}", self.map.display()));
        let text = String::from_utf8(bytes).map_err(|_| wrong("expected UTF-8".to_owned()))?;
        Ok(Map::parse(&text).map_err(|error| wrong(error.to_string()))?)
    }
}

/// What was done until somebody ended it.
fn report(server: &Server, delivery: &Delivery) -> Report {
    let counts = server.counts();
    let json = json!({
        "schema": "vitals-mllp-1", "connections": counts.connections,
        "connections_refused": counts.refused_connections, "messages": counts.messages,
        "accepted": counts.accepted, "errors": counts.errors, "rejected": counts.rejected,
        "readings": counts.readings, "left_out": counts.left_out, "torn": counts.torn,
        "epochs_used_max": delivery.standings().epochs_used_max,
    });
    Report { text: server.sentence(), json, exit: ExitCode::Interrupted, after: None }
}
