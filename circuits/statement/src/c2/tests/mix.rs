//! The mix of chunks against every way to cut a small window, and what it does for wards.

use super::*;
use crate::batch::Layout;

fn offer(slots: usize, claims_per_slot: usize, cost: u64) -> PricedCapacity {
    PricedCapacity { capacity: Capacity { slots, claims_per_slot }, cost }
}

/// The permits of two practitioners, and a deny of the second in the window of position 3.
fn split_by_a_deny() -> Record {
    let deny = Rule { access: span(T0 + 30, T0 + 40), ..rule(200) };
    record(&[(RuleSlot::Permit(0), rule(100)), (RuleSlot::Deny(0), deny)])
}

/// Claims of patients 1, 2, .., as many of each as `counts` says.
fn window(counts: &[u64]) -> Vec<Claim> {
    let of_patient = |(index, count): (usize, &u64)| {
        (1..=*count).map(move |position| claim(index as u32 + 1, position))
    };
    counts.iter().enumerate().flat_map(of_patient).collect()
}

/// Cost and places of a mix.
fn sum(chunks: &[Packed], offers: &[PricedCapacity]) -> (u64, usize) {
    let cost = |chunk: &Packed| offers.iter().find(|o| o.capacity == chunk.capacity).unwrap().cost;
    (chunks.iter().map(cost).sum(), chunks.iter().map(|chunk| chunk.capacity.places()).sum())
}

/// The least that any way costs to cut the list into runs that chunks hold, long or short.
fn least_of_all(claims: &[Claim], record: &Record, offers: &[PricedCapacity]) -> (u64, usize) {
    let mut least = vec![(u64::MAX, usize::MAX); claims.len() + 1];
    least[claims.len()] = (0, 0);
    for from in (0..claims.len()).rev() {
        for end in from + 1..=claims.len() {
            let run = &claims[from..end];
            for offer in offers {
                let packed = pack(run, |_| Some(record), offer.capacity).unwrap();
                if packed.taken == run.len() {
                    let (cost, places) = least[end];
                    let sum = (cost + offer.cost, places + offer.capacity.places());
                    least[from] = least[from].min(sum);
                }
            }
        }
    }
    least[0]
}

/// Asserts that `chunks` hold every claim once and in order, each within its capacity.
fn holds_each_once(chunks: &[Packed], claims: &[Claim]) {
    let slots = || chunks.iter().flat_map(|chunk| &chunk.slots);
    let held: Vec<Claim> = slots().flat_map(|slot| slot.claims.clone()).collect();
    assert_eq!(held, claims);
    assert!(slots().all(|slot| slot.claims.iter().all(|claim| claim.patient == slot.patient)));
    for Packed { capacity, slots, taken } in chunks {
        assert!((1..=capacity.slots).contains(&slots.len()), "{} slots", slots.len());
        let sizes = slots.iter().map(|slot| slot.claims.len());
        assert!(sizes.clone().all(|size| (1..=capacity.claims_per_slot).contains(&size)));
        assert_eq!(sizes.sum::<usize>(), *taken);
    }
}

#[test]
fn no_way_to_cut_a_small_window_costs_less_than_the_mix() {
    let sets = [
        vec![offer(1, 4, 1), offer(1, 1, 1)],
        vec![offer(2, 2, 1), offer(4, 1, 1)],
        vec![offer(1, 3, 2), offer(3, 1, 3), offer(2, 2, 3)],
        vec![offer(3, 2, 5), offer(1, 1, 2)],
    ];
    let record = split_by_a_deny();
    let (mut mixed, mut windows) = (0, 0);
    for counts in (0..6u64.pow(3)).map(|n| [n % 6, n / 6 % 6, n / 36]) {
        // Every fourth position is somebody's whom nothing covers.
        let mut claims = window(&counts);
        for claim in claims.iter_mut().filter(|claim| claim.position.0 == 4) {
            claim.individual = Word::from_u64(999);
        }
        for offers in &sets {
            let chunks = mix(&claims, |_| Some(&record), offers).unwrap();
            holds_each_once(&chunks, &claims);
            let found = sum(&chunks, offers);
            assert_eq!(found, least_of_all(&claims, &record, offers), "{counts:?}: {chunks:?}");
            for one in offers {
                let single = mix(&claims, |_| Some(&record), &[*one]).unwrap();
                assert!(found <= sum(&single, offers), "{counts:?}: {one:?} alone costs less");
            }
            let turned: Vec<_> = offers.iter().rev().copied().collect();
            let other = mix(&claims, |_| Some(&record), &turned).unwrap();
            assert_eq!(sum(&other, offers), found, "{counts:?}: the order of offers matters");
            windows += 1;
            mixed += usize::from(chunks.windows(2).any(|two| two[0].capacity != two[1].capacity));
        }
    }
    assert!(mixed > windows / 10, "{mixed} of {windows} windows had chunks of several capacities");
}

#[test]
fn claims_that_no_chunk_can_hold_are_named_by_their_number_in_the_window() {
    let record = record(&[(RuleSlot::Permit(0), rule(100))]);
    let offers = [offer(1, 1, 1)];
    let mut claims = window(&[3, 3]);
    let unknown = |patient: PatientIndex| (patient.get() == 1).then_some(&record);
    let found = mix(&claims, unknown, &offers);
    assert!(matches!(found, Err(PackError::NotProvable { claim: 3, .. })), "{found:?}");
    claims.swap(4, 5);
    let found = mix(&claims, |_| Some(&record), &offers);
    assert_eq!(found, Err(PackError::Unsorted { claim: 5 }));
    assert_eq!(mix(&[], |_| Some(&record), &offers), Ok(vec![]));
}

/// The table of SPEC.md section 11.
#[test]
fn wards_take_as_many_proofs_as_the_specification_says() {
    let offers = ["c2-17", "c2-17-2", "c2-17-1"].map(|shape| match Layout::of_shape(shape) {
        Some(Layout::Claims(capacity)) => PricedCapacity { capacity, cost: 1 },
        other => panic!("{shape} is {other:?}"),
    });
    let record = record(&[(RuleSlot::Permit(0), rule(100))]);
    let ward = |claims: &[u64]| window(&claims.repeat(360 / claims.len()));
    for (claims, expected) in [
        (&[1][..], [30, 24, 20, 20]),
        (&[2], [30, 24, 40, 24]),
        (&[3], [30, 48, 60, 30]),
        (&[4], [30, 48, 80, 30]),
        (&[1, 2, 3, 4], [30, 36, 50, 30]),
        (&[1, 2], [30, 24, 30, 24]),
        (&[1, 1, 1, 4], [30, 30, 35, 30]),
    ] {
        let proofs = |offers: &[PricedCapacity]| {
            mix(&ward(claims), |_| Some(&record), offers).unwrap().len()
        };
        let alone = offers.map(|one| proofs(&[one]));
        let found = [alone[0], alone[1], alone[2], proofs(&offers)];
        assert_eq!(found, expected, "patients with {claims:?} claims in turn");
    }
}
