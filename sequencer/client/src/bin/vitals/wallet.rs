//! `vitals wallet`: the patient's page, served to one browser of this machine.
//!
//! ```text
//! request  bytes -> what is asked          no socket, no clock
//! gate     who may ask                     token once, then cookie and word
//! answer   path -> file, question, refusal
//! wanted   what the page asks to be signed, read by the command line's own reader
//! patient  the key, and the commands' own code for log, rules, preview and signature
//! serve    sockets, time, threads
//! ```

mod answer;
mod fault;
mod gate;
mod patient;
mod request;
mod serve;
mod wanted;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use client::batches::Batches;
use client::hand_in::Door;
use client::{Key, KeyKind};
use machine::{Machine as _, System};
use model::PatientIndex;
use model::calendar::parse_length;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::known;
use crate::node::{Expected, Node, runtime, tell_deployment};
use crate::report::{Outcome, Report, Usage};

use gate::{Gate, Secret};
use patient::{Given, Patient, Receipts};
use serve::{Desk, End, serve};

/// How long what is under way may take when the page ends.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Serve the patient's page: who read what, which rules hold, and new ones to sign
///
/// For a patient, or whoever helps one, on a machine of their own: it prints a link that opens the
/// page once, in a browser of this machine. The key stays in this program and is gone when it ends:
/// by Ctrl-C, by Close on the page, or when nobody asked anything for --idle.
///
///   auditor verify --save-headers headers.json ...
///   vitals wallet --key anna.key --identity DIR --http http://HOST:PORT --headers headers.json
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Serve {
    /// Key of the patient; the wallet's copy of the record stands beside it
    #[arg(long, visible_alias = "key", value_name = "FILE")]
    patient_key: PathBuf,
    /// Folder with deployment.json
    #[arg(long, env = "VITALS_IDENTITY", value_name = "DIR")]
    identity: PathBuf,
    #[command(flatten)]
    expected: Expected,
    /// The node: operations are handed in there, and batch files come from there
    #[arg(long, value_name = "URL")]
    http: String,
    /// Where the node listens for connections, HOST:PORT (UDP): it is asked whether its registry
    /// knows whom a rule names, by the certificate in the identity's folder; without it no name is
    /// checked
    #[arg(long, env = "VITALS_NODE", value_name = "HOST:PORT")]
    node: Option<String>,
    /// Name in the node's certificate, if it is not HOST
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Batch files from elsewhere: a folder, or `http[s]://HOST[:PORT]`
    #[arg(long, value_name = "DIR|URL")]
    data: Option<String>,
    /// Headers that an auditor saved (auditor verify --save-headers FILE); read anew for each log
    #[arg(long, value_name = "FILE")]
    headers: PathBuf,
    /// Folder that keeps every receipt, and that the log is compared with; by default beside the
    /// key, as KEY.receipts
    #[arg(long, value_name = "DIR")]
    receipts: Option<PathBuf>,
    /// Index of the record, if the wallet's copy is lost
    #[arg(long, value_name = "N")]
    patient: Option<PatientIndex>,
    /// Names to recognise in the log besides those the wallet used, as practitioner:dr-001
    #[arg(long, value_name = "WHO", value_delimiter = ',')]
    know: Vec<String>,
    /// Frames that readers were released and kept (vitals access --frames)
    #[arg(long, value_name = "FILE")]
    frames: Vec<PathBuf>,
    /// Where the page is served: a loopback address with port 0, which takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// After how long without a question it ends
    #[arg(long, value_name = "LENGTH", value_parser = parse_length, default_value = "15m")]
    idle: u64,
}

