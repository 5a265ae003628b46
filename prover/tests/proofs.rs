//! Proofs: the same as ark-groth16's, and never one that does not hold.

use std::sync::Arc;

use ark_bn254::{Bn254, Fr, G1Projective, G2Projective};
use ark_ec::PrimeGroup;
use ark_groth16::Groth16;
use ark_std::rand::{SeedableRng, rngs::StdRng};
use prover::arkworks::Replay;
use prover::qap::CircomReduction;
use prover::{Blinding, Choice, Engine, ProveError, Provenance, ProvingKey};
use statement::proof::{DEV_ALPHA, Proof, VerifyError, verify};

use crate::sample::ladder;

type Ark = Groth16<Bn254, CircomReduction>;

/// Both engines where the processor runs both.
fn engines(key: &ProvingKey) -> Vec<Box<dyn Engine>> {
    let choices = [Choice::Portable, Choice::Accelerated];
    let opened = choices.map(|choice| choice.open(Arc::new(key.clone())));
    opened.into_iter().filter_map(|engine| engine.inspect_err(|e| eprintln!("{e}")).ok()).collect()
}

fn engine(key: &ProvingKey) -> Box<dyn Engine> {
    Choice::Auto.open(Arc::new(key.clone())).expect("there is an engine for every processor")
}

#[test]
fn a_proof_holds_for_its_inputs_and_for_no_other() {
    let (r1cs, assignment) = ladder(100, 5);
    let key = ProvingKey::dev_insecure(&r1cs).expect("small");
    let mut entropy = StdRng::seed_from_u64(1);
    let proof = engine(&key).prove(&assignment, &Blinding::draw(&mut entropy)).expect("satisfied");
    let inputs = &assignment.instance[1..];
    assert_eq!(verify(key.verifying_key(), inputs, &proof), Ok(()));
    let wrong = [inputs[0], inputs[1] + Fr::from(1)];
    assert_eq!(verify(key.verifying_key(), &wrong, &proof), Err(VerifyError::Rejected));
    let (other, _) = ladder(101, 5);
    let foreign = ProvingKey::dev_insecure(&other).expect("small");
    assert_eq!(verify(foreign.verifying_key(), inputs, &proof), Err(VerifyError::Rejected));
}

#[test]
fn the_same_blinding_gives_the_proof_of_ark_groth16() {
    for rows in [3, 60, 61, 62, 1500] {
        let (r1cs, assignment) = ladder(rows, 7);
        let key = ProvingKey::dev_insecure(&r1cs).expect("small");
        let (r, s) = (Fr::from(123), Fr::from(456));
        let circuit = Replay { r1cs: &r1cs, assignment: Some(&assignment) };
        let theirs = Ark::create_proof_with_reduction(circuit, &key.to_ark(), r, s);
        let theirs = Proof::from_ark(&theirs.expect("satisfied"));
        for engine in engines(&key) {
            let ours = engine.prove(&assignment, &Blinding::chosen(r, s)).expect("satisfied");
            assert_eq!(ours, theirs, "{}, {rows} rows", engine.name());
        }
    }
}

#[test]
fn a_key_of_ark_groth16_proves_here() {
    let (r1cs, assignment) = ladder(100, 5);
    let mut rng = StdRng::seed_from_u64(2);
    let circuit = Replay { r1cs: &r1cs, assignment: None };
    let secrets = [DEV_ALPHA, 3, 5, 7].map(Fr::from);
    let [alpha, beta, gamma, delta] = secrets;
    let (g1, g2) = (G1Projective::generator(), G2Projective::generator());
    let theirs =
        Ark::generate_parameters_with_qap(circuit, alpha, beta, gamma, delta, g1, g2, &mut rng)
            .expect("small");
    let rows = r1cs.a.len();
    let key = ProvingKey::from_ark(theirs.clone(), r1cs.hash(), rows, Provenance::DevInsecure);
    let key = key.expect("a sound key");
    assert!(key.to_ark() == theirs);
    let proof = engine(&key).prove(&assignment, &Blinding::draw(&mut rng)).expect("satisfied");
    assert_eq!(verify(key.verifying_key(), &assignment.instance[1..], &proof), Ok(()));
}

#[test]
fn two_proofs_of_one_assignment_differ() {
    let (r1cs, assignment) = ladder(30, 5);
    let engine = engine(&ProvingKey::dev_insecure(&r1cs).expect("small"));
    let mut entropy = StdRng::seed_from_u64(1);
    let one = engine.prove(&assignment, &Blinding::draw(&mut entropy)).expect("satisfied");
    let two = engine.prove(&assignment, &Blinding::draw(&mut entropy)).expect("satisfied");
    assert_ne!(one, two);
}

#[test]
fn a_violated_constraint_is_named_and_nothing_is_proven() {
    let (r1cs, mut assignment) = ladder(30, 5);
    let engine = engine(&ProvingKey::dev_insecure(&r1cs).expect("small"));
    assignment.cz[11] += Fr::from(1);
    let refused = engine.prove(&assignment, &Blinding::chosen(Fr::from(1), Fr::from(2)));
    assert_eq!(refused, Err(ProveError::Violated { row: 11 }));
}

#[test]
fn products_that_do_not_belong_to_the_witness_are_withheld() {
    let (r1cs, mut assignment) = ladder(30, 5);
    let engine = engine(&ProvingKey::dev_insecure(&r1cs).expect("small"));
    assignment.witness[4] += Fr::from(1);
    let refused = engine.prove(&assignment, &Blinding::chosen(Fr::from(1), Fr::from(2)));
    assert_eq!(refused, Err(ProveError::Withheld(VerifyError::Rejected)));
}

#[test]
fn an_assignment_of_another_size_is_refused() {
    let (r1cs, assignment) = ladder(30, 5);
    let engine = engine(&ProvingKey::dev_insecure(&r1cs).expect("small"));
    let blinding = Blinding::chosen(Fr::from(1), Fr::from(2));
    let (_, longer) = ladder(31, 5);
    let what = "private columns";
    let refused = engine.prove(&longer, &blinding);
    assert_eq!(refused, Err(ProveError::Length { what, expected: 29, found: 30 }));
    let mut zero = assignment;
    zero.instance[0] = Fr::from(0);
    assert_eq!(engine.prove(&zero, &blinding), Err(ProveError::Constant));
}

#[test]
fn chosen_blinding_is_refused_for_a_ceremony_key() {
    let (r1cs, assignment) = ladder(30, 5);
    let mut rng = StdRng::seed_from_u64(2);
    let circuit = Replay { r1cs: &r1cs, assignment: None };
    let theirs = Ark::generate_random_parameters_with_reduction(circuit, &mut rng).expect("small");
    let provenance = Provenance::Ceremony { transcript: [9; 32] };
    let key = ProvingKey::from_ark(theirs, r1cs.hash(), 30, provenance).expect("a sound key");
    let chosen = Blinding::chosen(Fr::from(1), Fr::from(2));
    assert_eq!(engine(&key).prove(&assignment, &chosen), Err(ProveError::ChosenBlinding));
    assert!(engine(&key).prove(&assignment, &Blinding::draw(&mut rng)).is_ok());
}
