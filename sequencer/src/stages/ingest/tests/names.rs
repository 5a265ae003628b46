//! Questions about names: who gets an answer, of whom, and how often.

use std::sync::{Arc, Mutex};

use model::{DeviceId, ManualClock, OrganisationId, PractitionerId, RejectCode};
use wire::limits::NAMES_ASKED_MAX;
use wire::{
    ClientEvent, ClientMessage, HEADER_BYTES, Lane, NamesQuestion, RegistryKey, Role, ServerMessage,
};

use super::raw_welcomed;
use super::support::{Client, Node, device, doctor, hospital, now};
use crate::stages::ingest::{IngestConfig, Observe, Observed};

/// What was counted, in order.
#[derive(Default)]
struct Counted(Mutex<Vec<Observed>>);

impl Observe for Counted {
    fn observe(&self, what: Observed) {
        self.0.lock().unwrap().push(what);
    }
}

fn practitioner(name: &str) -> RegistryKey {
    RegistryKey::Practitioner(PractitionerId::new(name).unwrap())
}

async fn ask(client: &mut Client, names: &[RegistryKey]) -> Result<Vec<bool>, RejectCode> {
    let question = NamesQuestion::new(names.to_vec()).unwrap();
    let asked = client.session.ask_names(question).unwrap();
    client
        .until(|event| match event {
            ClientEvent::NamesAnswered(answer) if answer.request == asked => {
                Some(Ok(answer.known.clone()))
            }
            ClientEvent::RequestRejected { request, code } if *request == asked => Some(Err(*code)),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn a_wallet_hears_of_each_exact_name_whether_it_is_registered_now() {
    let counted = Arc::new(Counted::default());
    let node = Node::start_with(IngestConfig::default(), counted.clone()).await;
    let mut wallet = node.client(Role::Wallet, "patient-app").await.welcomed().await;
    let head = node.journal.head();
    let names = [
        RegistryKey::Practitioner(doctor()),
        practitioner("d"),
        RegistryKey::Organisation(hospital()),
        RegistryKey::Device(device()),
    ];
    assert_eq!(ask(&mut wallet, &names).await, Ok(vec![true, false, true, true]));
    // A name is one of its kind, as the words of rules are.
    let name = hospital();
    let name = name.as_str();
    let others = [
        practitioner(name),
        RegistryKey::Device(DeviceId::new(name).unwrap()),
        RegistryKey::Organisation(OrganisationId::new(doctor().as_str()).unwrap()),
    ];
    assert_eq!(ask(&mut wallet, &others).await, Ok(vec![false; 3]));
    assert_eq!(node.journal.head(), head, "a question leaves nothing");
    let counted = counted.0.lock().unwrap();
    let known = |known| counted.iter().filter(|one| **one == Observed::NameAsked { known }).count();
    assert_eq!((known(true), known(false)), (3, 4));
}

#[tokio::test]
async fn who_was_revoked_is_not_known_and_an_operator_may_ask_too() {
    let node = Node::start().await;
    let mut operator = node.client(Role::Operator, "admissions").await.welcomed().await;
    let name = RegistryKey::Practitioner(doctor());
    assert_eq!(ask(&mut operator, std::slice::from_ref(&name)).await, Ok(vec![true]));
    node.end(name.clone()).await;
    assert_eq!(ask(&mut operator, &[name]).await, Ok(vec![false]));
}

#[tokio::test]
async fn gateways_and_practitioners_learn_nothing() {
    let node = Node::start().await;
    let mut gateway = node.gateway().await.welcomed().await;
    let mut other = node.client(Role::Practitioner, "dr-2").await.welcomed().await;
    for name in [RegistryKey::Practitioner(doctor()), practitioner("nobody")] {
        let asked = std::slice::from_ref(&name);
        assert_eq!(ask(&mut gateway, asked).await, Err(RejectCode::Identity));
        assert_eq!(ask(&mut other, asked).await, Err(RejectCode::Identity));
    }
}

#[tokio::test]
async fn names_beyond_the_rate_are_busy_over_all_connections_of_a_certificate() {
    let clock = ManualClock::fixed(now());
    let node = Node::start_at(IngestConfig::default(), Arc::new(()), clock).await;
    let issued = node.registered(Role::Wallet, "patient-app").await;
    let connect = || Client::connect(&node, &issued, Role::Wallet, "patient-app");
    let mut first = connect().await.welcomed().await;
    let mut second = connect().await.welcomed().await;
    // Guess after guess, as many as a question holds: no time passes on this clock.
    let guesses: Vec<_> = (0..NAMES_ASKED_MAX).map(|n| practitioner(&format!("dr-{n}"))).collect();
    for _ in 0..60 / NAMES_ASKED_MAX {
        assert_eq!(ask(&mut first, &guesses).await, Ok(vec![false; NAMES_ASKED_MAX]));
    }
    for client in [&mut first, &mut second] {
        // A name that there is as well: an answer of another kind would be an answer.
        for asked in [&guesses[..1], &[RegistryKey::Practitioner(doctor())]] {
            assert_eq!(ask(client, asked).await, Err(RejectCode::Busy));
        }
    }
    let mut other = node.client(Role::Wallet, "clinic-app").await.welcomed().await;
    let name = RegistryKey::Practitioner(doctor());
    assert_eq!(ask(&mut other, &[name]).await, Ok(vec![true]), "another certificate has its own");
}

#[tokio::test]
async fn a_malformed_question_closes_its_session_alone() {
    let node = Node::start().await;
    let mut wallet = node.client(Role::Wallet, "patient-app").await.welcomed().await;
    let (mut raw, _) = raw_welcomed(&node).await;
    let question = NamesQuestion::new(vec![practitioner("dr")]).unwrap();
    let request = wire::RequestId(1);
    let mut bytes = ClientMessage::Names { request, question }.encode().to_vec();
    // A kind that no rule names: a gateway.
    bytes[HEADER_BYTES + 9] = 3;
    raw.send(Lane::Control, &bytes).await;
    assert_eq!(raw.next().await, ServerMessage::Closing { code: RejectCode::Malformed });
    let name = RegistryKey::Practitioner(doctor());
    assert_eq!(ask(&mut wallet, &[name]).await, Ok(vec![true]));
}
