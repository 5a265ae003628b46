//! Gateways that misbehave: with certificates that the node issued, byte by byte, since the client
//! of this house does nothing of the kind. What they find is counted, and what it does to everybody
//! else is measured beside them.
//!
//! ```text
//!   attack --connections--> press: dial, act until the node closes it, pause, again
//!                             |           |
//!                             v           v
//!                           Peer        acts: one function for each Behaviour
//! ```

mod acts;
mod behaviour;
mod peer;
mod tally;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Barrier, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use wire::StreamKey;

use acts::act;
use peer::{Dial, Peer};
use tally::Tally;

use crate::dial::{self, DialError};

pub use behaviour::Behaviour;
pub use tally::HostileReport;

/// Most connections of a hostile group, over all its certificates.
pub const HOSTILE_CONNECTIONS_MAX: usize = 4096;

/// Before a connection that was closed is made again: often enough to be a nuisance, and no more
/// handshakes than a machine of few cores makes beside the load that is measured.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest handshake that is waited for.
const DIAL_MAX: Duration = Duration::from_secs(10);

/// A hostile gateway: its certificate, and a stream that it may open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Culprit {
    pub(crate) identity: PathBuf,
    pub(crate) key: StreamKey,
}

/// A hostile group.
#[derive(Clone, Debug)]
pub(crate) struct Attack {
    pub(crate) node: SocketAddr,
    pub(crate) server_name: String,
    pub(crate) behaviour: Behaviour,
    pub(crate) culprits: Vec<Culprit>,
    /// Of each culprit, at once.
    pub(crate) connections: usize,
}

impl Attack {
    /// Attacks from when everybody is `ready` until `over` is true. One socket for the group: what
    /// is to be worn out is the node.
    ///
    /// # Errors
    /// [`DialError`] before anything is sent; what the node does is in the report.
    pub(crate) async fn run(
        self,
        ready: &Barrier,
        over: watch::Receiver<bool>,
    ) -> Result<HostileReport, DialError> {
        let tally = Arc::new(Tally::default());
        let mut presses = Vec::new();
        for (number, culprit) in self.culprits.iter().enumerate() {
            let dial = self.dial(culprit)?;
            for connection in 0..self.connections {
                let seed = (number * self.connections + connection) as u64;
                let (key, tally) = (culprit.key.clone(), Arc::clone(&tally));
                presses.push(Press { dial: dial.clone(), key, tally, seed });
            }
        }
        ready.wait().await;
        let mut tasks = JoinSet::new();
        for press in presses {
            tasks.spawn(press.run(self.behaviour, over.clone()));
        }
        while tasks.join_next().await.is_some() {}
        let connections = self.connections * self.culprits.len();
        Ok(tally.report(self.behaviour, connections))
    }

    fn dial(&self, culprit: &Culprit) -> Result<Dial, DialError> {
        let mut settings = dial::settings(&culprit.identity)?;
        if self.behaviour == Behaviour::SlowReader {
            settings.transport_config(Arc::new(peer::narrow()));
        }
        let endpoint = dial::endpoint(self.node)?;
        let (node, server_name) = (self.node, self.server_name.clone());
        Ok(Dial { endpoint, settings, node, server_name })
    }
}

/// One connection that is made again whenever the node ends it.
struct Press {
    dial: Dial,
    key: StreamKey,
    tally: Arc<Tally>,
    seed: u64,
}

impl Press {
    async fn run(self, behaviour: Behaviour, mut over: watch::Receiver<bool>) {
        let mut attempt = 0u64;
        loop {
            let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(attempt);
            attempt += 1;
            tokio::select! {
                biased;
                _ = over.wait_for(|over| *over) => return,
                () = self.attempt(behaviour, seed) => {}
            }
            tokio::select! {
                biased;
                _ = over.wait_for(|over| *over) => return,
                () = sleep(PAUSE) => {}
            }
        }
    }

    /// One connection, until the node ends it.
    async fn attempt(&self, behaviour: Behaviour, seed: u64) {
        self.tally.dialled();
        let connection = match timeout(DIAL_MAX, self.dial.connect()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(_)) | Err(_) => return self.tally.failed(),
        };
        let open = self.tally.opened(connection.clone());
        let peer = Peer::new(connection.clone(), self.key.clone(), Arc::clone(&self.tally));
        tokio::select! {
            _ = connection.closed() => {}
            () = act(behaviour, peer, seed) => {}
        }
        open.ended(&connection.closed().await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_behaviour_is_read_by_the_name_that_it_is_reported_by() {
        for behaviour in Behaviour::ALL {
            let written = serde_json::to_string(&behaviour).unwrap();
            assert_eq!(written, format!("\"{}\"", behaviour.name()));
            assert_eq!(serde_json::from_str::<Behaviour>(&written).unwrap(), behaviour);
        }
    }
}
