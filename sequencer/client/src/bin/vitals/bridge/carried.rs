//! Frames of before a crash, which nobody waits for: they go on by themselves, so that they stand
//! in nobody's way, and their message is known when it is sent again.

use std::sync::Arc;
use std::time::Duration;

use bridge::Cause;
use client::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use wire::StreamKey;

use super::Delivery;
use super::standing::Standing;
use super::streams::Unopened;

/// Streams of them that stand at once, below those that may: messages that come find room.
const CARRIED_MAX: usize = 256;
/// How long one waits that finds no room.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Delivery {
    /// Sends what waits in the folder over a connection that is new. What the node refuses of it is
    /// given up and told: a message of it is decided anew when it is sent again.
    pub(super) fn carry_on(self: &Arc<Self>, connection: &Connection) {
        let (delivery, connection) = (self.clone(), connection.clone());
        let waiting = self.streams.waiting();
        tokio::spawn(async move {
            let places = Arc::new(Semaphore::new(CARRIED_MAX));
            for key in waiting {
                // Nobody closes it.
                let Ok(place) = places.clone().acquire_owned().await else { return };
                match delivery.begin_carrying(&connection, &key).await {
                    Some(standing) => delivery.carry_with(standing, Some(place)),
                    None => continue,
                }
            }
        });
    }

    async fn begin_carrying(
        &self,
        connection: &Connection,
        key: &StreamKey,
    ) -> Option<Arc<Standing>> {
        loop {
            match self.streams.find_or_begin(connection, key).await {
                Ok(standing) | Err(Unopened::Before(standing)) => return Some(standing),
                Err(Unopened::Cause(Cause::Busy)) if connection.end_reason().is_none() => {
                    sleep(AGAIN_AFTER).await;
                }
                // Another patient's stream stands, so that none of this one waits any more; or what
                // is wrong was said.
                Err(_) => return None,
            }
        }
    }

    /// Waits until all that stands in a stream has receipts, or notes why it will not.
    pub(super) fn carry(self: &Arc<Self>, standing: Arc<Standing>) {
        self.carry_with(standing, None);
    }

    fn carry_with(self: &Arc<Self>, standing: Arc<Standing>, place: Option<OwnedSemaphorePermit>) {
        // One task a stream, however often messages of it fail while the node is away.
        let Some(carried) = standing.try_carry() else { return };
        let delivery = self.clone();
        tokio::spawn(async move {
            let _held = (carried, place);
            if let Err(error) = standing.wait(standing.last_placed()).await {
                delivery.note(&standing, &error).await;
            }
        });
    }
}
