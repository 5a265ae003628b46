//! Limits and waits of the settler, which change while it runs.

use tokio::sync::watch;

use super::setup::Reach;
use crate::doors::config::EMBEDDED_POLL_MS;
use crate::stages::settle::SettleConfig;

/// What the settler goes by, as it fits the chain of this node.
pub(super) struct SettleLimits {
    fit: fn(&SettleConfig) -> SettleConfig,
    now: watch::Sender<SettleConfig>,
}

impl SettleLimits {
    /// Those of the configuration that the node starts with.
    pub(super) fn new(reach: &Reach, config: &SettleConfig) -> SettleLimits {
        let fit = match reach {
            Reach::Embedded(_) => fit_embedded,
            Reach::Url(_) => SettleConfig::clone,
        };
        SettleLimits { fit, now: watch::Sender::new(fit(config)) }
    }

    /// Replaces them. A settler that waits goes on at once, unless nothing changes.
    pub(super) fn set(&self, config: &SettleConfig) {
        let config = (self.fit)(config);
        self.now.send_if_modified(|now| {
            let changes = *now != config;
            *now = config;
            changes
        });
    }

    /// Those that hold, and all that will.
    pub(super) fn follow(&self) -> watch::Receiver<SettleConfig> {
        self.now.subscribe()
    }
}

/// One node, which is never behind itself: what it says is so.
fn fit_embedded(config: &SettleConfig) -> SettleConfig {
    SettleConfig { poll_ms: EMBEDDED_POLL_MS, doubt_ms: 0, ..config.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_wakes_who_follows() {
        let reach = Reach::Url("http://127.0.0.1:8545".parse().unwrap());
        let config = SettleConfig::default();
        let limits = SettleLimits::new(&reach, &config);
        let mut followed = limits.follow();
        limits.set(&config);
        assert!(!followed.has_changed().unwrap());
        let dearer = SettleConfig { fee_wei_max: config.fee_wei_max * 2, ..config };
        limits.set(&dearer);
        assert!(followed.has_changed().unwrap());
        assert_eq!(*followed.borrow_and_update(), dearer);
    }
}
