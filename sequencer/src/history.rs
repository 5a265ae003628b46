//! What others remember of the journal, compared with what it holds.
//!
//! A journal that lost its end looks like one that never had it: the log itself cannot tell. So the
//! contract, the store, a witness beside the journal and whoever holds a receipt are asked. Where
//! the journal lacks what one of them remembers, the node must not go on: it would give numbers
//! that were promised a second meaning.

use std::fmt;

use journal::{Entry as JournalEntry, Head, Medium, ReadError, Reader};
use model::Position;
use thiserror::Error;
use tokio::sync::{broadcast, watch};
use wire::{Entry, FrameError, GapEntry, SignedReceipt};

/// Who remembers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keeper {
    /// The settlement contract: the last settled header.
    Contract,
    /// The store: the last assembled batch.
    Store,
    /// The witness beside the journal.
    Witness,
    /// The holder of a receipt.
    Receipt,
    /// The mark of a folder that was restored: there was more than its backup holds.
    Backup,
}

impl Keeper {
    /// As texts name it.
    pub const fn name(self) -> &'static str {
        match self {
            Keeper::Contract => "the contract's last settled header",
            Keeper::Store => "the store's last batch",
            Keeper::Witness => "the witness beside the journal",
            Keeper::Receipt => "a receipt that this node signed",
            Keeper::Backup => "the mark of the restored folder",
        }
    }
}

/// Where the journal stood once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remembered {
    /// Who says so.
    pub by: Keeper,
    /// The group, where it is known.
    pub group: Option<u64>,
    /// A position in it, the last one known.
    pub position: Position,
    /// The term that the group was in, where it is known.
    pub term: Option<u32>,
    /// Journal hash after the group.
    pub journal_hash: [u8; 32],
}

impl Remembered {
    /// What a receipt says.
    pub fn by_receipt(receipt: &SignedReceipt) -> Remembered {
        let (group, items) = (receipt.receipt.group, receipt.receipt.items());
        let frames = items.frames.iter().map(|item| item.positions.1);
        let operations = items.operations.iter().map(|item| item.position);
        let accesses = items.accesses.iter().map(|item| item.position);
        let refusals = items.refusals.iter().map(|item| item.position);
        let position = frames.chain(operations).chain(accesses).chain(refusals).max();
        Remembered {
            by: Keeper::Receipt,
            group: Some(group.group),
            // A receipt has one item at least.
            position: position.unwrap_or_default(),
            term: Some(group.term),
            journal_hash: group.journal_hash,
        }
    }
}

/// What a journal says to somebody's memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// It holds the same group.
    Holds,
    /// The group is lost, and an operator accepted it.
    LossAccepted,
    /// It lacks the group, or holds another one in its place.
    Contradicted(Contradiction),
}

/// A journal that lacks what it promised. Its text names what is missing and what to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contradiction {
    /// What somebody remembers.
    pub remembered: Remembered,
    /// Where the journal ends.
    pub head: Head,
    /// Journal hash after the group that stands there instead, if one does.
    pub found: Option<[u8; 32]>,
}

impl Contradiction {
    /// What is missing and who says so, without what to do.
    pub fn missing(&self) -> Missing<'_> {
        Missing(self)
    }
}

/// The first part of a [`Contradiction`]'s text.
#[derive(Debug)]
pub struct Missing<'a>(&'a Contradiction);

impl fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Contradiction { remembered, head, found } = self.0;
        let Remembered { by, group, position, journal_hash, .. } = remembered;
        if *by == Keeper::Backup {
            return write_restored(f, self.0);
        }
        write!(f, "{} names ", by.name())?;
        if let Some(group) = group {
            write!(f, "group {group}, ")?;
        }
        write!(f, "position {} with journal hash {}; ", position.0, hex::encode(journal_hash))?;
        let (last, end) = (head.group, head.position);
        let own = hex::encode(head.journal_hash);
        match (found, group) {
            (Some(found), _) => {
                write!(f, "the journal has hash {} there: another history", hex::encode(found))
            }
            (None, Some(group)) if *group > last => write!(
                f,
                "the journal ends at group {last}, position {end}, hash {own}: groups {} to \
                 {group}, positions {} to {} are missing",
                last + 1,
                end + 1,
                position.0
            ),
            (None, _) => write!(
                f,
                "the journal, which ends at group {last}, position {end}, hash {own}, lacks it"
            ),
        }
    }
}

