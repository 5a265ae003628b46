//! Signals at the real program: SIGHUP takes over what is live and never ends the node; a second
//! SIGTERM does not wait.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};

use client::{Connection, ConnectionConfig, ConnectionError, Deployment, Identity};
use tokio::runtime::{Builder, Runtime};

use crate::support::Site;

/// `sequencer run` as a process, whose log is read line by line.
pub(crate) struct Program {
    child: Child,
    pub(crate) ingest: SocketAddr,
    log: BufReader<ChildStderr>,
    /// Kept open, or the program could not print.
    _stdout: BufReader<ChildStdout>,
}

impl Program {
    pub(crate) fn start(site: &Site) -> Program {
        Program::start_with(site, &[])
    }

    /// With these variables in its environment.
    pub(crate) fn start_with(site: &Site, variables: &[(&str, &str)]) -> Program {
        write_config(site);
        let mut child = Command::new(env!("CARGO_BIN_EXE_sequencer"))
            .args(["run", "--config"])
            .arg(site.layout.config())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env_remove("RUST_LOG")
            .env_remove("NOTIFY_SOCKET")
            .envs(variables.iter().copied())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let (_, rest) = line.split_once("ingest ").expect(&line);
        let ingest = rest.split_whitespace().next().unwrap().parse().unwrap();
        Program { child, ingest, log, _stdout: stdout }
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Has it read the configuration again, as it stands at the site.
    pub(crate) fn read_again(&self, site: &Site) {
        write_config(site);
        self.signal("-HUP");
    }

    /// Waits for its end, which is to be a success.
    pub(crate) fn ended_well(&mut self) {
        assert!(self.child.wait().unwrap().success());
    }

    /// The next line of the log that says this.
    pub(crate) fn line(&mut self, words: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "nothing said {words:?}");
            if line.contains(words) {
                return line;
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Gone already, unless the test failed.
        drop(self.child.kill());
    }
}

fn write_config(site: &Site) {
    std::fs::write(site.layout.config(), site.config.to_toml()).unwrap();
}

pub(crate) fn sequencer(site: &Site, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sequencer"));
    command.args(words).arg("--dir").arg(site.layout.folder()).output().unwrap()
}

/// A client's runtime, which stands still unless it is polled here.
pub(crate) fn own_runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn connect(site: &Site, program: &Program) -> Result<Connection, ConnectionError> {
    let identity = Identity::load(&site.identity()).unwrap();
    let deployment = Deployment::load(&site.identity()).unwrap();
    let config = ConnectionConfig::new(program.ingest, "localhost", identity, deployment);
    Connection::connect(config).await
}

#[test]
fn a_hangup_takes_over_what_is_live_names_what_is_not_and_ends_nothing() {
    let runtime = own_runtime();
    let mut site = runtime.block_on(Site::new());
    let mut program = Program::start(&site);
    let again = "are read again";

    site.config.ingest.rates.opens_burst = 7;
    site.config.batch.close_after_ms -= 1;
    site.config.store.scrub_every_ms -= 1;
    write_config(&site);
    program.signal("-HUP");
    let taken = program.line(again);
    assert!(taken.contains("taken=\"ingest.rates.opens_burst\""), "{taken}");
    assert!(taken.contains("next_window=\"batch.close_after_ms\""), "{taken}");
    assert!(program.line("needs a restart").contains("store.scrub_every_ms"));
    runtime.block_on(connect(&site, &program)).unwrap();

    std::fs::write(site.layout.config(), "[log]\nlevel = \"loud\"\n").unwrap();
    program.signal("-HUP");
    let refused = program.line("is not accepted");
    assert!(refused.contains("log.level") && refused.contains("all is as before"), "{refused}");

    // Other certificates: the node shows the new one, and knows the old clients no more.
    for folder in [site.layout.authority(), site.layout.server()] {
        std::fs::rename(&folder, folder.with_extension("old")).unwrap();
    }
    write_config(&site);
    program.signal("-HUP");
    assert!(program.line("is not accepted").contains("cert.pem"));
    assert!(sequencer(&site, &["init"]).status.success());
    program.signal("-HUP");
    program.line(again);
    let refused = runtime.block_on(connect(&site, &program)).err();
    assert!(matches!(refused, Some(ConnectionError::Certificate(_))), "{refused:?}");

    let status = sequencer(&site, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(
        (&status["schema"], &status["batches"]["closed"]),
        (&"vitals-status-1".into(), &0.into())
    );
    program.signal("-TERM");
    program.ended_well();
    assert_eq!(sequencer(&site, &["status"]).status.code(), Some(3));
}

#[test]
fn a_log_of_json_is_one_object_a_line_from_the_first_to_the_last() {
    let runtime = own_runtime();
    let mut site = runtime.block_on(Site::new());
    site.config.log.format = "json".into();
    let mut program = Program::start(&site);
    // One that is refused is said in the same way.
    std::fs::write(site.layout.config(), "[log]\nlevel = \"loud\"\n").unwrap();
    program.signal("-HUP");
    let mut lines = Vec::new();
    let mut log = (&mut program.log).lines().map(Result::unwrap);
    while lines.last().is_none_or(|line: &String| !line.contains("is not accepted")) {
        lines.push(log.next().expect("the refusal is said"));
    }
    let refused = lines.len() - 1;
    let stop = Command::new("kill").args(["-TERM", &program.child.id().to_string()]).status();
    assert!(stop.unwrap().success());
    lines.extend(log);
    assert!(program.child.wait().unwrap().success());
    let mut said = Vec::new();
    for line in &lines {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        let mut keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["fields", "level", "message", "target", "time"], "{line}");
        said.push(line["message"].as_str().unwrap().to_owned());
    }
    assert!(said.iter().any(|line| line.starts_with("stopping: ")), "{said:?}");
    let refused: serde_json::Value = serde_json::from_str(&lines[refused]).unwrap();
    let why = refused["fields"]["error"].as_str().unwrap();
    assert!(why.contains("log.level") && refused["level"] == "error", "{refused}");

    // What ends a program that does not start is a line too.
    std::fs::remove_file(site.layout.deployment()).unwrap();
    write_config(&site);
    let mut run = Command::new(env!("CARGO_BIN_EXE_sequencer"));
    let ended = run.args(["run", "--config"]).arg(site.layout.config()).output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    let last: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).expect(&said);
    let message = last["message"].as_str().unwrap();
    assert!(message.starts_with("error: no deployment"), "{message}");
}

#[test]
fn a_second_signal_ends_a_stop_that_waits_and_a_killed_node_is_not_said_to_run() {
    let (runtime, client) = (own_runtime(), own_runtime());
    let mut site = runtime.block_on(Site::new());
    site.config.ingest.limits.farewell_ms = 60_000;
    let mut program = Program::start(&site);
    // Nobody polls it from here on: the node waits for it to take its last words.
    let connection = client.block_on(connect(&site, &program)).unwrap();
    program.signal("-TERM");
    program.line("stopping: ");
    program.signal("-TERM");
    program.line("ended at once by a second signal");
    assert_eq!(program.child.wait().unwrap().code(), Some(4));
    drop(connection);

    assert!(site.layout.endpoints().exists(), "as after a crash");
    let status = sequencer(&site, &["status"]);
    assert_eq!(status.status.code(), Some(3));
    let said = String::from_utf8(status.stderr).unwrap();
    assert!(said.contains("ended without a word") && status.stdout.is_empty(), "{said}");
}
