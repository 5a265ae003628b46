//! What a configuration is held against at a start and whenever it is read again: the command line
//! and the machine.

use anyhow::Context as _;
use l1_contracts::HttpUrl;
use sequencer::doors::config::Config;
use sequencer::doors::memory::Memory;

use super::outcome::{Outcome, usage};

/// The address of `--rpc`, or the configured one. Read here and not by clap, which would quote one
/// that does not parse, with the secrets in it.
pub(super) fn rpc(given: Option<String>, configured: Option<HttpUrl>) -> Outcome<Option<HttpUrl>> {
    let Some(text) = given else { return Ok(configured) };
    let url = text.parse::<HttpUrl>().context("reading --rpc").map_err(usage)?;
    Ok(Some(url))
}

/// Refuses limits that may take more than the machine has, or says so loudly.
pub(super) fn check_memory(config: &Config) -> Outcome {
    match Memory::of(config).check() {
        Err(error) if config.memory.over == "refuse" => Err(usage(error)),
        Err(error) => {
            tracing::warn!(%error, "the limits may take more memory than there is");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
