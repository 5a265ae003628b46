//! From a request to its answer: what is posted is read, mapped, sent, and answered when it is
//! durable.

use std::time::Duration;

use bridge::{Cause, Map};
use fhir::request::Head;
use fhir::{
    Asked, Bundle, BundleType, Condition, Defaults, Entry, Fault, Grant, Identifier, Instance,
    Interaction, Issue, Mapped, Observation, Response, Told, Turned, bundle_response,
    capability_statement, map_observation,
};
use model::{Millis, RejectCode};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::answer::Answer;
use super::door::Door;
use super::store::{Kept, Names, Posted, Store};
use super::tally::Tally;

/// Requests that are worked on at once; each holds its body and what was mapped of it, some 16 MiB
/// at most.
pub(crate) const WORK_MAX: usize = 16;
/// How long a request waits for one of these places.
const WORK_WAIT: Duration = Duration::from_secs(10);
/// When what is served here changed last.
const DATE: &str = "2026-11-30";

/// All that answers.
pub(crate) struct Desk<S> {
    pub(crate) map: Map,
    pub(crate) defaults: Defaults,
    pub(crate) door: Door,
    pub(crate) store: S,
    /// The address that others post to, as `http://127.0.0.1:8090/fhir`.
    pub(crate) base: String,
    pub(crate) work: Semaphore,
    pub(crate) tally: Tally,
}

/// A request that was let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Admitted {
    interaction: Interaction,
    /// What it may create.
    grant: Grant,
    /// `Prefer: return=minimal`.
    is_minimal: bool,
}

impl<S: Store> Desk<S> {
    /// Looks at a head before its body is read: who is not let in sends none.
    pub(crate) fn admit(&self, head: &Head, now: Millis) -> Result<Admitted, Turned> {
        let asked = Asked {
            method: &head.method,
            target: &head.target,
            content_type: head.content_type.as_deref(),
            accept: head.accept.as_deref(),
        };
        let interaction = Interaction::of(asked)?;
        // A page whose name leads to this machine may post here; a program says no origin.
        if matches!(self.door, Door::Open) && head.origin.is_some() {
            return Err(Turned::Browser);
        }
        let grant = self.door.admit(interaction, head.authorization.as_deref(), now)?;
        let preferences = head.prefer.as_deref().unwrap_or_default().split([',', ';']);
        let is_minimal = preferences.map(str::trim).any(|one| one == "return=minimal");
        Ok(Admitted { interaction, grant, is_minimal })
    }

    /// Answers.
    pub(crate) async fn answer(&self, admitted: Admitted, head: &Head, body: &[u8]) -> Answer {
        if admitted.interaction == Interaction::Capabilities {
            return Answer::of(200, self.capabilities());
        }
        let Ok(Ok(_place)) = timeout(WORK_WAIT, self.work.acquire()).await else {
            let busy = Turned::Busy { max: WORK_MAX };
            self.tally.turned(busy);
            return busy.into();
        };
        match admitted.interaction {
            Interaction::Bundle => self.answer_bundle(admitted.grant, body).await,
            _ => {
                let condition = head.if_none_exist.as_deref();
                let response = self.take_one(admitted.grant, condition, body).await;
                self.tally.answered(&response, 1);
                Answer::created(response, admitted.is_minimal)
            }
        }
    }

    fn capabilities(&self) -> serde_json::Value {
        capability_statement(Instance {
            base: &self.base,
            version: env!("CARGO_PKG_VERSION"),
            date: DATE,
            is_open: matches!(self.door, Door::Open),
        })
    }

