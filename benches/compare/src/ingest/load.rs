//! Load on a server that is spoken to from this process: as many messages in flight as allowed.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::runtime::Runtime;

use crate::usage::measured;

use super::program::Program;
use super::store::{Loaded, Order};

/// A server and the thread that speaks to it.
pub(super) struct Client<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) server: &'a Program,
    /// Messages that are sent at once, and acknowledged at once.
    pub(super) batch: usize,
}

/// One thread, as a gateway has it.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("a runtime")
}

/// Sends for the time of the order. `send` sends a batch and is done when all of it is
/// acknowledged; as many of these run as the order allows messages in flight.
pub(super) fn drive<S, F>(client: &Client<'_>, order: &Order, mut send: S) -> anyhow::Result<Loaded>
where
    S: FnMut() -> F,
    F: Future<Output = anyhow::Result<()>>,
{
    let Client { runtime, server, batch } = *client;
    let before = server.cpu()?;
    let begun = Instant::now();
    let (sent, spent) = measured(|| {
        runtime.block_on(async {
            let mut waits = Vec::new();
            let timed = |future: F| {
                let at = Instant::now();
                async move { future.await.map(|()| at.elapsed()) }
            };
            let mut running = FuturesUnordered::new();
            for _ in 0..(order.in_flight / batch).max(1) {
                running.push(timed(send()));
            }
            while let Some(waited) = running.next().await {
                waits.push(waited?);
                if begun.elapsed() < order.time {
                    running.push(timed(send()));
                }
            }
            anyhow::Ok(waits)
        })
    });
    let mut waits = sent?;
    waits.sort();
    Ok(Loaded {
        readings: (waits.len() * batch * order.payload.readings) as u64,
        seconds: spent.wall.as_secs_f64(),
        server_cpu: server.cpu()?.saturating_sub(before),
        client_cpu: spent.cpu,
        p50_ms: quantile_ms(&waits, 0.5),
        p99_ms: quantile_ms(&waits, 0.99),
    })
}

/// Of sorted waits; messages that were sent at once waited alike.
fn quantile_ms(sorted: &[Duration], part: f64) -> f64 {
    let at = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len().max(1));
    sorted.get(at - 1).map_or(0.0, |wait| wait.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_wait_that_was_seen() {
        let waits: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(quantile_ms(&waits, 0.5), 100.0);
        assert_eq!(quantile_ms(&waits, 0.99), 198.0);
        assert_eq!(quantile_ms(&waits[..1], 0.99), 1.0);
        assert_eq!(quantile_ms(&[], 0.5), 0.0);
    }
}
