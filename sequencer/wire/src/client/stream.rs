//! One stream of a client: the frames that have no receipt yet, and how far they were sent.

use std::collections::{BTreeMap, VecDeque};

use model::{Millis, RejectCode, Sequence};

use super::event::{KeptFrames, StopReason};
use crate::{Credit, Features, Frame, OpenStream};

pub(super) struct Stream {
    open: OpenStream,
    opening: Opening,
    /// The last sequence with a receipt.
    receipted: Sequence,
    /// The last sequence that was sent on any connection.
    sent: Sequence,
    /// Frames without a receipt: sequences `receipted + 1` on.
    held: VecDeque<Held>,
    /// What its owner keeps elsewhere.
    kept: KeptFrames,
    /// The first so many of `held` are under way on this connection; the one behind them is due.
    under_way: usize,
    /// Receipted runs, first to last, that do not follow `receipted` yet; at most one a frame held.
    overtaken: BTreeMap<Sequence, Sequence>,
    pause: Option<Pause>,
    /// How often in a row the server postponed the opening, on any connection.
    postponed: u32,
    ending: bool,
}

/// A frame without a receipt.
struct Held {
    frame: Frame,
    /// Bytes of it when it was made, which are those that the limit counts. It may be longer since,
    /// by no more than goes within a credit ([`Stream::lay_out_due`]).
    room: usize,
}

impl Held {
    fn new(frame: Frame) -> Held {
        Held { room: frame.as_bytes().len(), frame }
    }

    fn bytes(&self) -> usize {
        self.frame.as_bytes().len()
    }
}

/// How far the opening is on this connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opening {
    /// The server is asked, or will be when the session stands.
    Asked,
    /// The server does not open it now; it is asked again after the pause.
    Postponed,
    /// The server takes frames.
    Ready,
}

/// A time in which nothing is sent.
#[derive(Clone, Copy)]
struct Pause {
    from: Millis,
    until: Millis,
}

/// How a stream that the server opened goes on.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Ready {
    /// With what is held.
    On,
    /// With what its owner keeps: the server lost what it gave receipts for, up to `receipted`.
    Again {
        receipted: Sequence,
        /// What is held no longer, and what of it was under way.
        held_bytes: usize,
        under_way: Credit,
    },
}

/// What a receipt made room for.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Freed {
    /// Bytes of frames that are held no longer.
    pub(super) held_bytes: usize,
    /// What of them was under way.
    pub(super) under_way: Credit,
    /// The last receipted sequence after each run, in order.
    pub(super) marks: Vec<Sequence>,
}

impl Stream {
    pub(super) fn new(open: OpenStream, receipted: Sequence) -> Stream {
        Stream {
            open,
            opening: Opening::Asked,
            receipted,
            // What has a receipt was sent, if not by this session then before a restart.
            sent: receipted,
            held: VecDeque::new(),
            kept: KeptFrames::default(),
            under_way: 0,
            overtaken: BTreeMap::new(),
            pause: None,
            postponed: 0,
            ending: false,
        }
    }

    /// How the stream is opened.
    pub(super) fn open(&self) -> &OpenStream {
        &self.open
    }

    /// The sequence of the next frame that is made.
    pub(super) fn next(&self) -> Sequence {
        Sequence(self.receipted.0 + 1 + self.held.len() as u64)
    }

    /// The last sequence that was sent on any connection.
    pub(super) fn sent(&self) -> Sequence {
        self.sent.max(self.kept.sent)
    }

    /// What its owner keeps of it elsewhere.
    pub(super) fn set_kept(&mut self, kept: KeptFrames) {
        self.kept = kept;
    }

    /// Takes no more frames from here on.
    pub(super) fn end(&mut self) {
        self.ending = true;
    }

    /// Whether no more frames are taken.
    pub(super) fn is_ending(&self) -> bool {
        self.ending
    }

    /// Whether it ends and has its last receipt.
    pub(super) fn is_done(&self) -> bool {
        self.ending && self.held.is_empty()
    }

    /// Keeps the next frame until its receipt.
    pub(super) fn hold(&mut self, frame: Frame) {
        self.held.push_back(Held::new(frame));
    }

    /// Keeps a frame of before a restart. It may have been sent then, so a receipt for it is no
    /// surprise.
    pub(super) fn hold_again(&mut self, frame: Frame) {
        self.sent = self.sent.max(frame.sequence());
        self.held.push_back(Held::new(frame));
    }

    /// Forgets what was true of one connection only.
    pub(super) fn disconnect(&mut self) {
        // Not `sent` and not what was overtaken: a receipt holds on every connection. Nor how often
        // it was postponed: a server that is short of something is so over connections.
        (self.opening, self.under_way, self.pause) = (Opening::Asked, 0, None);
    }