/// What a restored folder lacks: how much, its backup does not know.
fn write_restored(f: &mut fmt::Formatter<'_>, lacks: &Contradiction) -> fmt::Result {
    let Contradiction { remembered: Remembered { group, position, .. }, head, found } = lacks;
    let end = group.unwrap_or(0).saturating_sub(1);
    write!(
        f,
        "this folder was restored from a backup that ends at group {end}, position {}: whatever \
         was acknowledged after that is not in the journal",
        position.0.saturating_sub(1)
    )?;
    match found {
        None => Ok(()),
        // Whoever took the mark away and put it back, or copied it from elsewhere.
        Some(found) => write!(
            f,
            ", or the journal has grown past it since: it reaches group {} and has hash {} behind \
             the backup's end. If it is a whole newer journal that was put in the place of the \
             backup's, with its own head.witness, move restored.mark away; else numbers that were \
             acknowledged before may be given twice",
            head.group,
            hex::encode(found)
        ),
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.missing())?;
        if self.remembered.by == Keeper::Backup {
            return f.write_str(
                ". Leave the node running until gateways and wallets have come: it keeps the \
                 newest receipts that they show. Then stop it and run `sequencer journal recover \
                 --accept-loss --reason TEXT`: the journal goes on beyond every number that they \
                 name, and gateways send again what they keep",
            );
        }
        f.write_str(". Stop the node and put the newest whole copy of journal/ in its place")?;
        match self.remembered.by {
            Keeper::Contract => f.write_str(
                ". What is settled cannot be given up: without such a copy keep the folder as it is",
            ),
            Keeper::Store | Keeper::Witness | Keeper::Receipt | Keeper::Backup => f.write_str(
                "; only if there is none: `sequencer journal recover --accept-loss`, which gives \
                 up what is not settled, for everybody to see",
            ),
        }
    }
}

impl std::error::Error for Contradiction {}

/// A journal that cannot be compared.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// It cannot be read.
    #[error("the journal cannot be read")]
    Read(#[from] ReadError),
    /// The entry that begins it again after a loss does not decode.
    #[error("the entry after the loss before group {group} does not decode")]
    Decode {
        /// The group.
        group: u64,
        /// Why not.
        source: FrameError,
    },
    /// A jump without the entry that says why.
    #[error("expected an entry that says what was lost first in group {group}, found another")]
    NoGap {
        /// The group.
        group: u64,
    },
}

/// Losses that were accepted up to a group.
///
/// # Errors
/// [`HistoryError`].
pub fn term_of<M: Medium>(reader: &Reader<M>, group: u64) -> Result<u32, HistoryError> {
    let mut behind = reader.given_up().into_iter().map(|gap| gap.until.group);
    // The last loss before it says how many there were. Read each time: most journals have none.
    let last = behind.rfind(|first| *first <= group);
    last.map_or(Ok(0), |first| Ok(gap_entry(reader, first)?.term))
}

/// Every loss that was accepted, oldest first.
///
/// # Errors
/// [`HistoryError`].
pub fn losses<M: Medium>(reader: &Reader<M>) -> Result<Vec<GapEntry>, HistoryError> {
    reader.given_up().into_iter().map(|gap| gap_entry(reader, gap.until.group)).collect()
}

fn gap_entry<M: Medium>(reader: &Reader<M>, group: u64) -> Result<GapEntry, HistoryError> {
    let first = reader.group(group)?.entries.into_iter().next();
    let JournalEntry { kind, body, .. } = first.ok_or(HistoryError::NoGap { group })?;
    let decoded = Entry::from_bytes(kind.code(), &body);
    match decoded.map_err(|source| HistoryError::Decode { group, source })? {
        Entry::Gap(entry) => Ok(entry),
        _ => Err(HistoryError::NoGap { group }),
    }
}

