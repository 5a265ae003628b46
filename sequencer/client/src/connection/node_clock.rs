//! What the node's clock shows, as it said it in its last welcome.

use std::time::Instant;

use model::Millis;

/// When it was said, and what. It goes on with what passes here, whatever this side's clock shows.
#[derive(Default)]
pub(super) struct NodeClock(Option<Said>);

struct Said {
    at: Instant,
    time: Millis,
}

impl NodeClock {
    /// Takes note of what a welcome says.
    pub(super) fn note(&mut self, time: Millis, at: Instant) {
        self.0 = Some(Said { at, time });
    }

    /// What it shows now, less what the welcome was under way. `None` before the first.
    pub(super) fn now(&self, now: Instant) -> Option<Millis> {
        let said = self.0.as_ref()?;
        let passed = now.saturating_duration_since(said.at).as_millis();
        Some(said.time.plus(u64::try_from(passed).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_goes_on_from_the_last_welcome() {
        let (mut clock, begin) = (NodeClock::default(), Instant::now());
        assert_eq!(clock.now(begin), None);
        let time = Millis::new(1_777_000_000_000).unwrap();
        clock.note(Millis::default(), begin);
        clock.note(time, begin);
        let later = begin + Duration::from_secs(7);
        assert_eq!(clock.now(later), Some(time.plus(7000)));
    }
}
