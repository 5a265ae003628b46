//! The frames of all streams that have no receipt yet, and which of them goes next.

use std::collections::BTreeMap;

use bytes::Bytes;
use model::{Millis, RejectCode, Sequence, StreamHandle};

use super::event::{ClientError, ClientEvent, ClientLimits, KeptFrames, StopReason, Violation};
use super::stream::{Ready, Stream};
use crate::credit::Budget;
use crate::stream::check_signal;
use crate::{
    Codec, Credit, Descriptor, Features, Frame, FramePlace, FramesItem, Lane, Layout, OpenStream,
    Reading, StreamName, UnderWay,
};

/// Outlives connections; the credit and what is under way are of one connection.
pub(super) struct HeldFrames {
    limits: ClientLimits,
    /// Of the frames that are made here; none: whichever fits.
    codec: Option<Codec>,
    /// What the server of this connection speaks.
    spoken: Features,
    streams: BTreeMap<StreamHandle, Stream>,
    names: BTreeMap<StreamName, StreamHandle>,
    next_handle: u32,
    /// Of the frames of all streams: the sum of what each holds, kept so that no push adds it up.
    bytes: usize,
    credit: Credit,
    /// The sum over all streams of what is under way on this connection.
    under_way: UnderWay,
    /// Streams of backfill.
    backfills: usize,
    /// The stream served last on each lane, so that streams take turns.
    served: [StreamHandle; 3],
}

impl HeldFrames {
    pub(super) fn new(limits: ClientLimits, codec: Option<Codec>) -> HeldFrames {
        HeldFrames {
            limits,
            codec,
            spoken: Features::default(),
            streams: BTreeMap::new(),
            names: BTreeMap::new(),
            // Handle 0 is that of stored frames (W.12).
            next_handle: 1,
            bytes: 0,
            credit: Credit::default(),
            under_way: UnderWay::default(),
            backfills: 0,
            served: [StreamHandle(0); 3],
        }
    }

    /// Bytes of all frames without a receipt.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is under way on this connection.
    pub(super) fn under_way(&self) -> Credit {
        self.under_way.sum()
    }

    /// How each stream is opened, for a new connection.
    pub(super) fn opens(&self) -> impl Iterator<Item = &OpenStream> {
        self.streams.values().map(Stream::open)
    }

    /// The connection is gone: streams and frames stay, credit does not.
    pub(super) fn disconnect(&mut self) {
        (self.credit, self.under_way) = (Credit::default(), UnderWay::default());
        self.streams.values_mut().for_each(Stream::disconnect);
    }

    /// Takes in what the server speaks.
    pub(super) fn set_spoken(&mut self, spoken: Features) {
        self.spoken = spoken;
    }

    /// Replaces the credit.
    pub(super) fn set_credit(&mut self, credit: Credit) {
        self.credit = credit;
    }

    /// Adds a stream and says how it is opened.
    pub(super) fn open(
        &mut self,
        lane: Lane,
        descriptor: Descriptor,
        receipted: Sequence,
    ) -> Result<OpenStream, ClientError> {
        check_signal(descriptor.key.signal)?;
        let (name, limit) = (descriptor.name(), self.limits.streams_max);
        if self.names.contains_key(&name) {
            return Err(ClientError::StreamOpen);
        }
        let handle = StreamHandle(self.next_handle);
        // Handles are not given twice, even over connections: a late message of the server about
        // an ended stream must not meet another one. So they may run out, after four thousand
        // million streams, and that counts as full.
        let Some(next_handle) =
            self.next_handle.checked_add(1).filter(|_| self.streams.len() < limit)
        else {
            return Err(ClientError::Full { what: "streams", limit });
        };
        self.next_handle = next_handle;
        let open = OpenStream { handle, lane, descriptor };
        self.streams.insert(handle, Stream::new(open.clone(), receipted));
        self.backfills += usize::from(lane == Lane::Backfill);
        self.names.insert(name, handle);
        Ok(open)
    }