    /// The server opened the stream and takes `next` first.
    ///
    /// # Errors
    /// Why the stream cannot go on from there.
    pub(super) fn make_ready(&mut self, next: Sequence) -> Result<Ready, StopReason> {
        // Not below zero: a `StreamOpened` with sequence 0 does not decode.
        let durable = Sequence(next.0 - 1);
        // It signed for more than it has: the receipts are evidence (W.24). What its owner keeps
        // goes again, in place of all that is held: it follows without a hole.
        if durable < self.receipted {
            if self.kept.first.0 == 0 || self.kept.first > next {
                return Err(StopReason::Regressed { durable });
            }
            return Ok(self.begin_again(durable));
        }
        // The server has frames that we do not know of: our spool was lost, or there is a twin of
        // this gateway. New readings under their sequences would be a conflict (W.20).
        if durable >= self.next() && durable > self.kept.last {
            return Err(StopReason::Ahead { durable });
        }
        // Frames up to `durable` are sent once more all the same: only a receipt frees them (W.24).
        (self.opening, self.postponed) = (Opening::Ready, 0);
        Ok(Ready::On)
    }

    /// Holds nothing, and goes on behind `durable`.
    fn begin_again(&mut self, durable: Sequence) -> Ready {
        let (held_bytes, under_way) = (self.held_bytes(), self.under_way());
        let receipted = std::mem::replace(&mut self.receipted, durable);
        (self.opening, self.postponed, self.under_way) = (Opening::Ready, 0, 0);
        self.held.clear();
        self.overtaken.clear();
        // What was sent before has receipts, which may come once more.
        self.sent = self.sent.max(receipted);
        Ready::Again { receipted, held_bytes, under_way }
    }

    /// The next frame to send, if one may be sent now.
    pub(super) fn due(&self) -> Option<&Frame> {
        let may_send = self.opening == Opening::Ready && self.pause.is_none();
        self.held.get(self.under_way).filter(|_| may_send).map(|held| &held.frame)
    }

    /// Lays the frame that is due out as rows if the server does not speak its codec. Under the
    /// same sequence, although it may have been sent before: a server that does not speak a codec
    /// stored no frame of it (W.71).
    pub(super) fn lay_out_due(&mut self, spoken: Features) {
        let Some(Held { frame, .. }) = self.held.get_mut(self.under_way) else { return };
        let is_spoken = |feature| spoken.contains(feature);
        if frame.header().codec.feature().is_some_and(is_spoken) {
            return;
        }
        let raw = self.open.descriptor.key.signal().map(|signal| frame.to_raw(signal));
        // One that does not read goes as it is: it is the server that says what is wrong with it.
        if let Some(Ok(raw)) = raw {
            *frame = raw;
        }
    }

    /// The frame that was due is under way.
    pub(super) fn count_sent(&mut self) {
        let Some(Held { frame, .. }) = self.held.get(self.under_way) else {
            return;
        };
        self.sent = self.sent.max(frame.sequence());
        self.under_way += 1;
    }

    /// Counts off receipted frames. A run that overtakes the one before it waits for that one:
    /// after a reconnect, what is stored already is acknowledged later than what is new.
    pub(super) fn acknowledge(&mut self, first: Sequence, last: Sequence) -> Freed {
        let mut freed = Freed::default();
        if first.0 > self.receipted.0 + 1 {
            // Not dropped: it is verified, and then nothing of it need come a second time.
            let latest = self.overtaken.entry(first).or_insert(last);
            *latest = last.max(*latest);
            return freed;
        }
        self.count_off(last, &mut freed);
        while let Some(last) = self.next_overtaken() {
            self.count_off(last, &mut freed);
        }
        freed
    }

    /// Takes a run that follows by now.
    fn next_overtaken(&mut self) -> Option<Sequence> {
        let run = self.overtaken.first_entry()?;
        (run.key().0 <= self.receipted.0 + 1).then(|| run.remove())
    }

    fn count_off(&mut self, last: Sequence, freed: &mut Freed) {
        // The same receipt comes again whenever frames were sent again: nothing is left to count.
        let Some(more) = last.0.checked_sub(self.receipted.0).filter(|more| *more > 0) else {
            return;
        };
        // At most what is held: the session compared `last` with what was sent.
        let count = usize::try_from(more).unwrap_or(usize::MAX).min(self.held.len());
        for (index, held) in self.held.drain(..count).enumerate() {
            freed.held_bytes += held.room;
            // After a reconnect a receipt may cover frames that were sent on the old one only.
            if index < self.under_way {
                freed.under_way += Credit::of_frame(held.bytes());
            }
        }
        self.under_way = self.under_way.saturating_sub(count);
        self.receipted = last;
        freed.marks.push(last);
    }

