//! Chooses the chunks of a batch: the mix of capacities whose proofs cost least.

use model::{Claim, PatientIndex, Record};

use super::chunk::Capacity;
use super::pack::{Judged, PackError, Packed};

/// A capacity that a chunk may have, and what the proof of one costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PricedCapacity {
    /// What a chunk holds.
    pub capacity: Capacity,
    /// The cost in any unit, the same for all that are compared.
    pub cost: u64,
}

/// Packs all claims, sorted by patient and position, into chunks of these capacities, so that the
/// proofs cost least; of mixes that cost the same, into one with the fewest empty places.
///
/// Order is proven across chunks, so a chunk holds a run of the list, and a mix is a way along the
/// list in steps. Each step goes as far as its capacity reaches: what is left of a packed list
/// without its first claim is packed as well, hence the rest never costs more for being shorter.
/// That leaves one step for each claim and capacity, and all of them are tried.
///
/// The result depends on the order of `offers` only between mixes that are equal in both.
///
/// # Errors
/// [`PackError`] for claims that no chunk can hold.
///
/// # Panics
/// If there is no offer, or one without a place for a claim: the table of shapes has none.
pub fn mix<'r>(
    claims: &[Claim],
    record: impl Fn(PatientIndex) -> Option<&'r Record>,
    offers: &[PricedCapacity],
) -> Result<Vec<Packed>, PackError> {
    let holds_some = offers.iter().all(|offer| offer.capacity.places() > 0);
    assert!(holds_some && !offers.is_empty(), "expected capacities that hold a claim");
    let judged = Judged::judge(claims, record)?;
    let mut ways = vec![None; claims.len() + 1];
    ways[0] = Some(Way { sum: Sum { cost: 0, places: 0 }, from: 0, capacity: offers[0].capacity });
    for from in 0..claims.len() {
        // No chunk begins here in any mix.
        let Some(Way { sum, .. }) = ways[from] else { continue };
        for &PricedCapacity { capacity, cost } in offers {
            let sum =
                Sum { cost: sum.cost.saturating_add(cost), places: sum.places + capacity.places() };
            let known: &mut Option<Way> = &mut ways[judged.chunk_end(from, capacity)];
            if known.is_none_or(|known| sum < known.sum) {
                *known = Some(Way { sum, from, capacity });
            }
        }
    }
    Ok(walk_back(&judged, &ways))
}

/// The cheapest known way to have all claims before one of them in chunks.
#[derive(Clone, Copy)]
struct Way {
    sum: Sum,
    /// Where its last chunk begins.
    from: usize,
    capacity: Capacity,
}

/// In the order of what is compared first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sum {
    cost: u64,
    places: usize,
}

fn walk_back(judged: &Judged<'_>, ways: &[Option<Way>]) -> Vec<Packed> {
    let (mut chunks, mut end) = (Vec::new(), ways.len() - 1);
    while end > 0 {
        let way = ways[end].expect("a step leads on from every place that a step leads to");
        chunks.push(judged.chunk(way.from, way.capacity));
        end = way.from;
    }
    chunks.reverse();
    chunks
}
