//! Where jobs are carried to, read from the words of `[prover]`.

use jobs::WorkersKey;
use thiserror::Error;
use workers::ServerAddress;

use super::sections::ProverSection;

/// The queue of workers elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// Its server.
    pub address: ServerAddress,
    /// To which jobs are sealed.
    pub key: WorkersKey,
}

/// A word that names no queue.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected {key} to be {expected}, found {found}")]
pub struct ElsewhereError {
    /// Section and key.
    pub key: &'static str,
    /// What is allowed.
    pub expected: &'static str,
    /// What is there.
    pub found: String,
}

impl ProverSection {
    /// The queue; none if this node proves alone.
    ///
    /// # Errors
    /// [`ElsewhereError`] for an address or key that is none.
    pub fn elsewhere(&self) -> Result<Option<Elsewhere>, ElsewhereError> {
        if self.jobs == "local" {
            return Ok(None);
        }
        let address = self.jobs.parse::<ServerAddress>().map_err(|_| ElsewhereError {
            key: "prover.jobs",
            expected: "`local`, nats://HOST:PORT or tls://HOST:PORT with neither user nor path",
            // Not shown: it may hold a password that belongs elsewhere.
            found: "something else".into(),
        })?;
        let key = self.workers_key.parse::<WorkersKey>().map_err(|_| ElsewhereError {
            key: "prover.workers_key",
            expected: "the workers' public key, 64 hexadecimal digits (`prover worker key`)",
            found: format!("{:?}", self.workers_key),
        })?;
        Ok(Some(Elsewhere { address, key }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(jobs: &str, key: &str) -> ProverSection {
        ProverSection { jobs: jobs.into(), workers_key: key.into(), ..ProverSection::default() }
    }

    #[test]
    fn a_node_proves_alone_unless_server_and_key_are_named() {
        assert_eq!(ProverSection::default().elsewhere().unwrap(), None);
        let key = jobs::WorkersSecret::draw().public();
        let both = section("nats://127.0.0.1:4222", &key.to_string());
        assert_eq!(both.elsewhere().unwrap().map(|queue| queue.key), Some(key));
        let secret = "nats://node:word@host:4222";
        for (jobs, key, named) in [
            ("nats://127.0.0.1:4222", "", "prover.workers_key"),
            ("nats://127.0.0.1:4222", &"0".repeat(64), "prover.workers_key"),
            ("remote", &key.to_string(), "prover.jobs"),
            (secret, &key.to_string(), "prover.jobs"),
        ] {
            let refused = section(jobs, key).elsewhere().unwrap_err();
            assert_eq!(refused.key, named, "{refused}");
            assert!(!refused.to_string().contains("word@"), "{refused}");
        }
    }
}
