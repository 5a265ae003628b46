//! For whom a file is.

/// For whom a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Audience {
    /// The user whose program wrote it: mode 0600, folders 0700.
    Owner,
    /// Everybody: mode 0644, folders 0755. It says nothing about a patient.
    Public,
}

impl Audience {
    pub(crate) fn file_mode(self) -> u32 {
        match self {
            Audience::Owner => 0o600,
            Audience::Public => 0o644,
        }
    }

    pub(crate) fn folder_mode(self) -> u32 {
        match self {
            Audience::Owner => 0o700,
            Audience::Public => 0o755,
        }
    }
}
