//! What a journal alone says of a patient: not the view key, nor the record's salt.

use client::{Key, KeyKind, Wallet};
use model::{BatchNumber, PatientIndex, Word};
use sequencer::node::recover::recover;
use sequencer::stages::ledger::{EnrolmentSeal, LedgerConfig};

use crate::support::{Site, operation_item, registrar};

const PATIENTS: u32 = 5;

fn patient(number: u32) -> (PatientIndex, Key) {
    let index = PatientIndex::new(100 + number).unwrap();
    (index, Key::from_secret(KeyKind::Patient, [0x40 + number as u8; 32]))
}

/// Whether the bytes hold the word, in either order.
fn holds(bytes: &[u8], word: Word) -> bool {
    let mut wanted = word.to_bytes();
    let found = |wanted: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
    let as_written = found(&wanted);
    wanted.reverse();
    as_written || found(&wanted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_alone_holds_no_view_key_and_with_its_key_all_of_them() {
    let site = Site::new().await;
    let mut desk = site.desk();
    for number in 0..PATIENTS {
        let (index, key) = patient(number);
        let wallet = Wallet::new(site.deployment.scope(), index);
        let operation = wallet.enrolment(&key, site.clock.now(), 600_000);
        desk.submit(operation_item(&site.sign(operation, &registrar())));
    }
    drop(desk);

    let bytes = std::fs::read(site.journal_file()).unwrap();
    for number in 0..PATIENTS {
        let (_, key) = patient(number);
        assert!(!holds(&bytes, key.view_key()), "the view key of patient {number}");
        assert!(!holds(&bytes, key.record_salt()), "the salt of patient {number}");
    }

    // With the key the state is what it was: every record is there with its view key.
    let (log, _) = site.open_log();
    let state = recover(&log, site.ledger_config(), BatchNumber(0)).unwrap().ledger;
    for number in 0..PATIENTS {
        let (index, key) = patient(number);
        let record = state.consent().record(index).expect("enrolled");
        assert_eq!((record.view_key, record.salt), (key.view_key(), key.record_salt()));
    }

    // With another key nothing is taken for a record, and the file is named.
    let seal = EnrolmentSeal::new(&[1; 32]);
    let other = recover(&log, LedgerConfig { seal, ..site.ledger_config() }, BatchNumber(0));
    let Err(error) = other else { panic!("expected another key to be refused") };
    assert!(error.to_string().contains("keys/journal.key"), "{error}");
}
