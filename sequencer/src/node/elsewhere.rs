//! Starts the carrier of jobs to workers elsewhere, if the configuration names a queue.

use std::convert::Infallible;
use std::time::Duration;

use workers::{Login, Server};

use super::common::Common;
use super::core::Core;
use super::error::NodeError;
use super::open::Opened;
use crate::doors::config::{ConfigError, ProverSection};
use crate::guard::{GuardedTask, Stage};
use crate::stages::prove::elsewhere::{Carrier, CarrierConfig};

/// The carrier, connected in the background: a server that is away keeps no node down. None if this
/// node proves alone.
pub(super) async fn start(
    opened: &Opened,
    core: &Core,
    common: &Common,
) -> Result<Option<GuardedTask>, NodeError> {
    let Some(config) = read(&opened.config.prover)? else { return Ok(None) };
    let jobs = core.proving.planner().service.clone();
    let carrier = Carrier::connect(config, jobs, common.watched.metrics().clone()).await?;
    let work = async move {
        carrier.run().await;
        Ok::<_, Infallible>(())
    };
    Ok(Some(common.guard.task(Stage::Proving, work)))
}

fn read(config: &ProverSection) -> Result<Option<CarrierConfig>, NodeError> {
    let queue = config.elsewhere().map_err(ConfigError::from)?;
    let Some(queue) = queue else { return Ok(None) };
    let login = config.jobs_login.as_deref().map(Login::read).transpose()?;
    let server = Server { address: queue.address, login, authority: config.jobs_authority.clone() };
    let (at_once, lasts) = (config.jobs_at_once, Duration::from_millis(config.jobs_lease_ms));
    Ok(Some(CarrierConfig { server, key: queue.key, at_once, lasts }))
}
