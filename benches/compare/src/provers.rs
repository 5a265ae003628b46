//! The provers of the table.

mod arkworks;
mod own;
mod programs;
mod sketch;
mod snarkrs;
mod taceo;

use crate::name::Name;
use crate::peer::{Opened, Unopened};
use crate::request::Request;

/// Opens the prover of a request.
///
/// # Errors
/// [`Unopened`].
pub(crate) fn open(request: &Request) -> Result<Opened, Unopened> {
    match request.prover {
        Name::Accelerated => own::open_with_tables(request),
        Name::AcceleratedFirst => own::open(request, prover::Choice::Accelerated),
        Name::Portable => own::open(request, prover::Choice::Portable),
        Name::Products => own::open_products(request),
        Name::ArkGroth16 => arkworks::open(request),
        Name::TaceoGroth16 => taceo::open(request),
        Name::SnarkrsGroth16 => snarkrs::open(request),
        Name::Snarkjs => programs::open_snarkjs(request),
        Name::Rapidsnark => programs::open_rapidsnark(request),
        Name::Sketch => sketch::open(request),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Programs;
    use crate::subject::{Cache, Subject};
    use ark_groth16::{Groth16, prepare_verifying_key};
    use std::num::NonZeroUsize;

    /// Each with the same key and witness: that their proofs hold is what makes the times
    /// comparable.
    #[test]
    fn proofs_of_all_provers_in_this_program_are_accepted_by_ark() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cache = Cache::open(folder.path().join("cache")).expect("made");
        let subject = Subject::Chain(13);
        let (r1cs, assignment) = subject.build().expect("a chain of one link");
        let (key, _) = cache.key(&r1cs).expect("made");
        cache.export(subject, &key, &r1cs, &assignment).expect("written");
        let vk = prepare_verifying_key(key.verifying_key().ark());
        let mut proven = 0;
        for prover in Name::ALL {
            let programs = Programs::default();
            let threads = NonZeroUsize::MIN;
            let cache = cache.clone();
            let table_bytes_max = 1 << 28;
            let request = Request { subject, prover, threads, table_bytes_max, programs, cache };
            let mut opened = match prover {
                Name::Products | Name::Snarkjs | Name::Rapidsnark | Name::Sketch => continue,
                prover => match open(&request) {
                    Ok(opened) => opened,
                    Err(Unopened::Missing(why)) if prover.is_own() => {
                        eprintln!("not tested: {why}");
                        continue;
                    }
                    Err(error) => panic!("{prover}: {error:#}"),
                },
            };
            let proof = opened.peer.prove().expect("proven").proof.expect("a proof");
            let proof = prover::export::read_proof(&proof).expect("a proof's points").to_ark();
            let inputs = &assignment.instance[1..];
            let holds = Groth16::<ark_bn254::Bn254>::verify_proof(&vk, &proof, inputs);
            assert!(holds.expect("as many inputs"), "{prover}");
            proven += 1;
        }
        assert!(proven >= 4, "{proven}");
    }
}
