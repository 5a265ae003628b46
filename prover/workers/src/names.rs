//! What things are called on the server. All of it begins with the name of the workers' key, so
//! that nodes with one key share their workers, and others do not meet.

use jobs::WorkersKey;

/// The names that belong to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The stream of jobs.
    pub stream: String,
    /// The subject of its messages.
    pub jobs: String,
    /// The bucket of jobs that are larger than a message.
    pub bucket: String,
    key: String,
}

impl Names {
    /// The durable consumer that all workers share.
    pub const CONSUMER: &'static str = "workers";

    /// Those of a key.
    pub fn of(key: &WorkersKey) -> Names {
        let key = key.short_name();
        Names {
            stream: format!("vitals-jobs-{key}"),
            jobs: format!("vitals.{key}.jobs"),
            bucket: format!("vitals-inputs-{key}"),
            key,
        }
    }

    /// Where a node listens.
    pub fn node(&self, reply_to: [u8; 16]) -> String {
        format!("vitals.{}.node.{}", self.key, hex::encode(reply_to))
    }
}
