//! taceo-groth16, with the reduction of circom's keys.

use ark_bn254::{Bn254, Fr};
use ark_ff::UniformRand;
use ark_std::rand::rngs::OsRng;
use prover::export::proof_json;
use statement::proof::Proof;
use taceo_groth16::{CircomReduction, ConstraintMatrices, Groth16, ProvingKey};

use crate::peer::{Made, Opened, Peer, Unopened, columns, matrix};
use crate::request::Request;
use crate::versions;

struct Taceo {
    key: ProvingKey<Bn254>,
    matrices: ConstraintMatrices<Fr>,
    columns: Vec<Fr>,
}

pub(super) fn open(request: &Request) -> Result<Opened, Unopened> {
    let (r1cs, assignment) = request.subject.build()?;
    let (key, _) = request.cache.key(&r1cs)?;
    let terms = [&r1cs.a, &r1cs.b, &r1cs.c].map(|rows| rows.iter().map(Vec::len).sum());
    let [a_num_non_zero, b_num_non_zero, c_num_non_zero] = terms;
    let matrices = ConstraintMatrices {
        num_instance_variables: r1cs.instances,
        num_witness_variables: r1cs.witnesses,
        num_constraints: r1cs.a.len(),
        a_num_non_zero,
        b_num_non_zero,
        c_num_non_zero,
        a: matrix(r1cs.a),
        b: matrix(r1cs.b),
        c: matrix(r1cs.c),
    };
    let taceo = Taceo { key: key.to_ark(), matrices, columns: columns(&assignment) };
    Ok(Opened::in_process(taceo, versions::of("taceo-groth16")))
}

impl Peer for Taceo {
    fn prove(&mut self) -> anyhow::Result<Made> {
        let [r, s] = [(); 2].map(|()| Fr::rand(&mut OsRng));
        let Self { key, matrices, columns } = self;
        let proof = Groth16::<Bn254>::prove::<CircomReduction>(key, r, s, matrices, columns);
        let proof = proof.map_err(|error| anyhow::anyhow!("{error:#}"))?;
        Ok(Made { proof: Some(proof_json(&Proof::from_ark(&proof))), spent: None })
    }
}