    /// Goes back to `from`, to send again from there; returns what is under way no longer.
    ///
    /// # Errors
    /// [`StopReason::Regressed`] if the server misses what it gave a receipt for.
    pub(super) fn rewind(
        &mut self,
        from: Sequence,
        code: RejectCode,
    ) -> Result<Credit, StopReason> {
        if code == RejectCode::Gap && from <= self.receipted {
            // What has a receipt is not held any more, so a gap there cannot be mended.
            return Err(StopReason::Regressed { durable: Sequence(from.0 - 1) });
        }
        // A receipt may have come before the reject: then everything without one is sent again.
        let kept = from.0.saturating_sub(self.receipted.0 + 1);
        let kept = usize::try_from(kept).unwrap_or(usize::MAX).min(self.under_way);
        let back = self.weigh(kept..self.under_way);
        self.under_way = kept;
        Ok(back)
    }

    /// The server does not open the stream now; returns what is under way no longer.
    pub(super) fn postpone(&mut self) -> Credit {
        // What went out on the strength of an earlier opening is dropped by the server until the
        // stream is ended (W.23), so all of it goes again.
        let back = self.under_way();
        (self.opening, self.under_way) = (Opening::Postponed, 0);
        self.postponed = self.postponed.saturating_add(1);
        back
    }

    /// How often in a row the server postponed the opening.
    pub(super) fn postponed(&self) -> u32 {
        self.postponed
    }

    /// Sends nothing from now until then.
    pub(super) fn pause(&mut self, from: Millis, until: Millis) {
        self.pause = Some(Pause { from, until });
    }

    /// Until when nothing is sent.
    pub(super) fn paused_until(&self) -> Option<Millis> {
        self.pause.map(|pause| pause.until)
    }

    /// Goes on if the wait is over; gives what to ask the server for, if the opening was postponed.
    pub(super) fn resume(&mut self, now: Millis) -> Option<&OpenStream> {
        // Before its begin it is over too: the clock was set back, and nobody said for how long.
        let is_over = |pause: &Pause| now >= pause.until || now < pause.from;
        self.pause.take_if(|pause| is_over(pause))?;
        if self.opening != Opening::Postponed {
            return None;
        }
        self.opening = Opening::Asked;
        Some(&self.open)
    }

    /// What is under way on this connection.
    pub(super) fn under_way(&self) -> Credit {
        self.weigh(0..self.under_way)
    }

