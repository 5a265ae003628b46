//! Frames that accesses released against the segments of the batch: what was read is what was
//! collected.

use model::Position;
use statement::batch::{Compared, ReleasedFrames};

use super::openings::{NamedOpening, SoundBatch};
use crate::broken::{Broken, Item};

/// Released frames with the name of their file, by which errors call it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedFrames {
    /// The file's name.
    pub name: String,
    /// What one access released.
    pub released: ReleasedFrames,
}

/// How many collections were held against released frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ComparedFrames {
    /// Whose frames were released and are those of the segment.
    pub equal: u64,
    /// Of which an access released a part only, or nothing yet.
    pub not_compared: u64,
}

/// Compares released frames with the collections of an opening that was found sound. `position_in`
/// is the journal position of the close before the batch.
///
/// # Errors
/// [`Broken`] names the collection whose frames are others than those that were released.
pub fn frames(
    batch: SoundBatch<'_>,
    position_in: Position,
    named: &NamedOpening,
    released: &[NamedFrames],
) -> Result<ComparedFrames, Broken> {
    let mut counts = ComparedFrames::default();
    for NamedFrames { name, released } in released {
        for one in released.compare(&named.opening, position_in) {
            match one.found {
                Compared::Equal => counts.equal += 1,
                // Of a part nobody can compute a digest: no finding either way.
                Compared::Partial | Compared::Unreleased => counts.not_compared += 1,
                Compared::Differs => {
                    let (file, claim) = (named.name.clone(), one.claim);
                    let item = Item::OpenedClaim { file, claim, part: "released frames" };
                    let expected = "the frames that its digest was made of";
                    let found = format!("others, or fewer, in {name}");
                    return Err(Broken::inside(batch.header.number, item, expected, found));
                }
            }
        }
    }
    Ok(counts)
}