    async fn take_one(&self, grant: Grant, condition: Option<&str>, body: &[u8]) -> Response {
        let prepared = (|| {
            let observation = Observation::parse(body)?;
            let read = |text| Condition::read("If-None-Exist", text);
            let condition = condition.map(read).transpose()?;
            self.prepare(grant, &observation, condition.as_ref())
        })();
        let (prepared, posted) = match prepared {
            Err(issue) => return refused(&issue),
            // A create that creates nothing is none.
            Ok((prepared, None)) => {
                let mut response = refused(&prepared.issue(Cause::Nothing));
                response.told.extend(prepared.left_out);
                return response;
            }
            Ok((prepared, Some(posted))) => (prepared, posted),
        };
        let mut kept = self.store.keep_each(vec![posted]).await;
        self.respond(&prepared, kept.pop().unwrap_or(Err(Cause::Away)))
    }

    async fn answer_bundle(&self, grant: Grant, body: &[u8]) -> Answer {
        let bundle = match Bundle::parse(body) {
            Ok(bundle) => bundle,
            Err(issue) => {
                let refused = refused(&issue);
                // As one: how many it has is not known.
                self.tally.answered(&refused, 1);
                return Answer::created(refused, false);
            }
        };
        // Every entry is read and mapped before one is sent.
        let of = |entry: &Result<Entry, Issue>| match entry {
            Ok(entry) => self.prepare(grant, &entry.observation, entry.condition.as_ref()),
            Err(issue) => Err(issue.clone()),
        };
        let prepared: Vec<_> = bundle.entries.iter().map(of).collect();
        let answered = match bundle.bundle_type {
            BundleType::Batch => Ok(self.keep_batch(&prepared).await),
            BundleType::Transaction => self.keep_transaction(&prepared).await,
        };
        match answered {
            Ok(responses) => {
                responses.iter().for_each(|response| self.tally.answered(response, 1));
                Answer::of(200, bundle_response(bundle.bundle_type, &responses))
            }
            Err(refused) => {
                self.tally.answered(&refused, prepared.len() as u64);
                Answer::created(refused, false)
            }
        }
    }

    async fn keep_batch(&self, prepared: &[Result<Entered, Issue>]) -> Vec<Response> {
        let sent = prepared.iter().flatten().filter_map(|(_, posted)| posted.clone()).collect();
        let mut kept = self.store.keep_each(sent).await.into_iter();
        let mut respond = |one: &Result<Entered, Issue>| match one {
            Err(issue) => refused(issue),
            Ok((prepared, None)) => prepared.left_out_response(),
            Ok((prepared, Some(_))) => {
                self.respond(prepared, kept.next().unwrap_or(Err(Cause::Away)))
            }
        };
        prepared.iter().map(&mut respond).collect()
    }

    /// All entries at once: the first that is not taken answers for all.
    async fn keep_transaction(
        &self,
        prepared: &[Result<Entered, Issue>],
    ) -> Result<Vec<Response>, Response> {
        let with_others = |issue: &Issue| {
            let mut response = refused(issue);
            let expression = "Bundle.entry".to_owned();
            // Consent is asked of each frame: the node has those that it did not refuse.
            let fault = match issue.fault {
                Fault::Map(Cause::Node(RejectCode::NotPermitted)) => Fault::InPart,
                _ => Fault::WithOthers,
            };
            response.told.push(Told::from(&Issue { expression, fault }));
            response
        };
        if let Some(Err(issue)) = prepared.iter().find(|one| one.is_err()) {
            return Err(with_others(issue));
        }
        let sent: Vec<_> = prepared.iter().flatten().filter_map(|(_, one)| one.clone()).collect();
        let kept = match sent.is_empty() {
            true => Ok(Vec::new()),
            false => self.store.keep_all(sent).await,
        };
        let of_all = |cause| Issue { expression: "Bundle".to_owned(), fault: Fault::Map(cause) };
        let mut kept = kept.map_err(|cause| with_others(&of_all(cause)))?.into_iter();
        let mut respond = |(prepared, posted): &Entered| match posted {
            None => prepared.left_out_response(),
            Some(_) => self.respond(prepared, kept.next().ok_or(Cause::Away)),
        };
        Ok(prepared.iter().flatten().map(&mut respond).collect())
    }