impl Serve {
    pub(crate) fn run(self, json: bool) -> Outcome {
        if !self.listen.ip().is_loopback() {
            let why = format!("expected a loopback address as --listen, found {}", self.listen);
            return Err(Usage(why).into());
        }
        if self.listen.port() != 0 {
            // What lived at a known port before may have left something in the browser that
            // answers for the page.
            let why = format!("expected port 0 in --listen, a free one, found {}", self.listen);
            return Err(Usage(why).into());
        }
        let (listen, idle) = (self.listen, Duration::from_millis(self.idle));
        let key = Key::read(&self.patient_key, KeyKind::Patient)?;
        let given = self.given()?;
        let fingerprint = given.deployment.fingerprint;
        let patient = Patient::new(key, given);
        let runtime = runtime()?;
        let end = runtime.block_on(async {
            let binding = || format!("expected {listen} to be free for the page");
            let listener = TcpListener::bind(listen).await.with_context(binding)?;
            let address = listener.local_addr().with_context(binding)?;
            let draw = || System.random();
            let token = draw().map(Secret::of).context("expected randomness of the machine")?;
            let url = format!("http://{address}/#token={}", token.text());
            let gate = Gate::new(address, token, draw);
            let stop = stopped();
            let said = match json {
                true => {
                    let (fingerprint, idle_ms) = (fingerprint.to_string(), idle.as_millis() as u64);
                    json!({
                        "schema": "vitals-wallet-1", "url": url, "fingerprint": fingerprint,
                        "idle_ms": idle_ms,
                    })
                    .to_string()
                }
                false => format!(
                    "deployment {fingerprint}\n{url}\nopens the patient's page, once, in a browser \
                     of this machine; Ctrl-C ends it"
                ),
            };
            // Without somebody who has the link nobody ever opens it.
            let mut stdout = std::io::stdout();
            writeln!(stdout, "{said}").and_then(|()| stdout.flush()).context("showing the link")?;
            anyhow::Ok(serve(listener, Arc::new(Desk::new(gate, patient, idle)), stop).await)
        })?;
        // Whatever waits for a node longer than this is kept beside the key, if it was signed.
        runtime.shutdown_timeout(LAST_WAIT);
        let (name, why) = match end {
            End::Idle => ("idle", "nobody asked anything for as long as --idle says"),
            End::Closed => ("closed", "it was closed on the page"),
            End::Stopped => ("stopped", "it was stopped"),
            End::Failed => ("failed", "something in it failed"),
        };
        let text = format!("the page has ended, as {why}; the key is forgotten");
        let ended = json!({ "schema": "vitals-wallet-ended-1", "why": name });
        let report = match end {
            End::Failed => Report::failure(text, ended),
            End::Idle | End::Closed | End::Stopped => Report::success(text, ended),
        };
        Ok(tell_deployment(fingerprint, report))
    }

    /// What the page is made of; what can be told to be wrong is told now.
    fn given(self) -> anyhow::Result<Given> {
        let deployment = self.expected.load(&self.identity)?;
        let door = Door::parse(&self.http).map_err(|error| Usage(format!("--http: {error}")))?;
        let data = self.data.unwrap_or(self.http);
        Batches::parse(&data)?;
        let receipts = match self.receipts {
            // A name that is misspelt would be a comparison with nothing.
            Some(folder) if !folder.is_dir() => {
                let why = "expected --receipts to be a folder that is there, found none at";
                return Err(Usage(format!("{why} {}", folder.display())).into());
            }
            Some(folder) => Receipts { folder, is_named: true },
            None => {
                let mut path = self.patient_key.as_os_str().to_owned();
                path.push(".receipts");
                Receipts { folder: path.into(), is_named: false }
            }
        };
        for text in &self.know {
            client::party::actor(text)?;
        }
        let node = Node::beside(self.node, self.server_name, self.identity.clone(), self.expected);
        if node.is_given() {
            node.place()?;
        }
        Ok(Given {
            key_path: self.patient_key,
            identity: self.identity,
            deployment,
            door,
            data,
            headers: self.headers,
            receipts,
            frames: self.frames,
            know: self.know,
            patient: self.patient,
            ask_names: Box::new(move |named| known::ask_beside(&node, named)),
        })
    }
}

/// Until SIGINT or SIGTERM.
pub(crate) async fn stopped() {
    let waits = async |kind| match signal(kind) {
        Ok(mut signal) => _ = signal.recv().await,
        // Without a handler the signal ends the program by itself.
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = waits(SignalKind::interrupt()) => {}
        () = waits(SignalKind::terminate()) => {}
    }
}
