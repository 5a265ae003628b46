//! Streams with a state folder: frames go to the session once they are synced, and what finds no
//! place there waits on disk.

use std::sync::Arc;

use model::{EpochNumber, Sequence, StreamHandle};
use wire::{ClientError, KeptFrames, Lane, Reading, StreamName};

use super::error::{ConnectionError, StreamError};
use super::memory::Memory;
use super::outcome::{Again, Loss};
use super::state::{HeldFrames, State, StreamState};
use crate::InputMark;
use crate::room::{Made, Room, Wanted, make_room};
use crate::spool::{Amount, GapCause, Spool, SpoolError, Unsynced};

/// A group of frames on its way to the disk.
pub(super) struct Group {
    handle: StreamHandle,
    unsynced: Unsynced,
}

impl Group {
    pub(super) fn handle(&self) -> StreamHandle {
        self.handle
    }

    /// Waits until the disk has it.
    pub(super) fn sync(&self) -> Result<(), SpoolError> {
        self.unsynced.sync()
    }
}

impl State {
    /// Keeps a frame. `None` while there is no room.
    pub(super) fn push_kept(
        &mut self,
        handle: StreamHandle,
        readings: &[Reading],
        mark: Option<InputMark>,
    ) -> Option<Result<Sequence, StreamError>> {
        match self.try_push_kept(handle, readings, mark) {
            Ok(pushed) => pushed.map(Ok),
            Err(StreamError::Spool(error)) => {
                // Whether it is on the disk nobody knows, so nothing may follow it.
                let why = ConnectionError::Spool(error);
                self.end(why.clone());
                Some(Err(why.into()))
            }
            Err(error) => Some(Err(error)),
        }
    }

    fn try_push_kept(
        &mut self,
        handle: StreamHandle,
        readings: &[Reading],
        mark: Option<InputMark>,
    ) -> Result<Option<Sequence>, StreamError> {
        let at = self.clock.now();
        let stream = self.streams.get_mut(&handle).ok_or(StreamError::Ended)?;
        let spool = stream.spool.as_ref().ok_or(StreamError::Ended)?;
        let (frame, worth) = (spool.encode(readings)?, spool.worth_of(readings));
        let bytes = frame.as_bytes().len();
        let sent_bytes = spool.sent_bytes(bytes);
        let room = self.make_room(&Wanted { bytes, worth, at }).map_err(spool_error)?;
        let goes = self.has_place(handle, sent_bytes);
        let stream = self.streams.get_mut(&handle).ok_or(StreamError::Ended)?;
        let spool = stream.spool.as_mut().ok_or(StreamError::Ended)?;
        match room {
            Room::There => spool.store(&frame, mark, at, goes).map_err(spool_error)?,
            Room::Later => return Ok(None),
            Room::None => {
                spool.refuse(&frame, GapCause::Full).map_err(spool_error)?;
                self.counts.readings_given_up += Amount::of(&frame).readings;
                return Err(StreamError::GivenUp);
            }
        }
        let (sequence, kept) = (spool.last(), spool.kept_frames());
        stream.last_sent = sequence;
        self.session.set_kept(handle, kept);
        self.counts.frames_sent += 1;
        self.counts.readings_sent += Amount::of(&frame).readings;
        Ok(Some(sequence))
    }

    fn make_room(&mut self, wanted: &Wanted) -> Result<Room, SpoolError> {
        let mut spools: Vec<_> =
            self.streams.values_mut().filter_map(|one| one.spool.as_mut()).collect();
        let Made { room, given_up } = make_room(&mut spools, wanted, &self.state_bounds)?;
        if given_up.frames > 0 {
            self.counts.frames_given_up += given_up.frames;
            self.counts.queued_given_up += given_up.readings;
            self.counts.readings_given_up += given_up.readings;
            self.streams.values_mut().for_each(StreamState::note_given_up);
        }
        Ok(room)
    }

    /// Whether the session has a place for so many bytes of a stream.
    fn has_place(&self, handle: StreamHandle, bytes: usize) -> bool {
        let Some(stream) = self.streams.get(&handle) else { return false };
        let own = stream.in_memory_bytes();
        // A frame that is larger than the share goes alone: else it could never go.
        bytes <= self.free_bytes(stream.lane) && (own == 0 || own + bytes <= self.share())
    }

    /// Bytes that there are places for in the session. What has one may have been sent and is never
    /// given up: of a small folder that may be a part only, or a full one could give up nothing.
    fn places(&self) -> usize {
        let part = usize::try_from(self.state_bounds.bytes_max / 4).unwrap_or(usize::MAX);
        self.held_bytes_max.min(part)
    }

