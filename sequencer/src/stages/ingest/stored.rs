//! Reading frames back: to compare one that came again, and to release what an access permits.
//! Everything here blocks on the disk and runs beside the connection's task.

use model::{PatientIndex, Position, StreamHandle, with_causes};
use wire::{Frame, FrameEntry, Holder, SignedReceipt};

use crate::stages::deliver::{AgainError, ReceiptHub, StoredGroup};
use crate::stages::ledger::{IndexError, StoredPlace, UnsealError};

/// A frame whose identity is stored already.
pub(super) struct Again {
    pub(super) handle: StreamHandle,
    pub(super) frame: Frame,
    pub(super) place: StoredPlace,
}

/// A frame with other bytes than the one that is stored there.
pub(super) struct Conflict {
    pub(super) handle: StreamHandle,
    pub(super) frame: Frame,
    pub(super) position: Position,
}

/// What comparing found: how many frames are equal, the receipts of their groups, oldest first,
/// frames with other bytes, and frames that nobody can compare because their key is not here.
#[derive(Default)]
pub(super) struct Compared {
    pub(super) equal: usize,
    pub(super) receipts: Vec<SignedReceipt>,
    pub(super) conflicts: Vec<Conflict>,
    pub(super) unopened: Vec<(Conflict, UnsealError)>,
}

/// Compares frames with what is stored; equal ones are acknowledged by their group's receipt.
pub(super) fn compare(
    hub: &ReceiptHub,
    holder: Holder,
    frames: Vec<Again>,
) -> Result<Compared, AgainError> {
    let placed = |Again { handle, frame, place }: Again| {
        Ok(Conflict { handle, frame, position: place.find()? })
    };
    let mut frames = frames.into_iter().map(placed).collect::<Result<Vec<_>, IndexError>>()?;
    // In the order of the log each group is read once, and receipts come oldest first.
    frames.sort_by_key(|again| again.position);
    let mut compared = Compared::default();
    let mut groups = Groups::new(hub);
    let mut acknowledged = None;
    for again in frames {
        let group = groups.group_at(again.position)?;
        match hub.frame(group, again.position) {
            Ok(Some(stored)) => {
                let signal = stored.key.signal();
                if !signal.is_some_and(|signal| stored.frame().says_same(&again.frame, signal)) {
                    compared.conflicts.push(again);
                    continue;
                }
            }
            Ok(None) => {
                return Err(AgainError::NotConcerned { group: group.identity().group });
            }
            // Acknowledged by its identity alone: nobody can compare it any more, and what its
            // gateway keeps of an erased patient is to be forgotten as well.
            Err(error) if error.is_erased() => {}
            // Not acknowledged: the gateway's copy may be the only one that anybody can read.
            Err(error) => {
                compared.unopened.push((again, error));
                continue;
            }
        }
        compared.equal += 1;
        // One receipt covers all frames of the holder in a group.
        let number = group.identity().group;
        if acknowledged.replace(number) != Some(number) {
            compared.receipts.push(hub.sign_stored(group, holder)?);
        }
    }
    Ok(compared)
}

/// A frame as it was read back.
pub(super) struct StoredEntry {
    pub(super) position: Position,
    pub(super) entry: FrameEntry,
}

/// Reads frames of a patient. A position that holds anything else is an error: better to release
/// nothing than another's data. One that was erased, or whose key is not here, is passed over;
/// whoever compares what was released with what was collected sees that it is missing.
pub(super) fn read_frames(
    hub: &ReceiptHub,
    patient: PatientIndex,
    positions: &[Position],
) -> Result<Vec<StoredEntry>, AgainError> {
    let mut groups = Groups::new(hub);
    let mut read = |position: &Position| {
        let group = groups.group_at(*position)?;
        match hub.frame(group, *position) {
            Ok(Some(entry)) if entry.key.patient == patient => {
                Ok(Some(StoredEntry { position: *position, entry }))
            }
            Ok(_) => Err(AgainError::NotConcerned { group: group.identity().group }),
            Err(error) if error.is_erased() => Ok(None),
            // The rest of what was asked for is what somebody waits for.
            Err(error) if error.is_absent() => {
                let (position, error) = (position.0, with_causes(&error));
                tracing::error!(position, error, "a stored frame cannot be released");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    };
    positions.iter().filter_map(|position| read(position).transpose()).collect()
}

/// Keeps the group that was read last: neighbours are mostly stored together.
struct Groups<'a> {
    hub: &'a ReceiptHub,
    last: Option<StoredGroup>,
}

impl<'a> Groups<'a> {
    fn new(hub: &'a ReceiptHub) -> Groups<'a> {
        Groups { hub, last: None }
    }

    fn group_at(&mut self, position: Position) -> Result<&StoredGroup, AgainError> {
        let group = match self.last.take().filter(|group| group.entry(position).is_some()) {
            Some(group) => group,
            None => self.hub.stored_group(position)?,
        };
        Ok(self.last.insert(group))
    }
}
