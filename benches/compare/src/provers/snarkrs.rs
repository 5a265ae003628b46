//! snarkrs-groth16 on its CPU backend, with the exported key and witness. Its arithmetic is that of
//! an older arkworks, so that only text passes between it and this program.

use ark_std::rand::rngs::OsRng;
use snarkrs_formats::ProvingKey;
use snarkrs_formats::wtns::Witness;
use snarkrs_groth16::cpu::CpuBackend;
use snarkrs_groth16::{Backend, PreparedCircuit, StageTimings, json, prove};

use crate::peer::{Made, Opened, Peer, Unopened};
use crate::request::Request;
use crate::versions;

struct Snarkrs {
    circuit: Box<dyn PreparedCircuit>,
    witness: Witness,
}

pub(super) fn open(request: &Request) -> Result<Opened, Unopened> {
    let files = request.cache.exported(request.subject)?;
    // Unchecked: the file was written here.
    let key = ProvingKey::load_unchecked(&files.zkey).map_err(anyhow::Error::from)?;
    let circuit = CpuBackend::new().prepare(key).map_err(anyhow::Error::from)?;
    let witness = Witness::load(&files.wtns).map_err(anyhow::Error::from)?;
    Ok(Opened::in_process(Snarkrs { circuit, witness }, versions::of("snarkrs-groth16")))
}

impl Peer for Snarkrs {
    /// With its own verification, as its users call it.
    fn prove(&mut self) -> anyhow::Result<Made> {
        let timings = &mut StageTimings::default();
        let proof = prove::prove(&*self.circuit, &self.witness.0, &mut OsRng, timings)?;
        Ok(Made { proof: Some(serde_json::from_str(&json::proof_to_string(&proof))?), spent: None })
    }
}