    /// Bytes of those places that are free for a lane.
    fn free_bytes(&self, lane: Lane) -> usize {
        let memory = self.memory(self.places());
        // One frame alone goes, however small the folder is.
        if memory.taken == 0 { self.held_bytes_max } else { memory.free(lane) }
    }

    /// Whether a lane finds no place for frames of which nothing is on disk.
    pub(super) fn is_full_for(&self, lane: Lane) -> bool {
        let places = self.held_bytes_max;
        // Below seven eighths every lane finds some: not for every frame is the rest added up.
        self.session.held_bytes() >= places - places / 8 && self.memory(places).free(lane) == 0
    }

    /// How many of so many bytes are taken, and by whom.
    fn memory(&self, places: usize) -> Memory {
        let taken = self.session.held_bytes();
        let mut memory = Memory { places, taken, backfill: 0, backfills: false };
        for stream in self.streams.values() {
            memory.taken += stream.staged_bytes();
            if stream.lane == Lane::Backfill {
                memory.backfill += stream.in_memory_bytes();
                memory.backfills |= stream.stop.is_none();
            }
        }
        memory
    }

    /// Bytes of the session that one stream may take: a backlog must not keep the others waiting.
    fn share(&self) -> usize {
        let streams = self.streams.values().filter(|one| one.spool.is_some()).count();
        self.places() / streams.max(1)
    }

    /// Hands on what is synced, and stages what waits where there is a place for it.
    pub(super) fn fill(&mut self) {
        if self.is_ended() {
            return;
        }
        // The most urgent first: what one stream stages, the next finds taken.
        for lane in Lane::ALL {
            let of_lane = self.streams.iter().filter(|(_, one)| one.lane == lane);
            let handles: Vec<_> = of_lane.map(|(handle, _)| *handle).collect();
            for handle in handles {
                if let Err(why) = self.fill_stream(handle) {
                    self.end(why);
                    return;
                }
            }
        }
    }

    fn fill_stream(&mut self, handle: StreamHandle) -> Result<(), ConnectionError> {
        self.hand_on(handle)?;
        let spool = self.streams.get(&handle).and_then(|one| one.spool.as_ref());
        if spool.is_none_or(|spool| spool.waiting().frames == 0) {
            return Ok(());
        }
        let Some(lane) = self.streams.get(&handle).map(|one| one.lane) else { return Ok(()) };
        let (free, share) = (self.free_bytes(lane), self.share());
        let Some(stream) = self.streams.get_mut(&handle) else { return Ok(()) };
        let own = stream.in_memory_bytes();
        let Some(spool) = stream.spool.as_mut() else { return Ok(()) };
        let wrong = |error| ConnectionError::Spool(Arc::new(error));
        let mut room = free.min(share.saturating_sub(own));
        if own == 0 {
            let next = spool.next_bytes().map_err(wrong)?;
            // As in `has_place`.
            room = room.max(if next <= free { next } else { 0 });
        }
        // Not for every receipt: what is staged costs a sync.
        if room < share / 4 && own > 0 {
            return Ok(());
        }
        spool.stage(room).map_err(wrong)?;
        let kept = spool.kept_frames();
        self.session.set_kept(handle, kept);
        // What was sent before a restart needs no sync.
        self.hand_on(handle)
    }

    fn hand_on(&mut self, handle: StreamHandle) -> Result<(), ConnectionError> {
        let Some(stream) = self.streams.get_mut(&handle) else { return Ok(()) };
        let Some(spool) = stream.spool.as_mut() else { return Ok(()) };
        while let Some(ready) = spool.next_ready() {
            let queued = match ready.again {
                true => self.session.restore(handle, &ready.frame),
                false => self.session.queue(handle, &ready.frame),
            };
            match queued {
                Ok(()) => stream.held.push(&ready.frame),
                // Its owner ended it with frames that wait: they stay in the folder.
                Err(ClientError::NoStream) => return Ok(()),
                Err(error) => return Err(ConnectionError::Queue(error)),
            }
        }
        Ok(())
    }

