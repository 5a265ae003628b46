//! The story with honest proofs under the development keys of the circuits for tests.

use std::sync::Arc;

use circuits::shapes::{Shape, Statement};
use prover::{Blinding, Engine as _, KeyStore, PortableEngine};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use statement::inputs::{C1Inputs, C2Inputs};
use statement::proof::{Proof, VerifyingKey};
use statement::{c1, c2};

use crate::chain::Live;
use crate::world::{Prove, SHAPES, shape_of_claims};

struct Honest([PortableEngine; 3]);

impl Honest {
    fn new() -> Honest {
        let store = KeyStore::new(env!("CARGO_TARGET_TMPDIR"));
        Honest(SHAPES.map(|name| {
            let shape = Shape::named(name).expect("a shape for tests");
            let key = store.open_or_make(&shape.matrices()).expect("a development key");
            PortableEngine::new(Arc::new(key))
        }))
    }

    fn prove(&self, number: usize, statement: Statement<'_>) -> [u8; Proof::BYTES] {
        let shape = Shape::named(SHAPES[number]).expect("a shape for tests");
        let assignment = shape.assign(statement).expect("a chunk of the shape");
        let mut entropy = StdRng::seed_from_u64(number as u64);
        let proof = self.0[number].prove(&assignment, &Blinding::draw(&mut entropy));
        proof.expect("the statement holds").encode()
    }
}

impl Prove for Honest {
    fn c1(&self, inputs: &C1Inputs, chunk: &c1::Chunk) -> [u8; Proof::BYTES] {
        self.prove(0, Statement::C1(inputs, chunk))
    }

    fn c2(&self, inputs: &C2Inputs, chunk: &c2::Chunk) -> [u8; Proof::BYTES] {
        self.prove(shape_of_claims(chunk.capacity), Statement::C2(inputs, chunk))
    }

    fn keys(&self) -> [VerifyingKey; 3] {
        self.0.each_ref().map(|engine| engine.key().verifying_key().clone())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proven_and_settled_story_holds_with_all_openings() {
    let live = Live::start(&Honest::new()).await;
    let report = live.audit(&live.deployment, &live.all_openings()).await;
    assert!(report.holds(), "{}", report.text(auditor::Colour::Plain));
    assert_eq!((report.proofs_verified, report.openings), (6, 2));
    // One batch had claims chunks of two shapes, which have other numbers of leaves.
    let leaves: Vec<_> = live.built[0].file.claims.iter().map(|one| one.leaves.len()).collect();
    assert_eq!(leaves, [5, 2]);
}