    /// Makes the next frame of a stream from readings and holds it.
    pub(super) fn push(
        &mut self,
        handle: StreamHandle,
        readings: &[Reading],
    ) -> Result<Frame, ClientError> {
        let frame = self.make(handle, readings)?;
        // Only after it is made: a reading that is out of range must take no room.
        self.take_room(&frame)?;
        self.accepting(handle)?.hold(frame.clone());
        Ok(frame)
    }

    /// Makes the next frame of a stream from readings and does not hold it.
    pub(super) fn make(
        &mut self,
        handle: StreamHandle,
        readings: &[Reading],
    ) -> Result<Frame, ClientError> {
        let codec = self.codec;
        let stream = self.accepting(handle)?;
        let descriptor = &stream.open().descriptor;
        let signal = descriptor.key.signal().ok_or(ClientError::NoStream)?;
        let place = FramePlace { handle, epoch: descriptor.epoch, sequence: stream.next() };
        let layout = Layout { codec, period: descriptor.period };
        Ok(Frame::encode(place, signal, readings, layout)?)
    }

    /// Holds a frame that was made before a restart.
    pub(super) fn restore(
        &mut self,
        handle: StreamHandle,
        frame: &Frame,
    ) -> Result<(), ClientError> {
        self.check_next(handle, frame)?;
        self.take_room(frame)?;
        self.accepting(handle)?.hold_again(frame.with_handle(handle));
        Ok(())
    }

    /// Holds a frame that its owner made and never sent.
    pub(super) fn queue(&mut self, handle: StreamHandle, frame: &Frame) -> Result<(), ClientError> {
        self.check_next(handle, frame)?;
        self.take_room(frame)?;
        self.accepting(handle)?.hold(frame.with_handle(handle));
        Ok(())
    }

    /// What its owner keeps of a stream besides what is held here.
    pub(super) fn set_kept(&mut self, handle: StreamHandle, kept: KeptFrames) {
        if let Some(stream) = self.streams.get_mut(&handle) {
            stream.set_kept(kept);
        }
    }

    fn check_next(&mut self, handle: StreamHandle, frame: &Frame) -> Result<(), ClientError> {
        let stream = self.accepting(handle)?;
        let (expected, found) = (stream.next(), frame.sequence());
        let epoch = stream.open().descriptor.epoch;
        // A hole could never be mended: the server takes no frame behind one (W.19).
        if expected != found || frame.header().epoch != epoch {
            return Err(ClientError::NotNext { expected, found });
        }
        Ok(())
    }

    /// Takes no more frames for a stream, and ends it after its last receipt.
    pub(super) fn end(&mut self, handle: StreamHandle) -> Result<Option<ClientEvent>, ClientError> {
        self.streams.get_mut(&handle).ok_or(ClientError::NoStream)?.end();
        Ok(self.end_if_done(handle))
    }

    /// The server opened a stream and takes `next` first.
    pub(super) fn make_ready(
        &mut self,
        handle: StreamHandle,
        next: Sequence,
    ) -> Option<ClientEvent> {
        let stream = self.streams.get_mut(&handle)?;
        let lane = stream.open().lane;
        match stream.make_ready(next) {
            Ok(Ready::On) => Some(ClientEvent::StreamReady { handle, next }),
            Ok(Ready::Again { receipted, held_bytes, under_way }) => {
                self.bytes -= held_bytes;
                self.under_way.take(lane, under_way);
                Some(ClientEvent::Regressed { handle, next, receipted })
            }
            Err(why) => self.stop(handle, why),
        }
    }

    /// The bytes of the next frame to send on a lane, which is then under way.
    pub(super) fn next_frame(&mut self, lane: Lane) -> Option<Bytes> {
        self.next_frame_if(lane, |_| true)
    }

