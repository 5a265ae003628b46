//! The `prover-worker` program, which `prover worker` starts.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use jobs::{SealError, WorkerName, WorkersSecret};
use model::ExitCode;
use prover::{Choice, Setup};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use workers::{
    AddressError, Counted, Login, LoginError, Provers, ProversConfig, Server, ServerAddress,
    TakingEnd, Worker,
};

const ABOUT: &str = "\
Make proofs for nodes on other machines, with jobs from a NATS JetStream queue.
For operators whose node closes windows faster than its own machine proves them.

Begin with:
  prover worker key --secret workers.key
  prover worker --jobs nats://127.0.0.1:4222 --secret workers.key";

const KEY: &str = "\
Make the workers' secret if it is not there, and say its public key.
For operators: the public key is a node's `prover.workers_key`, the secret goes to every worker.

Begin with:
  prover worker key --secret workers.key
  prover worker key --secret workers.key --json";

const EXIT_CODES: &str = "\
Exit codes:
  0  stopped by SIGINT or SIGTERM; the key is shown
  1  the program cannot run: no thread, no certificate of the authority
  2  the command line or a file named on it is wrong
  4  stopped by a second signal, in the middle of a proof";

/// Make proofs for nodes on other machines.
#[derive(Parser)]
#[command(name = "prover worker", version, long_about = ABOUT, after_help = EXIT_CODES)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Program {
    /// Print one JSON object with a `schema` field instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    work: Option<Work>,
}

#[derive(Subcommand)]
enum Command {
    /// Make the workers' secret if it is not there, and say its public key.
    #[command(long_about = KEY, after_help = EXIT_CODES)]
    Key {
        /// File of the workers' secret.
        #[arg(long, value_name = "FILE")]
        secret: PathBuf,
    },
}

#[derive(Args)]
struct Work {
    /// The NATS server: nats://HOST:PORT, or tls://HOST:PORT.
    // Text, and looked at later: what the parser refuses it shows, and a password may stand in it.
    #[arg(long, value_name = "URL")]
    jobs: String,
    /// File of the workers' secret.
    #[arg(long, value_name = "FILE")]
    secret: PathBuf,
    /// Name in logs and metrics of nodes [default: host name and process id].
    #[arg(long, value_name = "NAME")]
    name: Option<WorkerName>,
    /// Folder of the proving keys; a development key that is not there is made.
    #[arg(long, value_name = "FOLDER", default_value = "keys")]
    keys: PathBuf,
    /// dev-insecure or ceremony, as the nodes have it.
    #[arg(long, value_name = "NAME", default_value_t = Setup::DevInsecure)]
    setup: Setup,
    /// Bytes of memory for tables that make proofs faster; 0 for none.
    #[arg(long, value_name = "BYTES", default_value_t = 2 << 30)]
    table_bytes_max: usize,
    /// auto, accelerated or portable.
    #[arg(long, value_name = "NAME", default_value_t = Choice::Auto)]
    engine: Choice,
    /// Jobs at once; each proof takes all processors by itself.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=16))]
    at_once: u8,
    /// File with one line USER:PASSWORD for the server.
    #[arg(long, value_name = "FILE")]
    login: Option<PathBuf>,
    /// Certificates of the authority behind a tls:// server [default: the machine's].
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
}

fn main() -> process::ExitCode {
    files::close_to_others();
    let program = Program::parse();
    let json = program.json;
    match run(program) {
        Ok(report) => {
            println!("{}", if json { report.json.to_string() } else { report.text });
            ExitCode::Ok.number().into()
        }
        Err(error) => {
            let code = exit_code(&error);
            if json {
                let error = format!("{error:#}");
                let schema = "prover.failure.v1";
                println!("{}", json!({ "schema": schema, "code": code.number(), "error": error }));
            }
            eprintln!("prover worker: {error:#}");
            code.number().into()
        }
    }
}

struct Report {
    text: String,
    json: Value,
}

fn run(program: Program) -> anyhow::Result<Report> {
    match (program.command, program.work) {
        (Some(Command::Key { secret }), _) => {
            let secret = match WorkersSecret::create(&secret) {
                Err(SealError::File { source, path })
                    if source.kind() == std::io::ErrorKind::AlreadyExists =>
                {
                    WorkersSecret::read(&path)?
                }
                created => created?,
            };
            let key = secret.public().to_string();
            let json = json!({ "schema": "prover.worker-key.v1", "workers_key": key });
            Ok(Report { text: format!("workers_key = \"{key}\""), json })
        }
        (None, Some(work)) => work.run(),
        (None, None) => unreachable!("clap asks for --jobs where there is no command"),
    }
}

