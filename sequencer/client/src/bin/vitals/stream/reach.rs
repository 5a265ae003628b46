//! Until the node answers.

use std::pin::pin;
use std::time::{Duration, Instant};

use client::{Connection, ConnectionConfig, ConnectionError};
use model::with_causes;
use tokio::time::sleep;

use super::progress::Progress;
use crate::node::Node;
use crate::report::UnknownHost;

/// How long the first attempt is silent.
const QUIET_FOR: Duration = Duration::from_secs(2);
/// How often it is told that the node is still away, if nothing else about it changes.
const REPEAT: Duration = Duration::from_secs(60);

/// Connects, again and again while what keeps the node away may pass, for as long as `wait`.
///
/// # Errors
/// What cannot pass at once, such as a certificate; what kept the node away last in the end.
pub(super) async fn reach(
    node: &Node,
    config: ConnectionConfig,
    wait: Duration,
    progress: &Progress,
) -> anyhow::Result<Connection> {
    let (began, waits) = (Instant::now(), config.waits);
    let (mut pause, mut told) = (waits.retry_first, None);
    let mut is_first = true;
    loop {
        let mut attempt = pin!(attempt(node, &config));
        let quiet = sleep(QUIET_FOR);
        let attempted = tokio::select! {
            attempted = &mut attempt => attempted,
            () = quiet, if std::mem::take(&mut is_first) => {
                progress.say("the node does not answer yet, and is waited for (--wait)");
                attempt.await
            }
        };
        let failed = match attempted {
            Ok(connection) => return Ok(connection),
            Err(failed) => failed,
        };
        let left = wait.saturating_sub(began.elapsed());
        if !is_away(&failed) || left.is_zero() {
            return Err(failed);
        }
        let why = with_causes(failed.as_ref());
        let is_news = |(what, at): &(String, Instant)| *what != why || at.elapsed() >= REPEAT;
        if told.as_ref().is_none_or(is_news) {
            let left = left.as_secs();
            progress.say(&format!(
                "the node is not there yet, and is waited for (--wait, {left} s more): {why}"
            ));
            told = Some((why, Instant::now()));
        }
        sleep(pause.min(left)).await;
        pause = (pause * 2).min(waits.retry_most);
    }
}

/// One attempt. Its name is looked up anew: where it leads may change until the node is there.
async fn attempt(node: &Node, config: &ConnectionConfig) -> anyhow::Result<Connection> {
    let address = node.address().await?;
    Ok(Connection::connect(ConnectionConfig { address, ..config.clone() }).await?)
}

/// Whether the node may be there later without anybody changing anything here.
pub(super) fn is_away(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<UnknownHost>()
            || cause.downcast_ref::<ConnectionError>().is_some_and(|error| match error {
                ConnectionError::GaveUp { .. } => true,
                error => error.is_passing(),
            })
            || matches!(cause.downcast_ref(), Some(client::StreamError::Postponed { .. }))
    })
}
