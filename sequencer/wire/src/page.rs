//! Which part of what a request to read asks for one answer shall hold (docs/wire.md section 5).

use model::Position;

use crate::DecodeError;
use crate::codec::{Reader, Writer};

/// In which order frames are released.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageOrder {
    /// As they stand in the journal.
    Stored = 0,
    /// By the time of their last reading, the latest first.
    Newest = 1,
}

/// One page of an answer. Several pages continue one signed request, which stays one claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// The order of the frames.
    pub order: PageOrder,
    /// Whether it continues a request that was decided, rather than asks for a decision.
    pub continues: bool,
    /// The place of the frame behind which it begins; none for the beginning.
    pub after: Option<Position>,
    /// Most frames of it, at least one; the node may set less.
    pub frames_max: u32,
}

impl Page {
    /// The first page, as long as the node lets it be.
    pub const FIRST: Page =
        Page { order: PageOrder::Stored, continues: false, after: None, frames_max: u32::MAX };

    /// The page behind the frame at `last`, of the same request.
    pub fn behind(self, last: Position) -> Page {
        Page { continues: true, after: Some(last), ..self }
    }

    pub(crate) fn write(self, to: &mut Writer) {
        to.u8(self.order as u8);
        to.u8(u8::from(self.continues));
        // No frame stands at position 0: whoever sends it is registered before.
        to.u64(self.after.map_or(0, |position| position.0));
        to.u32(self.frames_max);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Page, DecodeError> {
        let order = match from.u8()? {
            0 => PageOrder::Stored,
            1 => PageOrder::Newest,
            found => {
                return Err(DecodeError::Unknown { what: "page order", found: u64::from(found) });
            }
        };
        let continues = from.flag("page continues")?;
        let after = Some(from.u64()?).filter(|position| *position != 0).map(Position);
        let page = Page { order, continues, after, frames_max: from.u32()? };
        if page.frames_max == 0 || (page.continues && page.after.is_none()) {
            let expected = "expected at least one frame, and a place where a page continues";
            return Err(DecodeError::field("page", expected));
        }
        Ok(page)
    }
}
