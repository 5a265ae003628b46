//! How readings lie in what is sent.

use wire::Codec;

/// A codec, and whether small frames that wait together go in one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Laying {
    /// Each frame is a message of its own, of this codec.
    Frames(Codec),
    /// Frames of columns, and blocks of those that wait together (rule W.91).
    Blocks,
}

impl Laying {
    /// What can be asked for, in words.
    pub const EXPECTED: &'static str = "raw, columnar, grid or block";

    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Laying> {
        match name {
            "block" => Some(Laying::Blocks),
            name => Codec::from_name(name).map(Laying::Frames),
        }
    }

    /// The codec of the frames.
    pub fn codec(self) -> Codec {
        match self {
            Laying::Frames(codec) => codec,
            Laying::Blocks => Codec::COLUMNAR,
        }
    }

    /// Most frames of a message.
    pub(crate) fn block_frames_max(self) -> usize {
        match self {
            Laying::Frames(_) => 1,
            Laying::Blocks => wire::limits::BLOCK_FRAMES_MAX,
        }
    }
}
