//! A window that is laid out in chunks of several capacities.

use statement::c2::{Capacity, PricedCapacity};

use super::*;
use crate::stages::batch::ClaimPlaces;

/// Chunks of one slot.
fn one_slot(claims_per_slot: usize) -> PricedCapacity {
    PricedCapacity { capacity: Capacity { slots: 1, claims_per_slot }, cost: 1 }
}

#[test]
fn leaves_are_numbered_through_chunks_of_several_capacities() {
    let mut ward = Ward::open();
    ward.next_frame();
    for nonce in 1..=4 {
        ward.request(nonce, &practitioner_key());
    }
    let window = ward.close();
    assert_eq!(window.contents.claims.len(), 5);
    let lay_out = |claims: &[PricedCapacity]| {
        let capacities = Capacities { operations: 8, claims: claims.to_vec() };
        plan(&window.contents, &binding(&ward), &capacities).expect("provable")
    };

    let mixed = lay_out(&[one_slot(4), one_slot(1)]);
    let chunks: Vec<_> = mixed.claims.iter().map(|(chunk, _)| chunk).collect();
    let sizes = chunks.iter().map(|chunk| (chunk.first_leaf, chunk.leaves().len()));
    assert_eq!(sizes.collect::<Vec<_>>(), [(0, 2), (2, 5)]);
    assert_eq!(chunks[1].edge_in, Some(chunks[0].edge_out()));
    assert_eq!(mixed.claim_places(), ClaimPlaces { all: 5, taken: 5 });
    assert_eq!(mixed.claim_places().padding_ratio(), Some(0.0));

    // One capacity alone takes as many chunks, and leaves three places empty.
    let alone = lay_out(&[one_slot(4)]);
    assert_eq!(alone.claims.len(), 2);
    assert_eq!(alone.claim_places(), ClaimPlaces { all: 8, taken: 5 });
    let leaves: Vec<u64> = alone.claims.iter().map(|(chunk, _)| chunk.first_leaf).collect();
    assert_eq!(leaves, [0, 5]);
    assert_eq!(ClaimPlaces::default().padding_ratio(), None, "a window without claims");
}
