//! Takes over a changed configuration, a new server certificate and other keys of the token issuer
//! while the node runs.
//!
//! All or nothing: what cannot be accepted is refused before anything changes, and what held goes
//! on to hold. A connection that is open keeps the certificate that it was opened with.

use model::Clock as _;

use super::error::NodeError;
use super::tuning::{Reloaded, Tuning};
use crate::clock::NodeClock;
use crate::doors::config::Config;
use crate::doors::token_issuer::TokenIssuer;
use crate::folder::authority::ServerTls;
use crate::folder::layout::Layout;
use crate::folder::operator_log::{Line, OperatorLog};
use crate::folder::validity;
use crate::stages::ingest::IngestServer;

/// What it reaches of a running node.
pub(super) struct Reach<'a> {
    pub(super) layout: &'a Layout,
    pub(super) clock: &'a NodeClock,
    pub(super) ingest: &'a IngestServer,
    pub(super) tuning: &'a Tuning,
    pub(super) issuer: Option<&'a TokenIssuer>,
}

impl Reach<'_> {
    /// Takes over what of `config` is live, the files of the server's certificate, and the keys of
    /// the token issuer.
    ///
    /// # Errors
    /// [`NodeError`] that names the value or file; then nothing changed.
    pub(super) fn take_over(self, config: &Config) -> Result<Reloaded, NodeError> {
        config.check()?;
        let _alone = self.tuning.alone();
        self.tuning.check(config)?;
        let (server, now) = (self.layout.server(), self.clock.now());
        // As at the start: better here than at every client.
        let remedy = "move server/ away, run `sequencer init`, and send SIGHUP again";
        validity::check(&server.join("cert.pem"), now, remedy)?;
        let keys = self.issuer.map(TokenIssuer::read_again).transpose()?;
        // Before anything else changes: the files may be no pair.
        self.ingest.replace_certificate(ServerTls::load(&server)?)?;
        let before = self.tuning.running();
        let reloaded = self.tuning.take_over(config)?;
        if let (Some(issuer), Some(keys)) = (self.issuer, keys) {
            issuer.replace_keys(keys);
        }
        self.write_down(&before, config, &reloaded);
        Ok(reloaded)
    }

    /// A line for each key whose value is another one, as for what is set by hand; by whom is not
    /// known, because a signal has no sender. It holds also where no line can be written: whoever
    /// changed the file is not there to be refused.
    fn write_down(&self, before: &Config, after: &Config, reloaded: &Reloaded) {
        let keys = reloaded.taken.iter().chain(&reloaded.next_window);
        let line = |key: &&str| {
            let line = Line::new(self.clock.now(), "reload", None);
            line.of_key(key, before.shown(key), after.shown(key))
        };
        let lines: Vec<Line> = keys.map(line).collect();
        if lines.is_empty() {
            return;
        }
        if let Err(error) = OperatorLog::new(&self.layout.operator_log()).write(&lines) {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "what was read again holds and is not written down");
        }
    }
}