    /// Bytes of the frames without a receipt.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.iter().map(|held| held.room).sum()
    }

    /// The frames without a receipt, in order.
    pub(super) fn into_frames(self) -> Vec<Frame> {
        self.held.into_iter().map(|held| held.frame).collect()
    }

    /// Bytes and frames of a part of what is held.
    fn weigh(&self, part: std::ops::Range<usize>) -> Credit {
        self.held.range(part).map(|held| Credit::of_frame(held.bytes())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Lane;
    use crate::client::samples::{frame, open};

    /// A stream that is ready and has sent these frames.
    fn sent(count: u64) -> Stream {
        let mut stream = Stream::new(open(1, Lane::Live), Sequence(0));
        stream.make_ready(Sequence(1)).expect("nothing is stored");
        for sequence in 1..=count {
            stream.hold(frame(sequence, 1));
            stream.count_sent();
        }
        stream
    }

    #[test]
    fn a_run_that_overtakes_frees_nothing_until_the_one_before_it_comes() {
        let mut stream = sent(3);
        assert_eq!(stream.acknowledge(Sequence(2), Sequence(3)), Freed::default());
        let freed = stream.acknowledge(Sequence(1), Sequence(1));
        assert_eq!(freed.marks, [Sequence(1), Sequence(3)]);
        assert_eq!((freed.held_bytes, freed.under_way.frames), (3 * 48, 3));
        assert_eq!(stream.acknowledge(Sequence(1), Sequence(3)), Freed::default());
    }

    #[test]
    fn a_receipt_for_frames_of_an_older_connection_frees_no_credit_of_this_one() {
        let mut stream = sent(2);
        stream.disconnect();
        let freed = stream.acknowledge(Sequence(1), Sequence(2));
        assert_eq!((freed.held_bytes, freed.under_way), (2 * 48, Credit::default()));
    }

    #[test]
    fn rewinding_keeps_what_came_before_and_a_gap_in_what_is_receipted_stops() {
        let mut stream = sent(3);
        let back = stream.rewind(Sequence(2), RejectCode::Busy).expect("held");
        assert_eq!((back.frames, stream.under_way().frames), (2, 1));
        assert_eq!(stream.due().map(Frame::sequence), Some(Sequence(2)));
        stream.acknowledge(Sequence(1), Sequence(1));
        let durable = Sequence(0);
        let lost = stream.rewind(Sequence(1), RejectCode::Gap);
        assert_eq!(lost, Err(StopReason::Regressed { durable }));
    }

    #[test]
    fn nothing_is_due_before_the_stream_is_open_and_while_it_waits() {
        let mut stream = Stream::new(open(1, Lane::Live), Sequence(0));
        stream.hold(frame(1, 1));
        assert!(stream.due().is_none());
        stream.make_ready(Sequence(1)).expect("nothing is stored");
        let [from, until] = [1_000, 2_000].map(|ms| Millis::new(ms).expect("small"));
        stream.pause(from, until);
        assert!(stream.resume(from).is_none() && stream.due().is_none());
        assert!(stream.resume(until).is_none(), "it is open already");
        assert!(stream.due().is_some());
    }

    #[test]
    fn a_pause_ends_when_the_clock_is_set_back_behind_its_begin() {
        let mut stream = sent(0);
        stream.hold(frame(1, 1));
        let times = [999, 1_000, 2_000].map(|ms| Millis::new(ms).expect("small"));
        stream.pause(times[1], times[2]);
        stream.resume(times[0]);
        assert!(stream.due().is_some());
    }

    #[test]
    fn a_postponed_stream_sends_nothing_until_it_is_asked_for_again_and_opened() {
        let mut stream = sent(2);
        assert_eq!(stream.postpone().frames, 2);
        let [from, until] = [1_000, 2_000].map(|ms| Millis::new(ms).expect("small"));
        stream.pause(from, until);
        assert!(stream.resume(from).is_none());
        assert_eq!(stream.resume(until).map(|open| open.handle.0), Some(1));
        assert!(stream.due().is_none() && stream.resume(until).is_none(), "asked for once");
        stream.make_ready(Sequence(1)).expect("nothing is stored");
        assert_eq!((stream.due().map(Frame::sequence), stream.postponed()), (Some(Sequence(1)), 0));
    }

    #[test]
    fn a_server_that_has_less_than_its_receipts_or_more_than_we_made_stops_the_stream() {
        let mut stream = Stream::new(open(1, Lane::Live), Sequence(5));
        let durable = Sequence(3);
        assert_eq!(stream.make_ready(Sequence(4)), Err(StopReason::Regressed { durable }));
        let durable = Sequence(6);
        assert_eq!(stream.make_ready(Sequence(7)), Err(StopReason::Ahead { durable }));
        assert_eq!(stream.make_ready(Sequence(6)), Ok(Ready::On));
    }

    #[test]
    fn a_server_that_lost_what_its_owner_keeps_gets_it_again() {
        let mut stream = sent(9);
        stream.acknowledge(Sequence(1), Sequence(7));
        stream.disconnect();
        let kept = KeptFrames { first: Sequence(4), sent: Sequence(9), last: Sequence(9) };
        stream.set_kept(kept);
        let durable = Sequence(2);
        assert_eq!(stream.make_ready(Sequence(3)), Err(StopReason::Regressed { durable }));
        let again = stream.make_ready(Sequence(4)).expect("kept from there on");
        let receipted = Sequence(7);
        let under_way = Credit::default();
        assert_eq!(again, Ready::Again { receipted, held_bytes: 2 * 48, under_way });
        assert_eq!((stream.next(), stream.held_bytes()), (Sequence(4), 0));
        stream.hold_again(frame(4, 1));
        assert_eq!(stream.due().map(Frame::sequence), Some(Sequence(4)));
    }

    #[test]
    fn a_server_may_have_what_its_owner_keeps_and_sent_before_a_restart() {
        let mut stream = Stream::new(open(1, Lane::Live), Sequence(5));
        stream.hold_again(frame(6, 1));
        let kept = KeptFrames { first: Sequence(6), sent: Sequence(8), last: Sequence(9) };
        stream.set_kept(kept);
        assert_eq!((stream.sent(), stream.make_ready(Sequence(10))), (Sequence(8), Ok(Ready::On)));
        let durable = Sequence(10);
        assert_eq!(stream.make_ready(Sequence(11)), Err(StopReason::Ahead { durable }));
        // A receipt of one group names those that are not held again yet, too.
        let freed = stream.acknowledge(Sequence(5), Sequence(8));
        assert_eq!((freed.marks, stream.next()), (vec![Sequence(8)], Sequence(9)));
    }
}
