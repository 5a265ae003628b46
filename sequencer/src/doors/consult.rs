//! Who may ask whether consent would allow something, and how often: systems with a bearer token
//! of the hospital's own SMART server, each for one registered organisation.
//!
//! A token says who asks. What is answered, the rules say (`statement::c2`), on the writer's
//! thread, behind the entry that keeps that it was asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::http::HeaderMap;
use files::Audience;
use model::{
    Categories, Claim, Clock, Digest, Interval, Millis, OrganisationId, Party, PatientIndex,
    Position, RuleSlot, Uncovered, Word,
};
use pcf::Consult;
use thiserror::Error;
use tokens::{Context, Needed, Verb};

use super::config::DecisionsSection;
use super::per_minute::PerMinute;
use super::token_issuer::TokenIssuer;
use crate::clock::NodeClock;
use crate::stages::ingest::{Admit, AdmitError};
use crate::stages::ledger::{Answer, Item, Query, Refusal};

/// What a token has to grant: to look up consents, as a system.
pub(super) const NEEDED: Needed =
    Needed { context: Context::System, resource: "Consent", verb: Verb::Read };

/// Largest file of names.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// How long an answer waits until its entry is durable.
const DURABLE_WAIT: Duration = Duration::from_secs(15);

/// The section cannot be used.
#[derive(Debug, Error)]
pub enum ConsultSetupError {
    /// A file cannot be read.
    #[error("{path} cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The names are none.
    #[error("the names cannot be used")]
    Names(#[from] pcf::NamesError),
    /// A value is missing or malformed.
    #[error("expected {expected}, found something else")]
    Value {
        /// What was expected.
        expected: &'static str,
    },
}

/// Why a question has no answer.
#[derive(Debug, Error)]
pub(super) enum NotAnswered {
    #[error("expected a token that is good, found another")]
    Token(#[from] tokens::TokenError),
    #[error("expected a system that the configuration names, found another")]
    System,
    #[error("expected fewer questions a minute")]
    TooOften,
    #[error("the question is malformed")]
    Malformed(#[from] pcf::ConsultError),
    #[error("expected a patient's index below 2^24, found another")]
    Patient,
    #[error("refused")]
    Refused(Refusal),
    #[error("not taken")]
    Admit(#[from] AdmitError),
    #[error("not durable in time")]
    Late,
    #[error("the node takes no questions now")]
    Closed,
}

/// What was decided, and where that stands in the journal.
pub(super) struct Decided {
    pub(super) decision: Result<RuleSlot, Uncovered>,
    pub(super) position: Position,
}

/// Where questions find the writer: nowhere before the journal is absorbed, nor while the node
/// stops.
#[derive(Clone, Default)]
pub struct ConsultPlace(Arc<RwLock<Option<Admit>>>);

impl ConsultPlace {
    /// From now on questions are taken.
    pub fn open(&self, admit: Admit) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(admit);
    }

    /// From now on none is.
    pub fn close(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn admit(&self) -> Option<Admit> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Who may ask.
pub struct ConsultDoor {
    issuer: Arc<TokenIssuer>,
    names: pcf::Names,
    /// Registered organisations by the `sub` of their systems' tokens.
    systems: BTreeMap<String, OrganisationId>,
    /// Only systems that are configured are counted.
    asked: PerMinute,
    clock: Arc<NodeClock>,
    place: ConsultPlace,
}

impl ConsultDoor {
    /// As the configuration says; `None` where no system may ask.
    ///
    /// # Errors
    /// [`ConsultSetupError`].
    pub fn read(
        section: &DecisionsSection,
        issuer: Option<Arc<TokenIssuer>>,
        clock: Arc<NodeClock>,
        place: ConsultPlace,
    ) -> Result<Option<ConsultDoor>, ConsultSetupError> {
        if section.systems.is_empty() {
            return Ok(None);
        }
        let wrong = |expected| ConsultSetupError::Value { expected };
        let issuer = issuer.ok_or(wrong("keys of a token issuer beside the systems"))?;
        let names = match &section.names_file {
            None => pcf::Names::default(),
            Some(path) => {
                let text = String::from_utf8(read_file(path)?);
                pcf::Names::parse(&text.map_err(|_| wrong("names as text"))?)?
            }
        };
        let systems = section.systems.iter().map(|text| {
            let (subject, organisation) = text.rsplit_once('=')?;
            Some((subject.to_owned(), OrganisationId::new(organisation).ok()?))
        });
        let systems = systems.collect::<Option<BTreeMap<_, _>>>();
        // Of a subject that is named twice one organisation would be lost unseen.
        let systems = systems.filter(|found| found.len() == section.systems.len());
        Ok(Some(ConsultDoor {
            issuer,
            names,
            systems: systems.ok_or(wrong("systems as SUBJECT=ORGANISATION, each subject once"))?,
            asked: PerMinute::new(section.per_minute),
            clock,
            place,
        }))
    }

    /// For whom the token of a request asks, once more this minute.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<OrganisationId, NotAnswered> {
        let now = self.clock.now();
        let bearer = self.issuer.bearer(headers, now)?;
        bearer.require(NEEDED)?;
        let organisation = self.systems.get(&bearer.subject).ok_or(NotAnswered::System)?;
        match self.asked.admit(&bearer.subject, now) {
            true => Ok(organisation.clone()),
            false => Err(NotAnswered::TooOften),
        }
    }

    /// Reads the question, has it decided and journaled, and waits until that is durable.
    pub(super) async fn ask(
        &self,
        organisation: OrganisationId,
        bytes: &[u8],
    ) -> Result<Decided, NotAnswered> {
        let consult = pcf::consult(bytes, &self.names)?;
        let claim = claim(&consult, bytes, self.clock.now())?;
        let admit = self.place.admit().ok_or(NotAnswered::Closed)?;
        let query = Item::Query(Box::new(Query { organisation, claim }));
        let answer = tokio::time::timeout(DURABLE_WAIT, admit.submit(query)).await;
        match answer.map_err(|_| NotAnswered::Late)?? {
            Answer::QueryDecided { decision, position, .. } => Ok(Decided { decision, position }),
            Answer::Refused(refusal) => Err(NotAnswered::Refused(refusal)),
            // The writer answers what it was asked.
            _ => Err(NotAnswered::Closed),
        }
    }
}

/// The claim that what is asked about would be; the writer says when and where.
fn claim(consult: &Consult, bytes: &[u8], now: Millis) -> Result<Claim, NotAnswered> {
    let word = |party: &Option<pcf::Party>| party.as_ref().map_or(Word::NOBODY, pcf::Party::word);
    let Consult { purpose, kind, labels, .. } = *consult;
    let categories: Categories = consult.categories;
    let hash = blake3::derive_key("vitals consent query v1", bytes);
    let mut digest = [0; 31];
    digest.copy_from_slice(&hash[..31]);
    Ok(Claim {
        patient: PatientIndex::new(consult.patient).map_err(|_| NotAnswered::Patient)?,
        kind,
        individual: word(&consult.individual),
        organisation: word(&consult.organisation),
        care_team: Word::ZERO,
        source: Party::Any,
        categories,
        purpose,
        labels,
        receipt: Interval::instant(now),
        measured: consult.measured.unwrap_or(Interval::instant(now)),
        position: Position(0),
        digest: Digest(digest),
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, ConsultSetupError> {
    let file = |source| ConsultSetupError::File { path: path.into(), source };
    // Names that say nothing about a patient's health.
    files::read(path, FILE_BYTES_MAX, Audience::Public).map_err(file)
}

#[cfg(test)]
mod tests {
    use model::ManualClock;
    use statement::scope::{self, ActorKind};

    use super::*;
    use crate::clock::ClockConfig;
    use crate::doors::token_issuer::tests::{BEGIN, SmartServer};

    /// A SMART server, and a node that knows its key.
    struct Case {
        server: SmartServer,
        clock: Arc<ManualClock>,
    }

    impl Case {
        fn new() -> Case {
            let clock = Arc::new(ManualClock::fixed(Millis::from_block_timestamp(BEGIN)));
            Case { server: SmartServer::new(), clock }
        }

        fn section() -> DecisionsSection {
            let systems = vec!["ehr=st-anne".into()];
            DecisionsSection { systems, per_minute: 2, ..DecisionsSection::default() }
        }

        fn read(
            &self,
            section: &DecisionsSection,
            issuer: Option<TokenIssuer>,
        ) -> Result<Option<ConsultDoor>, ConsultSetupError> {
            let clock: Arc<dyn Clock> = self.clock.clone();
            let clock = Arc::new(NodeClock::start(clock, ClockConfig::default()));
            ConsultDoor::read(section, issuer.map(Arc::new), clock, ConsultPlace::default())
        }

        fn door(&self) -> ConsultDoor {
            let door = self.read(&Case::section(), Some(self.server.issuer()));
            door.unwrap().expect("a system is named")
        }
    }

    #[test]
    fn a_system_that_is_named_asks_so_often_a_minute_and_nobody_else_at_all() {
        let case = Case::new();
        let door = case.door();
        let good = case.server.headers("ehr", "system/Consent.r");
        for _ in 0..2 {
            assert_eq!(door.admit(&good).unwrap().as_str(), "st-anne");
        }
        assert!(matches!(door.admit(&good), Err(NotAnswered::TooOften)));
        case.clock.advance(60_000);
        assert!(door.admit(&good).is_ok(), "another minute");
        let stranger = case.server.headers("somebody", "system/Consent.r");
        assert!(matches!(door.admit(&stranger), Err(NotAnswered::System)));
        let other = case.server.headers("ehr", "system/Observation.c user/Consent.r");
        assert!(matches!(door.admit(&other), Err(NotAnswered::Token(_))));
        let forged = SmartServer::new().headers("ehr", "system/Consent.r");
        assert!(matches!(door.admit(&forged), Err(NotAnswered::Token(_))));
    }

    #[test]
    fn without_systems_nobody_asks_and_what_is_missing_beside_them_is_named() {
        let case = Case::new();
        let issuer = || Some(case.server.issuer());
        assert!(case.read(&DecisionsSection::default(), issuer()).unwrap().is_none());
        let refused = |section: &DecisionsSection, issuer| {
            case.read(section, issuer).err().expect("refused").to_string()
        };
        let without = refused(&Case::section(), None);
        assert!(without.contains("keys of a token issuer"), "{without}");
        for systems in [vec!["ehr"], vec!["ehr=st-anne", "ehr=other"], vec!["ehr=st anne"]] {
            let systems = systems.into_iter().map(str::to_owned).collect();
            let why = refused(&DecisionsSection { systems, ..Case::section() }, issuer());
            assert!(why.contains("systems as"), "{why}");
        }
    }

    #[tokio::test]
    async fn before_the_node_takes_questions_there_is_no_answer() {
        let case = Case::new();
        let door = case.door();
        let asked = door.ask(OrganisationId::new("st-anne").unwrap(), QUESTION).await;
        assert!(matches!(asked, Err(NotAnswered::Closed)));
        let malformed = door.ask(OrganisationId::new("st-anne").unwrap(), b"{}").await;
        assert!(matches!(malformed, Err(NotAnswered::Malformed(_))));
    }

    const QUESTION: &[u8] = br#"{"hook": "patient-consent-consult", "context": {
        "patientId": [{"system": "urn:vitals-rollup:patient", "value": "7"}],
        "actor": [{"system": "urn:vitals-rollup:practitioner", "value": "dr-001"},
                  {"system": "urn:vitals-rollup:organisation", "value": "st-anne"}],
        "purposeOfUse": "TREAT",
        "category": [{"system": "urn:vitals-rollup:consent:category", "code": "ecg"}]}}"#;

    #[test]
    fn a_question_becomes_the_claim_that_it_would_be() {
        let consult = pcf::consult(QUESTION, &pcf::Names::default()).unwrap();
        let now = Millis::from_block_timestamp(BEGIN);
        let asked = claim(&consult, QUESTION, now).unwrap();
        assert_eq!(asked.individual, scope::actor(ActorKind::Practitioner, "dr-001"));
        assert_eq!(asked.organisation, scope::actor(ActorKind::Organisation, "st-anne"));
        assert_eq!(asked.source, Party::Any);
        let anybody = Consult { individual: None, ..consult.clone() };
        assert_eq!(claim(&anybody, QUESTION, now).unwrap().individual, Word::NOBODY);
        assert_eq!(asked.measured, Interval::instant(now));
        let other = claim(&consult, b"other bytes", now).unwrap();
        assert_ne!(asked.digest, other.digest);
        let far = Consult { patient: 1 << 24, ..consult };
        assert!(matches!(claim(&far, QUESTION, now), Err(NotAnswered::Patient)));
    }
}