    /// As [`HeldFrames::next_frame`], if the next one is such a frame.
    pub(super) fn next_frame_if(
        &mut self,
        lane: Lane,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> Option<Bytes> {
        let served = self.served[lane as usize];
        let after = self.streams.range(StreamHandle(served.0.saturating_add(1))..);
        let in_turn = after.chain(self.streams.range(..=served));
        let mut due = in_turn
            .filter(|(_, stream)| stream.open().lane == lane && stream.due().is_some())
            .map(|(handle, _)| *handle);
        // Only the first one is tried: a smaller frame of another stream would else overtake it for
        // as long as credit is short.
        let handle = due.next()?;
        drop(due);
        let stream = self.streams.get_mut(&handle)?;
        stream.lay_out_due(self.spoken);
        let bytes = stream.due().map(Frame::as_bytes).filter(|bytes| is_wanted(bytes))?.clone();
        let frame = Credit::of_frame(bytes.len());
        let budget = Budget { credit: self.credit, backfills: self.backfills > 0 };
        if !self.under_way.admits(lane, frame, budget) {
            return None;
        }
        self.under_way.add(lane, frame);
        self.streams.get_mut(&handle)?.count_sent();
        // Only when one goes, so that a stream that waits for credit does not lose its turn.
        self.served[lane as usize] = handle;
        Some(bytes)
    }

    /// When the first wait of a stream is over.
    pub(super) fn wakeup(&self) -> Option<Millis> {
        self.streams.values().filter_map(Stream::paused_until).min()
    }

    /// Lets streams go on whose wait is over; gives those that the server is to open now.
    pub(super) fn resume(&mut self, now: Millis) -> Vec<OpenStream> {
        let streams = self.streams.values_mut();
        streams.filter_map(|stream| stream.resume(now).cloned()).collect()
    }

    /// Whether the frames of a receipt were sent; a stream that is gone is nobody's concern.
    pub(super) fn check_sent(&self, item: &FramesItem) -> Result<(), Violation> {
        let handle = self.names.get(&item.stream);
        let Some(stream) = handle.and_then(|handle| self.streams.get(handle)) else {
            return Ok(());
        };
        // The last one alone: frames go in order, so those before it were sent before.
        let (expected, found) = (stream.sent(), item.sequences.1);
        if found > expected { Err(Violation::NotSent { expected, found }) } else { Ok(()) }
    }

    /// Counts off the frames of a receipt.
    pub(super) fn acknowledge(&mut self, item: &FramesItem) -> Vec<ClientEvent> {
        let handle = self.names.get(&item.stream).copied();
        let Some((handle, stream)) =
            handle.and_then(|handle| Some((handle, self.streams.get_mut(&handle)?)))
        else {
            return Vec::new();
        };
        let lane = stream.open().lane;
        let freed = stream.acknowledge(item.sequences.0, item.sequences.1);
        self.bytes -= freed.held_bytes;
        self.under_way.take(lane, freed.under_way);
        let marks = freed.marks.into_iter();
        let durable = marks.map(|last| ClientEvent::Durable { handle, last });
        durable.chain(self.end_if_done(handle)).collect()
    }

    /// The server rejected frames of a stream from `from` on.
    pub(super) fn reject(
        &mut self,
        handle: StreamHandle,
        from: Sequence,
        code: RejectCode,
        now: Millis,
    ) -> Option<ClientEvent> {
        // The stream is refused for good (W.23): what it holds is its owner's again.
        if !code.retry() {
            return self.stop(handle, StopReason::Refused(code));
        }
        let stream = self.streams.get_mut(&handle)?;
        let lane = stream.open().lane;
        match stream.rewind(from, code) {
            Err(why) => self.stop(handle, why),
            Ok(back) => {
                // A gap is mended by what the server waits for, so waiting would only lose time;
                // after any other code the server needs some.
                let wait_ms = if code == RejectCode::Gap { 0 } else { self.limits.retry_after_ms };
                let again_at = now.plus(wait_ms);
                if wait_ms > 0 {
                    stream.pause(now, again_at);
                }
                self.under_way.take(lane, back);
                Some(ClientEvent::Delayed { handle, code, again_at })
            }
        }
    }

    /// The server does not open a stream, or takes no more of it.
    pub(super) fn refuse(
        &mut self,
        handle: StreamHandle,
        code: RejectCode,
        now: Millis,
    ) -> Option<ClientEvent> {
        if !code.retry() {
            return self.stop(handle, StopReason::Refused(code));
        }
        // For a reason that passes (W.52): what is held stays held, and its owner is told of each
        // pause, so that a stream that never opens is not waited for in silence.
        let stream = self.streams.get_mut(&handle)?;
        let ClientLimits { retry_after_ms, reopen_after_ms_max, .. } = self.limits;
        // Ever longer: what a disk or a clock lacks takes its operator minutes, and a server that
        // is asked by a ward of gateways every second has less for everybody.
        let doubled = 1u64.checked_shl(stream.postponed()).unwrap_or(u64::MAX);
        let again_at = now.plus(retry_after_ms.saturating_mul(doubled).min(reopen_after_ms_max));
        self.under_way.take(stream.open().lane, stream.postpone());
        stream.pause(now, again_at);
        Some(ClientEvent::StreamPostponed { handle, code, again_at })
    }

    /// Gives a stream up and hands its frames back.
    pub(super) fn stop(&mut self, handle: StreamHandle, why: StopReason) -> Option<ClientEvent> {
        let frames = self.remove(handle)?.into_frames();
        Some(ClientEvent::StreamStopped { handle, why, frames })
    }

    fn end_if_done(&mut self, handle: StreamHandle) -> Option<ClientEvent> {
        if !self.streams.get(&handle)?.is_done() {
            return None;
        }
        self.remove(handle)?;
        Some(ClientEvent::StreamEnded { handle })
    }

    fn remove(&mut self, handle: StreamHandle) -> Option<Stream> {
        // The one way out of the map, so that neither sum can be forgotten.
        let stream = self.streams.remove(&handle)?;
        self.names.remove(&stream.open().descriptor.name());
        let lane = stream.open().lane;
        self.backfills -= usize::from(lane == Lane::Backfill);
        self.under_way.take(lane, stream.under_way());
        self.bytes -= stream.held_bytes();
        Some(stream)
    }

    fn accepting(&mut self, handle: StreamHandle) -> Result<&mut Stream, ClientError> {
        let stream = self.streams.get_mut(&handle).filter(|stream| !stream.is_ending());
        stream.ok_or(ClientError::NoStream)
    }

    fn take_room(&mut self, frame: &Frame) -> Result<(), ClientError> {
        let (bytes, limit) = (frame.as_bytes().len(), self.limits.held_bytes_max);
        if self.bytes + bytes > limit {
            return Err(ClientError::Full { what: "bytes without a receipt", limit });
        }
        self.bytes += bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use model::Position;

    use super::*;
    use crate::client::samples::{at, open, readings};

    /// Ready streams on these lanes, each with so many frames of two readings (64 bytes).
    fn held(lanes: &[Lane], frames: usize) -> HeldFrames {
        let mut held = HeldFrames::new(ClientLimits::default(), Some(Codec::RAW));
        for (i, lane) in lanes.iter().enumerate() {
            let descriptor = open(i as u32 + 1, *lane).descriptor;
            let handle = held.open(*lane, descriptor, Sequence(0)).expect("room").handle;
            held.make_ready(handle, Sequence(1));
            (0..frames).for_each(|_| drop(held.push(handle, &readings(2)).expect("room")));
        }
        held.set_credit(Credit { bytes: 1 << 20, frames: 100 });
        held
    }

    fn handle_of(bytes: &Bytes) -> u32 {
        u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes"))
    }

    fn item(handle: u32, first: u64, last: u64) -> FramesItem {
        let stream = open(handle, Lane::Live).descriptor.name();
        let positions = (Position(first), Position(last));
        let sequences = (Sequence(first), Sequence(last));
        FramesItem { stream, sequences, positions, appended: at(0) }
    }

    #[test]
    fn the_streams_of_a_lane_take_turns() {
        let mut held = held(&[Lane::Live, Lane::Backfill, Lane::Live], 2);
        let turns: Vec<_> = std::iter::from_fn(|| held.next_frame(Lane::Live)).collect();
        assert_eq!(turns.iter().map(handle_of).collect::<Vec<_>>(), [1, 3, 1, 3]);
    }

    #[test]
    fn live_readings_leave_their_eighth_to_backfill_and_both_leave_alarms_theirs() {
        let mut held = held(&[Lane::Live, Lane::Backfill, Lane::Control], 100);
        let sent = [Lane::Live, Lane::Backfill, Lane::Control]
            .map(|lane| std::iter::from_fn(|| held.next_frame(lane)).count());
        assert_eq!(sent, [76, 12, 12]);
        held.stop(StreamHandle(2), StopReason::Refused(RejectCode::NotPermitted));
        assert_eq!(held.under_way().frames, 88);
        held.stop(StreamHandle(3), StopReason::Refused(RejectCode::NotPermitted));
        let live = std::iter::from_fn(|| held.next_frame(Lane::Live)).count();
        assert_eq!(live, 12, "without a stream of backfill it is live's");
    }

    #[test]
    fn a_frame_beyond_its_lanes_share_goes_alone_or_not_at_all() {
        let mut held = held(&[Lane::Backfill], 2);
        held.set_credit(Credit { bytes: 100, frames: 8 });
        assert!(held.next_frame(Lane::Backfill).is_some(), "64 of a share of 52 bytes, alone");
        assert!(held.next_frame(Lane::Backfill).is_none());
        held.acknowledge(&item(1, 1, 1));
        held.set_credit(Credit { bytes: 63, frames: 8 });
        assert!(held.next_frame(Lane::Backfill).is_none(), "beyond the whole credit");
    }

    #[test]
    fn what_is_counted_is_counted_off_by_receipts_rejects_and_stops() {
        let mut held = held(&[Lane::Live, Lane::Live], 3);
        while held.next_frame(Lane::Live).is_some() {}
        assert_eq!((held.bytes(), held.under_way().frames), (6 * 64, 6));
        held.acknowledge(&item(1, 1, 2));
        assert_eq!((held.bytes(), held.under_way().frames), (4 * 64, 4));
        held.reject(StreamHandle(2), Sequence(2), RejectCode::Busy, at(0));
        assert_eq!((held.bytes(), held.under_way().frames), (4 * 64, 2));
        assert_eq!(held.wakeup(), Some(at(1000)));
        for handle in [1, 2].map(StreamHandle) {
            held.stop(handle, StopReason::Refused(RejectCode::NotPermitted));
        }
        assert_eq!((held.bytes(), held.under_way()), (0, Credit::default()));
    }

    #[test]
    fn a_stream_that_ends_takes_nothing_more_and_leaves_with_its_last_receipt() {
        let mut held = held(&[Lane::Live], 1);
        let handle = StreamHandle(1);
        held.next_frame(Lane::Live);
        assert_eq!(held.end(handle), Ok(None));
        assert_eq!(held.push(handle, &readings(1)), Err(ClientError::NoStream));
        let (last, ended) = (Sequence(1), ClientEvent::StreamEnded { handle });
        assert_eq!(
            held.acknowledge(&item(1, 1, 1)),
            [ClientEvent::Durable { handle, last }, ended]
        );
        assert_eq!(held.opens().count(), 0);
    }

    #[test]
    fn frames_that_were_never_sent_have_no_receipt() {
        let held = held(&[Lane::Live], 1);
        let (expected, found) = (Sequence(0), Sequence(1));
        assert_eq!(held.check_sent(&item(1, 1, 1)), Err(Violation::NotSent { expected, found }));
        assert_eq!(held.check_sent(&item(9, 1, 1)), Ok(()), "of no stream here");
    }
}