    /// What of an Observation is sent: nothing, if the map leaves all of it out.
    fn prepare(
        &self,
        grant: Grant,
        observation: &Observation,
        condition: Option<&Condition>,
    ) -> Result<Entered, Issue> {
        // Before the map is asked: what it knows is not told to whom this is not granted.
        grant.check(observation)?;
        let Mapped { measurements, left_out } =
            map_observation(observation, &self.map, &self.defaults)?;
        let names = names_of(observation, condition)?;
        let posted = (!measurements.is_empty()).then(|| Posted::new(&names, measurements));
        let prepared = Prepared {
            expression: observation.expression.clone(),
            left_out: left_out.iter().map(Told::left_out).collect(),
            readings: posted.iter().map(|posted| posted.measurements.len() as u64).sum(),
        };
        Ok((prepared, posted))
    }

    fn respond(&self, prepared: &Prepared, kept: Result<Kept, Cause>) -> Response {
        let kept = match kept {
            Ok(kept) => kept,
            Err(cause) => return refused(&prepared.issue(cause)),
        };
        self.tally.stored(prepared.readings);
        let mut told = vec![Told::receipt(&kept.receipt)];
        if kept.is_known {
            told.push(Told::known());
        }
        told.extend(prepared.left_out.iter().cloned());
        let status = if kept.is_known { 200 } else { 201 };
        let location = format!("{}/Observation/{}", self.base, resource_id(&kept));
        Response { status, location: Some(location), told }
    }
}

/// An Observation, and what of it is sent: nothing, if the map leaves all of it out.
type Entered = (Prepared, Option<Posted>);

/// What is answered for an Observation, as far as it is known before it is sent.
struct Prepared {
    expression: String,
    left_out: Vec<Told>,
    readings: u64,
}

impl Prepared {
    fn left_out_response(&self) -> Response {
        Response { status: 200, location: None, told: self.left_out.clone() }
    }

    fn issue(&self, cause: Cause) -> Issue {
        Issue { expression: self.expression.clone(), fault: Fault::Map(cause) }
    }
}

/// Of its receipt and what it is stored under, so that the same has the same id when it is posted
/// again, and nothing else has it. Nobody finds a name by it who does not have the receipt.
fn resource_id(kept: &Kept) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(kept.receipt.as_bytes()).update(&kept.id);
    hex::encode(&hasher.finalize().as_bytes()[..16])
}

fn refused(issue: &Issue) -> Response {
    Response { status: issue.fault.status(), location: None, told: vec![Told::from(issue)] }
}

/// What names an Observation: its own is the identifier that its condition asks for, else its
/// first one. A condition on another identifier could never be found to hold later.
fn names_of(observation: &Observation, condition: Option<&Condition>) -> Result<Names, Issue> {
    let mut all: Vec<_> = Vec::with_capacity(observation.identifiers.len());
    for name in observation.identifiers.iter().map(|one| digest(one, observation)) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    let Some(condition) = condition else {
        return Ok(Names { own: all.first().copied(), all });
    };
    if observation.identifiers.contains(&condition.identifier) {
        return Ok(Names { own: Some(digest(&condition.identifier, observation)), all });
    }
    let expression = format!("{}.identifier", observation.expression);
    Err(Issue { expression, fault: Fault::Condition })
}

/// An identifier without a system is one of its subject's: nobody says that it is one for all.
fn digest(identifier: &Identifier, observation: &Observation) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("vitals 2026-11 identifier of an Observation");
    let mut add = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    add(&identifier.value);
    match &identifier.system {
        Some(system) => add(system),
        None => {
            add("");
            let subject = &observation.subject;
            add(subject.reference.as_deref().unwrap_or_default());
            for name in &subject.identifiers {
                add(name.system.as_deref().unwrap_or_default());
                add(&name.value);
            }
        }
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
pub(crate) mod tests;
