//! The signals of a running node: SIGTERM and SIGINT stop it, SIGHUP has it read its files again.

use std::path::{Path, PathBuf};

use model::escape_lines;
use sequencer::doors::config::Config;
use sequencer::node::{Node, Reloaded};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::given::{check_memory, rpc};
use super::outcome::{Outcome, failed, usage};

/// What somebody asks of a running node.
pub(super) enum Wish {
    /// SIGTERM, which service managers send, or SIGINT, which is Ctrl-C.
    Stop,
    /// SIGHUP.
    ReadAgain,
}

/// The signals that reach this program.
pub(super) struct Signals {
    hangup: Signal,
    stop: Option<StopSignals>,
}

struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on SIGHUP does not end the program.
    pub(super) fn listen(runtime: &Runtime) -> Outcome<Signals> {
        let _entered = runtime.enter();
        Ok(Signals { hangup: signal(SignalKind::hangup()).map_err(failed)?, stop: None })
    }

    /// From now on SIGTERM and SIGINT do not either: until a node runs there is nothing to stop in
    /// order, and keys may be in the making for minutes.
    pub(super) fn catch_stops(&mut self) -> Outcome {
        let listen = |kind| signal(kind).map_err(failed);
        let terminate = listen(SignalKind::terminate())?;
        self.stop = Some(StopSignals { terminate, interrupt: listen(SignalKind::interrupt())? });
        Ok(())
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Wish {
        let stops = async {
            let Some(StopSignals { terminate, interrupt }) = &mut self.stop else {
                return std::future::pending().await;
            };
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        tokio::select! {
            () = stops => Wish::Stop,
            _ = self.hangup.recv() => Wish::ReadAgain,
        }
    }

    /// Waits for the next one that stops.
    pub(super) async fn next_stop(&mut self) {
        while let Wish::ReadAgain = self.next().await {}
    }
}

/// What SIGHUP reads again.
pub(super) struct Again {
    /// A development node has no file.
    pub(super) config: Option<PathBuf>,
    /// What the command line says instead of `chain.rpc`.
    pub(super) rpc: Option<String>,
}

impl Again {
    /// Reads, takes over, and says in the log what became of it. Nothing here ends the node.
    pub(super) fn read(&self, node: &Node) {
        let Some(path) = &self.config else {
            return tracing::info!("a development node has no file that is read again");
        };
        if let Err(failure) = self.take_over(path, node) {
            node.reload_failed();
            let error = escape_lines(&format!("{:#}", failure.error));
            tracing::error!(error, "what is read again is not accepted: all is as before");
        }
    }

    fn take_over(&self, path: &Path, node: &Node) -> Outcome {
        let mut config = Config::read(path).map_err(usage)?;
        config.chain.rpc = rpc(self.rpc.clone(), config.chain.rpc)?;
        // As at the start, since rates take memory too.
        check_memory(&config)?;
        let reloaded = node.reload(&config).map_err(failed)?;
        // Before the level changes: a quieter one would swallow it.
        let Reloaded { taken, next_window, needs_restart, tuned } = reloaded;
        let (taken, next_window) = (taken.join(" "), next_window.join(" "));
        tracing::info!(taken, next_window, "configuration and server certificate are read again");
        for key in needs_restart {
            tracing::warn!(key, "the changed value needs a restart: the one before holds");
        }
        for key in tuned {
            tracing::warn!(
                key,
                "an operator set another value, which holds until `sequencer tune reset`"
            );
        }
        node.apply_log_level();
        Ok(())
    }
}
