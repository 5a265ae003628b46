//! What a worker makes of jobs, honest and others.

use std::path::Path;

use ark_bn254::Fr;
use jobs::{Columns, FailedBecause, JobHead, Lease, LeaseToken, Outcome, input_hash};
use prover::KeyStore;
use statement::proof::{Proof, VerifyingKey, verify};
use workers::{Prove, Provers, ProversConfig};

#[path = "../../tests/enrolment.rs"]
mod enrolment;

fn keys() -> std::path::PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("proving-keys")
}

/// The job of one enrolment, as a node would offer it.
fn job(key: &VerifyingKey, circuit_hash: [u8; 32]) -> (JobHead, Columns) {
    let assignment = enrolment::assignment();
    let public = assignment.instance[1..].to_vec();
    let key_id = key.id();
    let head = JobHead {
        shape: enrolment::shape().name.parse().unwrap(),
        circuit_hash,
        key_id,
        input_hash: input_hash(&key_id, &public),
        reply_to: [0; 16],
        lease: Lease { token: LeaseToken([1; 16]), attempt: 1, lasts_ms: 1_000 },
        failed_on: vec![],
    };
    (head, Columns { public, private: assignment.witness.clone().into() })
}

#[test]
fn an_honest_job_is_proven_and_every_other_fails_by_its_reason() {
    let r1cs = enrolment::shape().matrices();
    let key = KeyStore::new(keys()).open_or_make(&r1cs).unwrap();
    let key = key.verifying_key();
    let provers = Provers::new(ProversConfig::dev_insecure(keys()));
    let (head, columns) = job(key, r1cs.hash());
    let Outcome::Proven { proof, .. } = provers.prove(&head, &columns) else {
        panic!("expected a proof of an honest job")
    };
    let proof = Proof::decode(proof.as_slice()).unwrap();
    assert_eq!(verify(key, &columns.public, &proof), Ok(()));

    let check = |edit: &dyn Fn(&mut JobHead, &mut Columns), expected| {
        let (mut head, mut columns) = job(key, r1cs.hash());
        edit(&mut head, &mut columns);
        assert_eq!(provers.prove(&head, &columns), Outcome::Failed(expected));
    };
    check(&|head, _| head.shape = "c9".parse().unwrap(), FailedBecause::Circuit);
    check(&|head, _| head.circuit_hash[0] ^= 1, FailedBecause::Circuit);
    check(&|head, _| head.key_id[0] ^= 1, FailedBecause::Key);
    check(&|_, columns| columns.private[40] += Fr::from(1), FailedBecause::Violated);
    check(&|_, columns| columns.public[3] += Fr::from(1), FailedBecause::Violated);
    check(&|_, columns| columns.private.truncate(7), FailedBecause::Violated);
    check(&|_, columns| columns.public.clear(), FailedBecause::Violated);
}
