//! Frames that accesses released against the segments of the batch: what was read is what was
//! collected.

use statement::batch::{Compared, JournalSpan, ReleasedFrame, ReleasedFrames};

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
pub struct FramesCounts {
    /// Whose frames were released and are those of the segment.
    pub equal: u64,
    /// Of which an access released a part only, or nothing yet.
    pub not_compared: u64,
    /// Released frames of the opening's patient and batch: each is in one of these collections.
    pub frames: u64,
}

/// Compares released frames with the collections of an opening that was found sound.
///
/// # Errors
/// [`Broken`] names the collection whose frames are others than those that were released, or the
/// opening that lacks a collection of one.
pub fn frames(
    batch: SoundBatch<'_>,
    span: JournalSpan,
    named: &NamedOpening,
    released: &[NamedFrames],
) -> Result<FramesCounts, Broken> {
    let mut counts = FramesCounts::default();
    let number = batch.header.number;
    let of_patient = |one: &&NamedFrames| one.released.patient == named.opening.patient;
    for NamedFrames { name, released } in released.iter().filter(of_patient) {
        let compared = released.compare(Some(&named.opening), span);
        for one in compared.claims {
            match one.found {
                Compared::Equal => counts.equal += 1,
                // Of a part nobody can compute a digest: no finding either way.
                Compared::Partial | Compared::Unreleased => counts.not_compared += 1,
                Compared::Differs => {
                    let (file, claim) = (named.name.clone(), one.claim);
                    let item = Item::OpenedClaim { file, claim, part: "released frames" };
                    let expected = "the frames that its digest was made of";
                    let found = format!("others, or fewer, in {name}");
                    return Err(Broken::inside(number, item, expected, found));
                }
            }
        }
        if let Some(position) = compared.uncollected.first() {
            let item = Item::Opening { file: named.name.clone(), part: "released frames" };
            let expected = "a collection of every frame that was released";
            let found = format!("none of the frame at position {} in {name}", position.0);
            return Err(Broken::inside(number, item, expected, found));
        }
        let inside = |frame: &&ReleasedFrame| span.contains(frame.position);
        counts.frames += released.frames.iter().filter(inside).count() as u64;
    }
    Ok(counts)
}
