//! A hostile medium in memory, for tests of the log and of whatever is built on it.
//!
//! It keeps what was synced apart from what was only written. A power cut keeps the synced part and
//! an arbitrary part of the rest; a failed sync drops the rest for good while reads still show it,
//! as a page cache does.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Medium, Salts};

const SECTOR: usize = crate::record::SECTOR_BYTES as usize;

/// Salts that anybody can foretell, the same at every start: for tests, whose bytes must not
/// change.
pub fn salts() -> Salts {
    let mut number = 0u64;
    Salts::new(move || {
        number += 1;
        let mut salt = [0x5a; 32];
        salt[..8].copy_from_slice(&number.to_le_bytes());
        Ok(salt)
    })
}

/// What a power cut does to writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// All are lost.
    Drop,
    /// All survive: the power failed just before the sync would have said so.
    Keep,
    /// A prefix of them survives, the last one up to an arbitrary sector.
    Prefix,
    /// Each survives or not, whatever the order.
    Reorder,
    /// Each sector of each survives or not.
    Tear,
}

impl Cut {
    /// All of them.
    pub const ALL: [Cut; 5] = [Cut::Drop, Cut::Keep, Cut::Prefix, Cut::Reorder, Cut::Tear];
}

/// A medium that can lose power and fail. Clones share their content.
#[derive(Clone, Debug, Default)]
pub struct FaultMedium {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    durable: Vec<u8>,
    visible: Vec<u8>,
    unsynced: Vec<Change>,
    calls: u64,
    fails_at: Option<u64>,
    off_at: Option<u64>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { len: usize },
}

impl FaultMedium {
    /// A medium that holds these bytes, durably.
    pub fn holding(bytes: Vec<u8>) -> FaultMedium {
        let medium = FaultMedium::default();
        *medium.state() = State { durable: bytes.clone(), visible: bytes, ..State::default() };
        medium
    }

    /// Lets the `call`-th changing call from now (write, sync, truncate; from 1) fail, once.
    pub fn fail_at(&self, call: u64) {
        let mut state = self.state();
        state.fails_at = Some(state.calls + call);
    }

    /// Lets the power fail at the `call`-th changing call from now: it and all later ones fail. A
    /// write that the power fails at is among the writes that may survive.
    pub fn power_off_at(&self, call: u64) {
        let mut state = self.state();
        state.off_at = Some(state.calls + call);
    }

    /// Changing calls so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// What reads show.
    pub fn bytes(&self) -> Vec<u8> {
        self.state().visible.clone()
    }

    /// What is on the medium after a power cut now; `seed` chooses among the possibilities.
    pub fn after_power_cut(&self, cut: Cut, seed: u64) -> Vec<u8> {
        let state = self.state();
        let mut image = state.durable.clone();
        let mut dice = Dice(seed);
        let whole = dice.below(state.unsynced.len() as u64 + 1) as usize;
        for (i, change) in state.unsynced.iter().enumerate() {
            match cut {
                Cut::Drop => {}
                Cut::Keep => change.apply(&mut image),
                Cut::Prefix if i < whole => change.apply(&mut image),
                Cut::Prefix if i == whole => {
                    let sectors = dice.below(change.sectors() + 1);
                    change.apply_sectors(&mut image, |sector| sector < sectors);
                }
                Cut::Prefix => {}
                Cut::Reorder if dice.flip() => change.apply(&mut image),
                Cut::Reorder => {}
                Cut::Tear => change.apply_sectors(&mut image, |_| dice.flip()),
            }
        }
        image
    }

    /// Counts a changing call and says how it goes.
    fn call(&self) -> (MutexGuard<'_, State>, Call) {
        let mut state = self.state();
        state.calls += 1;
        let call = match (state.fails_at, state.off_at) {
            (_, Some(off)) if state.calls > off => Call::Ignored,
            (_, Some(off)) if state.calls == off => Call::Interrupted,
            (Some(fails), _) if state.calls == fails => Call::Fails,
            _ => Call::Succeeds,
        };
        (state, call)
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let (mut state, call) = self.call();
        match call {
            Call::Ignored => {}
            Call::Succeeds | Call::Interrupted => {
                change.apply(&mut state.visible);
                state.unsynced.push(change);
            }
            Call::Fails => {
                let half = change.first_half();
                half.apply(&mut state.visible);
                state.unsynced.push(half);
            }
        }
        call.result()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Medium for FaultMedium {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().visible.len() as u64)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let start = offset as usize;
        let stored = state.visible.get(start..start + bytes.len());
        bytes.copy_from_slice(stored.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(Change::Write { offset: offset as usize, bytes: bytes.to_vec() })
    }

    fn sync(&self) -> io::Result<()> {
        let (mut state, call) = self.call();
        match call {
            Call::Ignored | Call::Interrupted => {}
            // Only what waits: what an earlier failed sync dropped stays lost although reads show
            // it.
            Call::Succeeds => {
                for change in std::mem::take(&mut state.unsynced) {
                    change.apply(&mut state.durable);
                }
            }
            Call::Fails => state.unsynced.clear(),
        }
        call.result()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.change(Change::Truncate { len: len as usize })
    }
}

/// How a changing call goes.
#[derive(Clone, Copy)]
enum Call {
    Succeeds,
    Fails,
    Interrupted,
    Ignored,
}

impl Call {
    fn result(self) -> io::Result<()> {
        match self {
            Call::Succeeds => Ok(()),
            Call::Fails => Err(io::Error::other("injected failure")),
            Call::Interrupted | Call::Ignored => Err(io::Error::other("power is off")),
        }
    }
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        self.apply_sectors(image, |_| true);
    }

    /// Applies the sectors that `survives` names, counted from the start of the change.
    fn apply_sectors(&self, image: &mut Vec<u8>, mut survives: impl FnMut(u64) -> bool) {
        match self {
            Change::Truncate { len } if survives(0) => image.resize(*len, 0),
            Change::Truncate { .. } => {}
            Change::Write { offset, bytes } => {
                let mut at = 0;
                for sector in 0..self.sectors() {
                    let end = bytes.len().min(at + SECTOR - (offset + at) % SECTOR);
                    if survives(sector) {
                        image.resize(image.len().max(offset + end), 0);
                        image[offset + at..offset + end].copy_from_slice(&bytes[at..end]);
                    }
                    at = end;
                }
            }
        }
    }

    /// Sectors that the change touches; cutting counts as one.
    fn sectors(&self) -> u64 {
        match self {
            Change::Truncate { .. } => 1,
            Change::Write { offset, bytes } => {
                ((offset % SECTOR + bytes.len()).div_ceil(SECTOR)) as u64
            }
        }
    }

    /// What a write that failed may have left behind.
    fn first_half(&self) -> Change {
        match self {
            Change::Truncate { len } => Change::Truncate { len: *len },
            Change::Write { offset, bytes } => {
                Change::Write { offset: *offset, bytes: bytes[..bytes.len() / 2].to_vec() }
            }
        }
    }
}

/// splitmix64: the same seed, the same cut.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    fn flip(&mut self) -> bool {
        self.roll() & 1 == 1
    }
}
