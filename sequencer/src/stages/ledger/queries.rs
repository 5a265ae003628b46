//! Questions of systems whether consent would allow something: answered by the rules, journaled,
//! and shown to the patient. Nothing is read, so nothing is claimed, counted or proven.
//!
//! A question is an entry although it changes nothing: what is asked about somebody is theirs to
//! know, and an answer that left no trace would be a look into their record.

use model::{Millis, Position, RejectCode};
use statement::batch::{RefusedAccess, Requester};
use statement::{c2, scope};
use wire::{Decision, Entry, QueryEntry, RegistryKey};

use super::absorb::Ledger;
use super::answer::Answer;
use super::query::Query;
use super::refuse::Ground;
use super::verdict::{At, Verdict};

impl Ledger {
    /// Decided as a request to read is: by the record as it is, at the earliest and at the latest
    /// that it may be.
    pub(super) fn decide_query(&self, query: &Query, at: At) -> Result<Verdict<'static>, Ground> {
        let is_registered = |time| self.registry.organisation(&query.organisation, time).is_some();
        if !is_registered(at.now) || !is_registered(at.latest) {
            let key = RegistryKey::Organisation(query.organisation.clone());
            return Err(Ground::NotRegistered(key));
        }
        let claim = query.at(at.position, at.now);
        if let Some(own) = self.registry.organisation_of(claim.individual, at.now)
            && scope::organisation(own) != claim.organisation
        {
            // A request of theirs names their own, so of another one no answer would be true.
            let expected = "expected the own organisation of whom it asks about";
            return Err(Ground::Request { code: RejectCode::Malformed, expected });
        }
        let record = self.consent.record(claim.patient);
        let late = query.at(at.position, at.latest);
        let covered =
            c2::covers(record, &claim).and_then(|slot| c2::covers(record, &late).map(|_| slot));
        let decision = match covered {
            Ok(slot) => Decision::Permitted { slot },
            Err(uncovered) => Decision::Refused { uncovered },
        };
        let organisation = query.organisation.clone();
        let entry = Box::new(Entry::Query(QueryEntry { organisation, claim, answer: decision }));
        let answer =
            Answer::QueryDecided { position: at.position, time: at.now, decision: covered };
        Ok(Verdict::Append { entry, time: at.now, answer })
    }

    /// The patient is told; where nobody is enrolled there is nobody to tell.
    pub(super) fn absorb_query(&mut self, query: &QueryEntry, position: Position, time: Millis) {
        let QueryEntry { organisation, claim, answer } = query;
        if self.consent.record(claim.patient).is_none() {
            return;
        }
        let uncovered = match answer {
            Decision::Permitted { .. } => None,
            Decision::Refused { uncovered } => Some(*uncovered),
        };
        let (organisation, digest) = (organisation.clone(), claim.digest);
        let requester = Requester::System { organisation, claim: Box::new(claim.clone()) };
        let asked = RefusedAccess { position, time, digest, requester, uncovered, count: 1 };
        self.window.take_refused(claim.patient, asked);
    }
}
