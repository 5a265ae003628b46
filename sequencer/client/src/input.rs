//! How far a file of readings was sent: kept with the frames that hold them, so that the same file
//! again sends nothing twice.

/// A file's place in a stream. It is written in one record with the frame that ends there: after a
/// crash either both stand or neither does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InputMark {
    /// Whose it is: the first half of the hash of the file's path.
    pub name: [u8; 16],
    /// Lines of which every reading stands in a frame.
    pub lines: u64,
    /// Readings of the next line that do, too.
    pub taken: u32,
    /// Hash of those lines, each with a line feed.
    pub digest: [u8; 32],
}

impl InputMark {
    /// Length of its bytes.
    pub(crate) const BYTES: usize = 60;

    pub(crate) fn to_bytes(self) -> [u8; InputMark::BYTES] {
        let mut bytes = [0; InputMark::BYTES];
        bytes[..16].copy_from_slice(&self.name);
        bytes[16..24].copy_from_slice(&self.lines.to_be_bytes());
        bytes[24..28].copy_from_slice(&self.taken.to_be_bytes());
        bytes[28..].copy_from_slice(&self.digest);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<InputMark> {
        let (name, rest) = bytes.split_first_chunk()?;
        let (lines, rest) = rest.split_first_chunk()?;
        let (taken, digest) = rest.split_first_chunk()?;
        Some(InputMark {
            name: *name,
            lines: u64::from_be_bytes(*lines),
            taken: u32::from_be_bytes(*taken),
            digest: digest.try_into().ok()?,
        })
    }
}
