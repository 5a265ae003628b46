//! ark-groth16, by the entry that is fastest for one circuit proven for ever: matrices and witness
//! are given, nothing is synthesised. The reduction is that of the key, six transforms in ark-poly.

use ark_bn254::{Bn254, Fr};
use ark_ff::UniformRand;
use ark_groth16::{Groth16, ProvingKey};
use ark_std::rand::rngs::OsRng;
use prover::export::proof_json;
use prover::qap::CircomReduction;
use statement::proof::Proof;

use crate::peer::{Made, Opened, Peer, Unopened, columns, matrix};
use crate::request::Request;
use crate::versions;

struct Ark {
    key: ProvingKey<Bn254>,
    matrices: [Vec<Vec<(Fr, usize)>>; 3],
    instances: usize,
    columns: Vec<Fr>,
}

pub(super) fn open(request: &Request) -> Result<Opened, Unopened> {
    let (r1cs, assignment) = request.subject.build()?;
    let (key, _) = request.cache.key(&r1cs)?;
    let ark = Ark {
        key: key.to_ark(),
        instances: r1cs.instances,
        matrices: [r1cs.a, r1cs.b, r1cs.c].map(matrix),
        columns: columns(&assignment),
    };
    Ok(Opened::in_process(ark, versions::of("ark-groth16")))
}

impl Peer for Ark {
    fn prove(&mut self) -> anyhow::Result<Made> {
        let [r, s] = [(); 2].map(|()| Fr::rand(&mut OsRng));
        let proof = Groth16::<Bn254, CircomReduction>::create_proof_with_reduction_and_matrices(
            &self.key,
            r,
            s,
            &self.matrices,
            self.instances,
            self.matrices[0].len(),
            &self.columns,
        )?;
        Ok(Made { proof: Some(proof_json(&Proof::from_ark(&proof))), spent: None })
    }
}