/// Compares a memory with the journal. Reads nothing from the disk where they agree and no loss was
/// ever accepted.
///
/// # Errors
/// [`HistoryError`] if the journal cannot be read.
pub fn compare<M: Medium>(
    reader: &Reader<M>,
    remembered: &Remembered,
) -> Result<Comparison, HistoryError> {
    let number = match remembered.group {
        Some(group) => Ok(group),
        None => reader.group_of(remembered.position.0),
    };
    let found = number.and_then(|number| Ok((number, reader.hash_tag(number)?)));
    let found = match found {
        Ok((number, tag)) => {
            // The first eight bytes tell two histories apart; all 32 are read to show them.
            let same = u64::from_le_bytes(head_of(&remembered.journal_hash)) == tag;
            // What cannot be read says nothing: neither that it holds nor that it is another's.
            let in_term = match remembered.term {
                Some(term) => term_of(reader, number)? == term,
                None => true,
            };
            if same && in_term {
                return Ok(Comparison::Holds);
            }
            Some(reader.group(number)?.journal_hash)
        }
        Err(ReadError::Absent { .. } | ReadError::GivenUp { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    if is_accepted(reader, remembered)? {
        return Ok(Comparison::LossAccepted);
    }
    let (remembered, head) = (*remembered, reader.head());
    Ok(Comparison::Contradicted(Contradiction { remembered, head, found }))
}

/// Whether what is remembered is of an earlier term, and among what was given up when that ended:
/// the numbers that nobody has, or those of another history that were named as lost.
fn is_accepted<M: Medium>(
    reader: &Reader<M>,
    remembered: &Remembered,
) -> Result<bool, HistoryError> {
    // What is settled or assembled has no term: nothing of it can be given up.
    let (Some(group), Some(term)) = (remembered.group, remembered.term) else { return Ok(false) };
    for gap in reader.given_up() {
        let entry = gap_entry(reader, gap.until.group)?;
        if term < entry.term && (entry.lost.group..gap.until.group).contains(&group) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn head_of(hash: &[u8; 32]) -> [u8; 8] {
    *hash.first_chunk().expect("32 bytes hold 8")
}

/// Holds the node: once somebody showed what the journal lacks, nothing more is taken in or
/// acknowledged, until an operator acts. Clones share it.
#[derive(Clone, Debug)]
pub struct Hold {
    why: watch::Sender<Option<Contradiction>>,
    shown: broadcast::Sender<SignedReceipt>,
}

/// Receipts that may wait to be kept. Beyond that the oldest are shown again when their holders
/// come again.
const SHOWN_MAX: usize = 256;

impl Default for Hold {
    fn default() -> Hold {
        Hold { why: watch::Sender::new(None), shown: broadcast::Sender::new(SHOWN_MAX) }
    }
}

impl Hold {
    /// Holds the node from now on because its journal lacks this; the first reason stays.
    pub fn set(&self, lacks: Contradiction) {
        self.why.send_if_modified(|why| {
            let first = why.is_none();
            why.get_or_insert(lacks);
            first
        });
    }

    /// Holds the node, and hands on the receipt that says why. Each is, not only the first: what
    /// all of them know is what a recovery has to go beyond.
    pub fn set_by(&self, lacks: Contradiction, receipt: &SignedReceipt) {
        self.set(lacks);
        // Nobody keeps them where nothing but a test runs.
        drop(self.shown.send(receipt.clone()));
    }

    /// What holds the node, if it is held.
    pub fn held(&self) -> Option<Contradiction> {
        *self.why.borrow()
    }

    /// Receipts that say so, from now on.
    pub fn shown(&self) -> broadcast::Receiver<SignedReceipt> {
        self.shown.subscribe()
    }

    /// Whether the node is held.
    pub fn is_set(&self) -> bool {
        self.why.borrow().is_some()
    }

    /// Follows it.
    pub fn subscribe(&self) -> watch::Receiver<Option<Contradiction>> {
        self.why.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use journal::fault::{FaultMedium, salts};
    use journal::{EntryKind, Genesis, Log, Place};
    use wire::{JournalPlace, Reason};

    use super::*;

    const NOW: u64 = 3_976_214_400_000;

    /// A journal of `groups` groups with one entry each; `salt` makes it another history.
    fn journal(groups: u64) -> Log<FaultMedium> {
        let genesis = Genesis { log_id: [1; 16], journal_hash: [2; 32] };
        let (mut log, _) = Log::open(FaultMedium::default(), genesis, salts()).unwrap();
        for _ in 0..groups {
            log.append(&[journal::Entry::new(EntryKind::FRAME, NOW, "entry")]).unwrap();
        }
        log
    }

    fn remembered(log: &Log<FaultMedium>, group: u64, term: u32) -> Remembered {
        let group = log.group(group).unwrap();
        Remembered {
            by: Keeper::Receipt,
            group: Some(group.number),
            position: Position(group.last),
            term: Some(term),
            journal_hash: group.journal_hash,
        }
    }

    fn accept_loss(log: &mut Log<FaultMedium>, entry: GapEntry, beyond: u64) {
        let place = Place { group: beyond, position: beyond };
        let mut group = log.builder_beyond(NOW, place).unwrap();
        group.append(EntryKind::GAP, &Entry::Gap(entry).to_bytes().unwrap()).unwrap();
        log.append_built(group).unwrap();
    }

    fn gap(term: u32, lost: u64, known: u64) -> GapEntry {
        let place = |number| JournalPlace { group: number, position: number };
        let reason = Reason::new("a disk").unwrap();
        GapEntry { term, lost: place(lost), known: place(known), reason }
    }

    fn contradicted(comparison: Comparison) -> Contradiction {
        match comparison {
            Comparison::Contradicted(contradiction) => contradiction,
            other => panic!("expected a contradiction, found {other:?}"),
        }
    }

    #[test]
    fn a_journal_holds_what_it_gave_and_lacks_what_was_cut_off() {
        let (whole, shortened) = (journal(9), journal(6));
        let at = |group| remembered(&whole, group, 0);
        assert_eq!(compare(&shortened.reader(), &at(6)).unwrap(), Comparison::Holds);
        let lacks = contradicted(compare(&shortened.reader(), &at(9)).unwrap());
        assert_eq!((lacks.head.group, lacks.found), (6, None));
        let text = lacks.to_string();
        assert!(text.contains("groups 7 to 9, positions 7 to 9 are missing"), "{text}");
        assert!(text.contains("sequencer journal recover --accept-loss"), "{text}");
    }

    #[test]
    fn another_history_under_the_same_numbers_is_told_with_both_hashes() {
        let (ours, theirs) = (journal(3), journal(3));
        let mut theirs = theirs;
        theirs.append(&[journal::Entry::new(EntryKind::FRAME, NOW, "theirs")]).unwrap();
        let mut ours = ours;
        ours.append(&[journal::Entry::new(EntryKind::FRAME, NOW, "ours")]).unwrap();
        let at = remembered(&theirs, 4, 0);
        let other = contradicted(compare(&ours.reader(), &at).unwrap());
        assert_eq!(other.found, Some(ours.head().journal_hash));
        let text = other.to_string();
        assert!(text.contains(&hex::encode(at.journal_hash)), "{text}");
        assert!(text.contains(&hex::encode(ours.head().journal_hash)), "{text}");
        // By a position alone, as the contract knows it.
        let settled = Remembered { by: Keeper::Contract, group: None, term: None, ..at };
        let other = contradicted(compare(&ours.reader(), &settled).unwrap());
        assert!(other.to_string().contains("cannot be given up"), "{other}");
    }

    #[test]
    fn an_accepted_loss_no_longer_contradicts_but_a_later_one_does() {
        let (whole, mut shortened) = (journal(9), journal(6));
        accept_loss(&mut shortened, gap(1, 7, 9), 1_000);
        let reader = shortened.reader();
        for group in 7..=9 {
            let lost = remembered(&whole, group, 0);
            assert_eq!(compare(&reader, &lost).unwrap(), Comparison::LossAccepted);
        }
        assert_eq!(term_of(&reader, 6).unwrap(), 0);
        assert_eq!(term_of(&reader, 1_000).unwrap(), 1);
        // The same number in the term after the loss was never given.
        let forged = remembered(&whole, 9, 1);
        contradicted(compare(&reader, &forged).unwrap());
        let new = remembered(&shortened, 1_000, 1);
        assert_eq!(compare(&reader, &new).unwrap(), Comparison::Holds);
        let of_another_term = Remembered { term: Some(0), ..new };
        contradicted(compare(&reader, &of_another_term).unwrap());
        // What is settled cannot be lost by acceptance.
        let settled = Remembered { by: Keeper::Contract, term: None, ..remembered(&whole, 9, 0) };
        contradicted(compare(&reader, &settled).unwrap());
    }

    #[test]
    fn a_second_story_that_was_accepted_as_lost_contradicts_no_more() {
        // The whole machine was rolled back to group 3 and went on; then the first story was shown.
        let mut first = journal(3);
        let mut second = journal(3);
        for (log, body) in [(&mut first, "first"), (&mut second, "second")] {
            log.append(&[journal::Entry::new(EntryKind::FRAME, NOW, body)]).unwrap();
        }
        let shown = remembered(&first, 4, 0);
        contradicted(compare(&second.reader(), &shown).unwrap());
        accept_loss(&mut second, gap(1, 4, 4), 1_000);
        assert_eq!(compare(&second.reader(), &shown).unwrap(), Comparison::LossAccepted);
    }

    #[test]
    fn a_restored_folder_lacks_what_came_after_its_backup_until_that_is_accepted() {
        let mut log = journal(6);
        let end = remembered(&log, 6, 0);
        let behind =
            Remembered { by: Keeper::Backup, group: Some(7), position: Position(7), ..end };
        let lacks = contradicted(compare(&log.reader(), &behind).unwrap()).to_string();
        assert!(lacks.contains("a backup that ends at group 6, position 6"), "{lacks}");
        assert!(!lacks.contains("grown past"), "{lacks}");
        let grown = contradicted(compare(&journal(8).reader(), &behind).unwrap()).to_string();
        assert!(grown.contains("has grown past it since: it reaches group 8"), "{grown}");
        assert!(grown.contains("move restored.mark away"), "{grown}");
        accept_loss(&mut log, gap(1, 7, 7), 1_000);
        assert_eq!(compare(&log.reader(), &behind).unwrap(), Comparison::LossAccepted);
    }

    #[test]
    fn the_first_reason_to_hold_stays() {
        let hold = Hold::default();
        assert!(!hold.is_set());
        let (whole, shortened) = (journal(9), journal(6));
        for group in [9, 8] {
            let at = remembered(&whole, group, 0);
            let contradiction = contradicted(compare(&shortened.reader(), &at).unwrap());
            hold.set(contradiction);
        }
        assert_eq!(hold.held().unwrap().remembered.group, Some(9));
    }
}
