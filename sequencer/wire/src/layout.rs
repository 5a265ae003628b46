//! How a client lays readings out in frames.

use crate::{Codec, Period};

/// How the readings of a stream are laid out. Whatever it says, each frame gives back exactly the
/// readings that it was made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Layout {
    /// The codec of every frame. None: a grid where times are on the period's, else columns, and
    /// rows where those take no more bytes.
    pub codec: Option<Codec>,
    /// The period of the stream, if it has a rhythm.
    pub period: Option<Period>,
}

impl Layout {
    /// Rows.
    pub const RAW: Layout = Layout { codec: Some(Codec::RAW), period: None };
}
