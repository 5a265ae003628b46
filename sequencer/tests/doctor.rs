//! A doctor who may read what a patient's monitor sends, and asks for it over QUIC.

use client::{Connection, ConnectionConfig, Deployment, Identity, Key, KeyKind};
use model::{
    Action, Category, ClaimKind, Interval, Labels, OrganisationId, Party, PractitionerId, Purpose,
    Rule, RuleSlot,
};
use sequencer::folder::authority::{Authority, ClientDeployment};
use sequencer::node::{Node, setup};
use sequencer::stages::ledger::Item;
use statement::{eddsa, field, scope};
use wire::{
    AccessKind, AccessRequest, Page, RegistryChange, RegistryRecord, Released, Role,
    SignedAccessRequest, Source,
};

use super::support::{Site, operation_item, stream_key};

fn doctor() -> PractitionerId {
    PractitionerId::new("dr").unwrap()
}

fn doctor_key() -> Key {
    Key::from_secret(KeyKind::Practitioner, [3; 32])
}

fn hospital() -> OrganisationId {
    OrganisationId::new("hospital").unwrap()
}

/// Lets the doctor read, and break the glass.
pub(crate) async fn permit(site: &mut Site, node: &Node) {
    let kinds =
        [(RuleSlot::Permit(1), ClaimKind::Access), (RuleSlot::Policy(0), ClaimKind::BreakGlass)];
    for (slot, kind) in kinds {
        let named = Party::Named(scope::practitioner(&doctor()));
        let signed = site.change(Action::Write { slot, rule: Rule::widest(named, kind.only()) });
        let answer = node.submit(operation_item(&signed)).await.unwrap();
        site.apply(&signed, &answer);
    }
}

/// Registers the doctor and connects.
pub(crate) async fn connect(site: &Site, node: &Node) -> Connection {
    let authority = Authority::load(&site.layout.authority()).unwrap();
    let valid = setup::certificates_valid(site.clock.now());
    let id = doctor();
    let issued = authority.issue_client(Role::Practitioner, id.as_str(), valid).unwrap();
    let (public_key, fingerprint) = (doctor_key().public().encode(), issued.fingerprint());
    let organisation = hospital();
    let record = RegistryRecord::Practitioner { id, organisation, public_key, fingerprint, valid };
    node.submit(Item::Registry(RegistryChange::Add(record))).await.unwrap();
    let (address, folder) = (node.endpoints().ingest, site.beside("doctor"));
    let names = &site.config.ingest.server_names;
    let deployment = ClientDeployment::of_node(&site.deployment, address, names).unwrap();
    issued.write_client(&folder, &deployment).unwrap();
    reconnect(site, node).await
}

/// Connects once more.
pub(crate) async fn reconnect(site: &Site, node: &Node) -> Connection {
    let folder = site.beside("doctor");
    let identity = Identity::load(&folder).unwrap();
    let deployment = Deployment::load(&folder).unwrap();
    let address = node.endpoints().ingest;
    let config = ConnectionConfig::new(address, "localhost", identity, deployment);
    Connection::connect(config).await.unwrap()
}

/// The doctor's request for everything of the patient.
pub(crate) fn request(site: &Site, nonce: u64, kind: AccessKind) -> SignedAccessRequest {
    let now = site.clock.now();
    let request = AccessRequest {
        scope: site.deployment.scope(),
        patient: stream_key().patient,
        practitioner: doctor(),
        organisation: hospital(),
        care_team: None,
        source: Source::Any,
        categories: Category::Ecg.only(),
        purpose: Purpose::EmergencyTreatment,
        labels: Labels::ALL,
        data: Interval::ALWAYS,
        requested_at: now,
        valid_until: now.plus(600_000),
        nonce,
        kind,
    };
    let message = request.signing_hash().unwrap().word();
    let signature = eddsa::sign(&doctor_key().signer(), field::from_word(&message)).encode();
    SignedAccessRequest::new(request, doctor_key().public().encode(), signature).unwrap()
}

/// Every page, from the first to the one that says that there are no more.
pub(crate) async fn read_pages(
    connection: &Connection,
    signed: &SignedAccessRequest,
) -> Vec<Vec<Released>> {
    let first = connection.access(signed.clone(), Page::FIRST).await.unwrap();
    assert!(first.permitted);
    let (mut pages, mut more) = (vec![first.released], first.more);
    while more {
        let last = pages.last().and_then(|page| page.last()).expect("more, behind a frame");
        let page = Page::FIRST.behind(last.position);
        let next = connection.read_on(signed.clone(), page).await.unwrap();
        pages.push(next.released);
        more = next.more;
    }
    pages
}
