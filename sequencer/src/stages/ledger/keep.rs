//! Who keeps the ledger's state for the next start.

use journal::Committed;

use super::absorb::Ledger;

/// The state behind a group that is durable.
#[derive(Clone, Copy)]
pub struct Kept<'a> {
    /// The ledger, which has absorbed the group and nothing after it.
    pub ledger: &'a Ledger,
    /// The group.
    pub committed: &'a Committed,
    /// The group that holds the last close; 0 before the first.
    pub close_group: u64,
}

/// Who keeps states. Shown each one on the writer thread, so it must neither block nor take long:
/// what it wants to keep it freezes, and encodes it elsewhere.
pub trait KeepState: Send + 'static {
    /// Looks at the state behind a group.
    fn look(&mut self, kept: Kept<'_>);
}
