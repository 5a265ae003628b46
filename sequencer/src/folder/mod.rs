//! The node's folder on disk: where what stands, secrets, certificates, batches and outbox.

pub mod archive_mark;
pub mod authority;
pub mod backup;
pub mod believed;
pub mod body_keys;
pub mod checked;
pub mod erasure_requests;
pub mod layout;
pub mod old_journal;
pub mod operator_log;
pub mod parts;
pub mod paused;
pub mod request;
pub mod secrets;
pub mod snapshots;
pub mod store;
pub mod subscriptions;
pub mod validity;
pub mod who;
pub mod witness;