impl Work {
    fn run(self) -> anyhow::Result<Report> {
        let address = self.jobs.parse::<ServerAddress>().context("--jobs")?;
        // Of the client, which tells of each try to connect, only what is wrong.
        let filter =
            Targets::new().with_default(Level::INFO).with_target("async_nats", Level::WARN);
        // Stdout is the report's.
        let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let log = log.with_ansi(std::io::stderr().is_terminal());
        tracing_subscriber::registry().with(log.with_filter(filter)).init();
        let secret = Arc::new(WorkersSecret::read(&self.secret)?);
        let login = self.login.as_deref().map(Login::read).transpose()?;
        let server = Server { address, login, authority: self.authority.clone() };
        let runtime = tokio::runtime::Runtime::new().context("the runtime")?;
        let counted = Arc::new(Counted::default());
        runtime.block_on(self.serve(&server, secret, &counted))?;
        Ok(report(&counted))
    }

    async fn serve(
        &self,
        server: &Server,
        secret: Arc<WorkersSecret>,
        counted: &Arc<Counted>,
    ) -> anyhow::Result<()> {
        let prover = Arc::new(Provers::new(ProversConfig {
            keys: self.keys.clone(),
            setup: self.setup,
            engine: self.engine,
            table_bytes_max: self.table_bytes_max,
        }));
        let first = self.name.clone().unwrap_or_else(own_name);
        let mut ends = Vec::new();
        for number in 1..=self.at_once {
            // Each waits for itself in the queue, and a node tells them apart.
            let name = match number {
                1 => first.clone(),
                number => WorkerName::near(&format!("{number}.{first}")),
            };
            ends.push((TakingEnd::connect(server, &secret.public(), &name).await?, name));
        }
        // Before it takes a job, or says that it waits for one: whoever hears that may stop it.
        let mut signals = [SignalKind::interrupt(), SignalKind::terminate()]
            .map(|kind| signal(kind).context("signals"));
        let [interrupt, terminate] = &mut signals;
        let (Ok(interrupt), Ok(terminate)) = (interrupt, terminate) else {
            anyhow::bail!("the system gives no signals");
        };
        let (stopping, stop) = watch::channel(false);
        let mut running = tokio::task::JoinSet::new();
        for (end, name) in ends {
            let (secret, prover, counted) = (secret.clone(), prover.clone(), counted.clone());
            let worker = Worker { end, secret, name, prover, counted };
            let stop = stop.clone();
            running.spawn(async move { worker.work(stop).await });
        }
        tracing::info!(jobs = %server.address, name = %first, at_once = self.at_once, "waiting");
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("no further job is taken; a proof that is begun is answered");
        stopping.send_replace(true);
        tokio::select! {
            () = async { while running.join_next().await.is_some() {} } => Ok(()),
            _ = interrupt.recv() => Err(Interrupted.into()),
            _ = terminate.recv() => Err(Interrupted.into()),
        }
    }
}

/// A second signal came.
#[derive(Debug, thiserror::Error)]
#[error("interrupted: the job in hand goes to another when its lease is over")]
struct Interrupted;

fn own_name() -> WorkerName {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    WorkerName::near(&format!("{}.{}", process::id(), host.trim()))
}

fn report(counted: &Counted) -> Report {
    let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let [proven, failed, over, refused] =
        [&counted.proven, &counted.failed, &counted.over, &counted.refused].map(of);
    let text = format!(
        "proven {proven}, failed {failed}, without an answer that counted {over}, not begun \
         {refused}"
    );
    let json = json!({
        "schema": "prover.worker.v1",
        "proven": proven,
        "failed": failed,
        "over": over,
        "refused": refused,
    });
    Report { text, json }
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::of_error(error.as_ref(), |cause| {
        if cause.is::<Interrupted>() {
            return Some(ExitCode::Interrupted);
        }
        if cause.is::<AddressError>() {
            return Some(ExitCode::Usage);
        }
        let file = match cause.downcast_ref::<SealError>() {
            Some(SealError::File { source, .. }) => Some(source),
            Some(_) => return Some(ExitCode::Usage),
            None => match cause.downcast_ref::<LoginError>()? {
                LoginError::File { source, .. } => Some(source),
                LoginError::Format { .. } => return Some(ExitCode::Usage),
            },
        };
        file.map(|source| ExitCode::of_named_file(source.kind()))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_of_the_help_parse() {
        let program = Program::command();
        program.clone().debug_assert();
        for help in [ABOUT, KEY] {
            let begin = help.lines().skip_while(|line| *line != "Begin with:").skip(1);
            let lines: Vec<_> = begin.collect();
            assert_eq!(lines.len(), 2);
            for line in lines {
                // The program's name is two words, of which the first is another program's.
                let words = line.split_whitespace().skip(1);
                assert!(Program::try_parse_from(words).is_ok(), "{line}");
            }
        }
        assert!(Program::try_parse_from(["worker"]).is_err(), "expected --jobs to be asked for");
    }

    #[test]
    fn an_address_with_a_password_is_refused_and_not_shown() {
        let words = ["worker", "--jobs", "nats://node:word@host:4222", "--secret", "none.key"];
        let error = run(Program::try_parse_from(words).unwrap()).err().unwrap();
        assert_eq!(exit_code(&error), ExitCode::Usage);
        let text = format!("{error:#}");
        assert!(text.starts_with("--jobs: expected nats://") && !text.contains("word"), "{text}");
    }
}
