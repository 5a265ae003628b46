//! What was done so far, and what is said of what goes wrong. Nothing of what was posted stands
//! here.

use std::sync::{Mutex, PoisonError};

use fhir::{Response, SCOPE_CATEGORY, Severity, Turned};

use crate::bridge::Telling;

/// What was done so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) connections: u64,
    /// Without TLS, or without a certificate that is asked for.
    pub(crate) refused_connections: u64,
    pub(crate) requests: u64,
    /// Requests that were turned away as a whole: by a token, a path, a limit.
    pub(crate) turned_away: u64,
    /// Observations that are stored, those included that were so before.
    pub(crate) accepted: u64,
    /// Of these, the ones that were taken before.
    pub(crate) taken_before: u64,
    /// To be sent again, or refused by consent.
    pub(crate) errors: u64,
    pub(crate) rejected: u64,
    /// Readings in accepted Observations.
    pub(crate) readings: u64,
    /// Observations and components of which nothing is stored, and which are not refused for it.
    pub(crate) left_out: u64,
}

/// Counts, and says each kind of fault once a minute.
#[derive(Default)]
pub(crate) struct Tally {
    counts: Mutex<Counts>,
    telling: Telling,
}

impl Tally {
    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn connected(&self) {
        self.count(|counts| counts.connections += 1);
    }

    /// A connection that came to no request.
    pub(crate) fn refused_connection(&self, why: &std::io::Error) {
        self.count(|counts| counts.refused_connections += 1);
        self.telling.say("connection", &format!("a connection is refused: {why}"));
    }

    pub(crate) fn asked(&self) {
        self.count(|counts| counts.requests += 1);
    }

    pub(crate) fn turned(&self, turned: Turned) {
        self.count(|counts| counts.turned_away += 1);
        self.telling.say(turned.code(), &format!("turned away ({}): {turned}", turned.code()));
    }

    /// Readings of an Observation that is stored.
    pub(crate) fn stored(&self, readings: u64) {
        self.count(|counts| counts.readings += readings);
    }

    /// What so many Observations were answered with.
    pub(crate) fn answered(&self, response: &Response, observations: u64) {
        let is_taken = response.status < 300 && response.location.is_some();
        // A scope is no consent, which may come back.
        let of_scope = response.told.iter().any(|told| told.code == SCOPE_CATEGORY);
        let is_again = matches!(response.status, 403 | 503) && !of_scope;
        let warned = response.told.iter().filter(|told| told.severity == Severity::Warning);
        self.count(|counts| {
            counts.left_out += warned.count() as u64;
            if is_taken {
                counts.accepted += observations;
                counts.taken_before += u64::from(response.status == 200) * observations;
            } else if is_again {
                counts.errors += observations;
            } else if response.status >= 300 {
                counts.rejected += observations;
            }
        });
        for told in &response.told {
            let what = match told.severity {
                Severity::Error => "not taken",
                Severity::Warning => "left out",
                Severity::Information => continue,
            };
            let place = told.expression.as_deref().unwrap_or("the request");
            let line = format!("{what} ({}): {place}: {}", told.code, told.text);
            self.telling.say(&told.code, &line);
        }
    }

    /// What was done, in words.
    pub(crate) fn sentence(&self) -> String {
        let Counts { requests, turned_away, accepted, taken_before, errors, .. } = self.counts();
        let Counts { rejected, left_out, .. } = self.counts();
        format!(
            "{requests} requests, {turned_away} turned away; Observations: {accepted} stored \
             ({taken_before} of them before), {errors} to be sent again or refused by consent, \
             {rejected} rejected; {left_out} values left out"
        )
    }
}
