//! Accesses over QUIC, of a node that runs: to more frames than one answer holds, and more of them
//! than one slot does.

use std::collections::BTreeSet;

use client::{Connection, ConnectionConfig, Deployment, Identity, Key, KeyKind, RequestError};
use model::{
    Action, BatchNumber, Category, ClaimKind, Interval, Labels, OrganisationId, Party,
    PractitionerId, Purpose, RejectCode, Rule, RuleSlot,
};
use sequencer::folder::authority::{Authority, ClientDeployment};
use sequencer::node::{Node, setup};
use sequencer::stages::ledger::Item;
use statement::batch::PublicFile;
use statement::{eddsa, field, scope};
use wire::{
    AccessKind, AccessRequest, Page, Reason, RegistryChange, RegistryRecord, Released, Role,
    SignedAccessRequest, Source,
};

use crate::support::{Site, check_settled, close_and_settle, operation_item, stream_key};

/// Frames that one answer holds.
const ANSWER_FRAMES: usize = 2;

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
async fn permit(site: &mut Site, node: &Node) {
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
async fn connect(site: &Site, node: &Node) -> Connection {
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
    let identity = Identity::load(&folder).unwrap();
    let deployment = Deployment::load(&folder).unwrap();
    let config = ConnectionConfig::new(address, "localhost", identity, deployment);
    Connection::connect(config).await.unwrap()
}

/// The doctor's request for everything of the patient.
fn request(site: &Site, nonce: u64, kind: AccessKind) -> SignedAccessRequest {
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
async fn read_pages(connection: &Connection, signed: &SignedAccessRequest) -> Vec<Vec<Released>> {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_over_several_answers_arrives_whole_and_is_one_claim() {
    let mut site = Site::new().await;
    site.config.ingest.released_frames_max = ANSWER_FRAMES;
    let (node, edge) = site.start().await;
    permit(&mut site, &node).await;
    for sequence in 1..=5 {
        node.submit(site.frame(sequence)).await.unwrap();
    }
    let connection = connect(&site, &node).await;
    let reason = |text| Reason::new(text).unwrap();
    let ordinary = request(&site, 1, AccessKind::Access { reason: reason("") });
    let emergency = AccessKind::BreakGlass { reason: reason("unconscious on arrival") };
    let emergency = request(&site, 2, emergency);
    let mut first = None;
    for signed in [&ordinary, &emergency] {
        let pages = read_pages(&connection, signed).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
        let frames = pages.iter().flatten().map(|one| one.frame.sequence().0);
        assert_eq!(frames.collect::<Vec<_>>(), [1, 2, 3, 4, 5], "each once, in order");
        first = pages[0].last().map(|one| one.position);
    }

    // Behind the close both are settled, and a page that was read before is read no more.
    let batch = close_and_settle(&node).await;
    let page = Page::FIRST.behind(first.expect("a page"));
    for signed in [ordinary, emergency] {
        let refused = connection.read_on(signed, page).await;
        let validity =
            matches!(refused, Err(RequestError::Rejected { code: RejectCode::Validity }));
        assert!(validity, "{refused:?}");
    }
    check_settled(&edge, node.store(), batch).await;
    let settled = edge.settled_batches().await.unwrap();
    let counts = settled.iter().map(|one| (one.header.access, one.header.break_glass));
    assert_eq!(counts.collect::<Vec<_>>(), [(1, 1)]);
    connection.close().await;
    node.stop().await.unwrap();
}

/// Has the doctor read `nonces` times, and settles the window.
async fn read_and_settle(
    site: &Site,
    node: &Node,
    connection: &Connection,
    nonces: std::ops::Range<u64>,
) -> BatchNumber {
    for nonce in nonces {
        let kind = AccessKind::Access { reason: Reason::new("").unwrap() };
        let answered = connection.access(request(site, nonce, kind), Page::FIRST).await.unwrap();
        assert!(answered.permitted);
    }
    BatchNumber(close_and_settle(node).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_settles_in_chunks_of_two_shapes_where_these_leave_less_empty() {
    let mut site = Site::new().await;
    let (node, edge) = site.start().await;
    permit(&mut site, &node).await;
    let connection = connect(&site, &node).await;
    // A collection and some accesses, all of one patient: two claims in a slot of four, then five
    // in one of one and one of four.
    for (sequence, nonces, leaves, padding) in [(1, 1..2, &[5][..], 0.5), (2, 2..6, &[2, 5], 0.0)] {
        node.submit(site.frame(sequence)).await.unwrap();
        let batch = read_and_settle(&site, &node, &connection, nonces).await;
        let bytes = node.store().public_bytes(batch).unwrap().expect("a stored batch");
        let file = PublicFile::from_bytes(&bytes).unwrap();
        let found: Vec<_> = file.claims.iter().map(|chunk| chunk.leaves.len()).collect();
        assert_eq!(found, leaves);
        let keys: BTreeSet<_> = file.claims.iter().map(|chunk| chunk.key_id).collect();
        assert_eq!(keys.len(), leaves.len(), "a key for each shape");
        assert_eq!(node.watched().metrics().prove_padding_ratio.get(), padding);
    }
    check_settled(&edge, node.store(), 2).await;
    connection.close().await;
    node.stop().await.unwrap();
}
