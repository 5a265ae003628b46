//! Takes over a changed configuration and a new server certificate while the node runs.
//!
//! All or nothing: what cannot be accepted is refused before anything changes, and what held goes
//! on to hold. A connection that is open keeps the certificate that it was opened with.

use model::Clock as _;

use super::error::NodeError;
use super::settle_limits::SettleLimits;
use super::upkeep::Around;
use crate::doors::config::Config;
use crate::folder::authority::ServerTls;
use crate::folder::layout::Layout;
use crate::folder::validity;
use crate::setting::Applies;
use crate::stages::ingest::{IngestServer, OperationDoor};

/// What became of a configuration that was read again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Keys whose new value holds from now on.
    pub taken: Vec<&'static str>,
    /// Keys whose new value holds from the next start on, or in what a command makes.
    pub needs_restart: Vec<&'static str>,
}

/// What it reaches of a running node.
pub(super) struct Reach<'a> {
    pub(super) layout: &'a Layout,
    pub(super) around: &'a Around,
    pub(super) settle: &'a SettleLimits,
    pub(super) ingest: &'a IngestServer,
    pub(super) operations: &'a OperationDoor,
    /// What holds.
    pub(super) running: &'a mut Config,
}

impl Reach<'_> {
    /// Takes over what of `config` is live, and the files of the server's certificate.
    ///
    /// # Errors
    /// [`NodeError`] that names the value or file; then nothing changed.
    pub(super) fn take_over(self, config: &Config) -> Result<Reloaded, NodeError> {
        config.check()?;
        let (server, now) = (self.layout.server(), self.around.clock.now());
        // As at the start: better here than at every client.
        let remedy = "move server/ away, run `sequencer init`, and send SIGHUP again";
        validity::check(&server.join("cert.pem"), now, remedy)?;
        // The one step that may still fail, and so the first.
        self.ingest.replace_certificate(ServerTls::load(&server)?)?;
        // Taken over, they fill every bucket: no gift for whoever has just emptied one.
        if self.running.ingest.rates != config.ingest.rates {
            self.ingest.set_rates(&config.ingest.rates);
            self.operations.set_rates(&config.ingest.rates);
        }
        self.around.reserve.set_reserve_bytes(config.journal.reserve_bytes);
        self.settle.set(&config.settle);
        Ok(copy_live(self.running, config))
    }
}

/// Copies live values into the configuration that runs; says what else differs from it.
fn copy_live(running: &mut Config, config: &Config) -> Reloaded {
    let before = serde_json::to_value(&*running).expect("a configuration is plain data");
    let after = serde_json::to_value(config).expect("a configuration is plain data");
    let mut reloaded = Reloaded::default();
    for row in Config::settings() {
        let pointer = format!("/{}", row.path.replace('.', "/"));
        let [old, new] = [&before, &after].map(|value| value.pointer(&pointer).cloned());
        // An address is written without its secrets, and may differ in nothing else.
        let is_other_chain = row.path == "chain.rpc" && running.chain.rpc != config.chain.rpc;
        if old == new && !is_other_chain {
            continue;
        }
        match row.applies {
            Applies::Live => reloaded.taken.push(row.path),
            // A command reads it each time.
            Applies::Issue => {}
            Applies::Restart | Applies::Init | Applies::Deploy => {
                reloaded.needs_restart.push(row.path);
            }
        }
    }
    running.ingest.rates = config.ingest.rates.clone();
    running.journal.reserve_bytes = config.journal.reserve_bytes;
    running.settle = config.settle.clone();
    running.log.level = config.log.level.clone();
    reloaded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::Allowed;

    /// The default with another accepted value under this key.
    fn changed(path: &str, allowed: Allowed) -> Config {
        let mut config = serde_json::to_value(Config::default()).unwrap();
        let value = config.pointer_mut(&format!("/{}", path.replace('.', "/"))).unwrap();
        *value = match allowed {
            Allowed::Range { least, .. } if value.as_u64() != Some(least) => least.into(),
            Allowed::Range { least, .. } => (least + 1).into(),
            Allowed::Words(_) => "debug".into(),
        };
        serde_json::from_value(config).unwrap()
    }

    #[test]
    fn what_the_page_calls_live_is_taken_over_and_nothing_else() {
        let live = |row: &crate::setting::Setting| row.applies == Applies::Live;
        let rows: Vec<_> = Config::settings().into_iter().filter(live).collect();
        assert!(rows.len() > 8, "{}", rows.len());
        for row in rows {
            let config = changed(row.path, row.allowed);
            let mut running = Config::default();
            let reloaded = copy_live(&mut running, &config);
            assert_eq!(reloaded.taken, [row.path]);
            assert_eq!(running, config, "{} is copied", row.path);
        }
        let config = changed("batch.close_after_ms", Allowed::Range { least: 100, most: 200 });
        let mut running = Config::default();
        for _ in 0..2 {
            // Named each time, for as long as it is so.
            let reloaded = copy_live(&mut running, &config);
            assert_eq!(reloaded.needs_restart, ["batch.close_after_ms"]);
            assert!(reloaded.taken.is_empty());
        }
        assert_eq!(running, Config::default());
    }

    #[test]
    fn an_address_that_differs_in_its_secret_alone_is_another_one() {
        let chain = |key: &str| {
            let mut config = Config::default();
            config.chain.rpc = Some(format!("http://127.0.0.1:8545/{key}").parse().unwrap());
            config
        };
        let reloaded = copy_live(&mut chain("one"), &chain("two"));
        assert_eq!(reloaded.needs_restart, ["chain.rpc"]);
    }
}