    /// The node has less than it gave receipts for, and all behind it is kept: it goes again.
    pub(super) fn on_regressed(
        &mut self,
        handle: StreamHandle,
        next: Sequence,
        receipted: Sequence,
    ) {
        let durable = Sequence(next.0.saturating_sub(1));
        let Some(stream) = self.streams.get_mut(&handle) else { return };
        (stream.ready, stream.postponed) = (true, None);
        stream.last_receipted = durable;
        stream.held = HeldFrames::default();
        let (epoch, stream_name) = (stream.name.epoch, stream.name.clone());
        let Some(spool) = stream.spool.as_mut() else { return };
        spool.hold_back_behind(durable);
        match spool.rewind(durable) {
            Ok(again) => {
                self.counts.frames_sent += again.frames;
                self.counts.readings_restored += again.readings;
                let again = Again { frames: again.frames, readings: again.readings };
                let stream = stream_name;
                self.tell_loss(&Loss { stream, durable, receipted, epoch, again });
            }
            Err(error) => self.end(ConnectionError::Spool(Arc::new(error))),
        }
    }

    /// Of a stream that is to be opened: whether the node lacks frames with receipts that are not
    /// kept either. What is kept goes in a new epoch then, since a sequence has no hole.
    pub(super) fn renew(&mut self, name: &StreamName, spool: &mut Spool) -> Result<(), SpoolError> {
        let (receipted, kept) = (spool.last_receipted(), spool.kept_frames());
        let Some(durable) = self.marked(name) else { return Ok(()) };
        if durable >= receipted || durable.0 + 1 >= kept.first.0 {
            return Ok(());
        }
        let of_node = self.marked_epoch(name.device.as_str(), name.signal).unwrap_or_default();
        let next = name.epoch.max(of_node).0.checked_add(1);
        let path = || format!("{}.{}", name.device.as_str(), name.signal).into();
        let epoch = next.ok_or_else(|| SpoolError::EpochsUsed { path: path() })?;
        let again = spool.renew(EpochNumber(epoch))?;
        let again = Again { frames: again.frames, readings: again.readings };
        let epoch = EpochNumber(epoch);
        self.tell_loss(&Loss { stream: name.clone(), durable, receipted, epoch, again });
        Ok(())
    }

    /// What is to be synced before it may be sent, of streams of which nothing is being synced.
    pub(super) fn unsynced(&self, is_under_way: impl Fn(StreamHandle) -> bool) -> Vec<Group> {
        if self.is_ended() {
            // Above all after a sync that failed: another one would not say so.
            return Vec::new();
        }
        let streams = self.streams.iter().filter(|(handle, _)| !is_under_way(**handle));
        let groups = streams.filter_map(|(handle, stream)| {
            let unsynced = stream.spool.as_ref()?.unsynced()?;
            Some(Group { handle: *handle, unsynced })
        });
        groups.collect()
    }

    /// Groups were synced, or could not be.
    pub(super) fn on_synced(&mut self, groups: &[Group], outcome: Result<(), SpoolError>) {
        if let Err(error) = outcome {
            self.end(ConnectionError::Spool(Arc::new(error)));
            return;
        }
        for group in groups {
            let stream = self.streams.get_mut(&group.handle);
            if let Some(spool) = stream.and_then(|one| one.spool.as_mut()) {
                spool.note_synced(&group.unsynced);
            }
        }
        if self.is_ended() {
            return;
        }
        // Of these alone: what waits for room in other streams gets it by receipts.
        for group in groups {
            if let Err(why) = self.fill_stream(group.handle) {
                self.end(why);
                return;
            }
        }
    }
}

impl StreamState {
    /// Frames of it may be gone: what was kept behind them has another sequence now.
    fn note_given_up(&mut self) {
        let Some(spool) = &mut self.spool else { return };
        let before = std::mem::replace(&mut self.last_sent, spool.last());
        if let Some(first) = spool.take_moved() {
            self.moved.add(first, before);
        }
    }

    /// Whether the node has said what it has, and all of it that goes has receipts.
    pub(super) fn has_all_known(&self) -> bool {
        let known = self.spool.as_ref().and_then(Spool::held_back);
        self.ready && known.is_none_or(|last| self.last_receipted >= last)
    }

    /// What the session is told of its frames.
    pub(super) fn kept_frames(&self) -> Option<KeptFrames> {
        self.spool.as_ref().map(Spool::kept_frames)
    }

    /// Bytes of it that are held by the session, or will be.
    fn in_memory_bytes(&self) -> usize {
        self.held.bytes() + self.staged_bytes()
    }

    fn staged_bytes(&self) -> usize {
        self.spool.as_ref().map_or(0, Spool::staged_bytes)
    }
}

fn spool_error(error: SpoolError) -> StreamError {
    StreamError::Spool(Arc::new(error))
}
