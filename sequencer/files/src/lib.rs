//! Every file that a program of this repository writes is opened here.
//!
//! Journals, batches, spools, receipts and keys say who was treated, read and recorded. So a file
//! is made for its owner alone ([`Audience::Owner`]: 0600, folders 0700), from the first moment
//! and whatever the umask; one that others may open already is refused with the command that
//! closes it, never mended in silence, because whoever could read it may have done so. What others
//! are meant to have says [`Audience::Public`] where it is written.
//!
//! [`replace`] and [`replace_stream`] are the way to change a file as a whole: written beside it,
//! synced, renamed, the folder synced. A house test lets no other crate call what makes or opens
//! files for writing.
//!
//! ```
//! use files::Audience;
//! # fn main() -> std::io::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! let kept = folder.path().join("receipts");
//! files::make_folder(&kept, Audience::Owner)?;
//! files::replace(&kept.join("1.receipt"), &[b"bytes"], Audience::Owner)?;
//! assert_eq!(files::read(&kept.join("1.receipt"), 5, Audience::Owner)?, b"bytes");
//! # Ok(())
//! # }
//! ```

mod audience;
mod closed;
mod lock;
mod write;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub use audience::Audience;
pub use closed::{TooOpen, check_folder, check_secret, check_tree, close};
pub use lock::{LockedFile, open_locked};
pub use write::{
    append, create, create_stream, is_named, make_folder, open, open_direct, open_existing, rename,
    replace, replace_stream, sync_folder,
};

/// Closes to others whatever this process makes from now on. The first call of every program: also
/// what a library makes, such as a socket or a temporary file, is then the owner's alone.
pub fn close_to_others() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Reads a whole file of at most `bytes_max` bytes. One for its owner alone that others may open is
/// refused with the command that closes it; of one that is [`Audience::Public`] the mode says
/// nothing.
///
/// # Errors
/// [`TooOpen`] inside, or what the system says; [`io::ErrorKind::FileTooLarge`] for a longer one.
pub fn read(path: &Path, bytes_max: u64, audience: Audience) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if audience == Audience::Owner {
        // Of what was opened, not of the name: that could be another file's a moment later.
        closed::check_file(path, &file.metadata()?)?;
    }
    // At its whole length from the start, as the file system says it: it may hold a secret, and a
    // list that grows leaves copies behind which nobody zeroises. Never more than may be read.
    let length = file.metadata()?.len().min(bytes_max);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
    // One byte more than allowed tells too long from just fitting; what the file system says is not
    // believed, since a pipe has no length and a file may grow.
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let why = format!("expected at most {bytes_max} bytes, found more");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}
