//! One public file against its header, and the deployment file against the chain: what holds. What
//! does not stands in the table of `tampers`.

use auditor::Item;
use auditor::check;
use model::limits;

use crate::world::{Forge, Prove, World, deployment, item};

#[test]
fn sound_batches_hold_and_the_proofs_are_counted() {
    let world = World::sound();
    let proofs: Vec<u64> = (0..3)
        .map(|at| {
            let bytes = world.built[at].file.to_bytes();
            world.check_as_patient(at, &bytes).expect("the patient agrees");
            world.check(at, &bytes).expect("sound").proofs
        })
        .collect();
    assert_eq!(proofs, [5, 1, 0]);
}

#[test]
fn a_file_beyond_the_limit_is_refused_by_its_size() {
    let world = World::sound();
    let bytes = vec![0; limits::BATCH_FILE_BYTES_MAX + 1];
    assert_eq!(world.broken_item(0, &bytes), Item::File("size"));
}

#[test]
fn the_private_file_is_known_from_outside() {
    let world = World::sound();
    let built = &world.built[0];
    let header = &built.file.header;
    assert_eq!(check::private_file(header, &built.private), Ok(()));
    let longer = [&built.private[..], &[0]].concat();
    assert_eq!(item(check::private_file(header, &longer)), Item::PrivateFile("length"));
    let mut other = built.private.clone();
    other[20] ^= 1;
    assert_eq!(item(check::private_file(header, &other)), Item::PrivateFile("hash"));
}

#[test]
fn other_code_than_the_contracts_is_named() {
    assert_eq!(item(check::contract_code(false)), Item::Deployment("contract code"));
    assert_eq!(check::contract_code(true), Ok(()));
}

#[test]
fn the_fingerprint_is_that_of_the_chain() {
    let (file, chain) = deployment(Forge::new().keys());
    let context = check::deployment(&file, &chain).expect("sound");
    assert_eq!(context.fingerprint, file.fingerprint);
}

#[test]
fn a_development_key_is_flagged() {
    for keys in [Forge::new().keys(), Forge::negated_keys()] {
        let (file, chain) = deployment(keys);
        assert!(check::deployment(&file, &chain).expect("sound").dev_insecure);
    }
}
