//! What hostile gateways do, one function each.

use std::time::Duration;

use model::{Clock, EpochNumber, Sequence, StreamHandle, SystemClock};
use tokio::time::sleep;
use wire::{ClientMessage, DeviceTime, Frame, FramePlace, Lane, ServerMessage};

use super::behaviour::Behaviour;
use super::peer::{Gone, Peer};
use crate::source::Source;

/// Readings of a hostile frame.
const FRAME_READINGS: usize = 256;
/// Between two bytes of a slow writer.
const BYTE_EVERY: Duration = Duration::from_millis(100);
/// Between two frames with a gap, so that one connection takes no core for itself.
const GAP_EVERY: Duration = Duration::from_millis(1);
/// Streams that are opened between two breaths.
const STREAMS_AT_ONCE: u32 = 64;

/// Acts until the connection is gone or there is nothing left to do.
pub(super) async fn act(behaviour: Behaviour, mut peer: Peer, seed: u64) {
    let outcome = match behaviour {
        Behaviour::OnlyHandshake => Ok(()),
        Behaviour::SlowWriter => write_slowly(&mut peer).await,
        Behaviour::SlowReader => never_read(&mut peer).await,
        Behaviour::Gaps => leave_gaps(&mut peer).await,
        Behaviour::StreamFlood => flood_streams(&mut peer).await,
        Behaviour::Garbage => send_garbage(&mut peer, seed).await,
        Behaviour::Duplicates => contradict(&mut peer).await,
    };
    // Done or gone: the lanes stay open until the node ends them, and its code says why.
    let (Ok(()) | Err(Gone)) = outcome;
    peer.connection.closed().await;
}

async fn write_slowly(peer: &mut Peer) -> Result<(), Gone> {
    let epoch = peer.begin().await?;
    let bytes = message(&Frames::new(peer, epoch)?.next(1)?);
    let (half, rest) = bytes.split_at(bytes.len() / 2);
    peer.write(Lane::Live, half).await?;
    let (_, rest) = rest.split_last().ok_or(Gone)?;
    for byte in rest {
        sleep(BYTE_EVERY).await;
        peer.write(Lane::Live, &[*byte]).await?;
    }
    Ok(())
}

async fn never_read(peer: &mut Peer) -> Result<(), Gone> {
    let epoch = peer.begin().await?;
    peer.stop_reading();
    let mut frames = Frames::new(peer, epoch)?;
    for sequence in 1.. {
        let frame = frames.next(sequence)?;
        peer.say(ClientMessage::Frame(frame)).await?;
    }
    Ok(())
}

async fn leave_gaps(peer: &mut Peer) -> Result<(), Gone> {
    let epoch = peer.begin().await?;
    let mut frames = Frames::new(peer, epoch)?;
    for sequence in (2..).step_by(2) {
        let frame = frames.next(sequence)?;
        peer.say(ClientMessage::Frame(frame)).await?;
        sleep(GAP_EVERY).await;
    }
    Ok(())
}

async fn flood_streams(peer: &mut Peer) -> Result<(), Gone> {
    let epoch = peer.begin().await?;
    for number in 2..u32::MAX {
        // Each in an epoch of its own, or it would be the same stream opened twice.
        let epoch = EpochNumber(epoch.0.wrapping_add(number as u16).max(1));
        peer.open_stream(number, epoch).await?;
        if number % STREAMS_AT_ONCE == 0 {
            sleep(GAP_EVERY).await;
        }
    }
    Ok(())
}

async fn send_garbage(peer: &mut Peer, seed: u64) -> Result<(), Gone> {
    // Some behind a preamble that is right, so that what is behind it is looked at, too.
    peer.open_lanes(seed.is_multiple_of(2)).await?;
    peer.read();
    let mut state = seed;
    loop {
        for lane in Lane::ALL {
            let bytes: [u8; 1024] = std::array::from_fn(|_| {
                // Knuth's multiplier; the high bits are the random ones.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            });
            peer.write(lane, &bytes).await?;
        }
        sleep(GAP_EVERY).await;
    }
}

async fn contradict(peer: &mut Peer) -> Result<(), Gone> {
    let epoch = peer.begin().await?;
    let mut frames = Frames::new(peer, epoch)?;
    let first = frames.next(1)?;
    peer.say(ClientMessage::Frame(first)).await?;
    // What is compared with is what is durable.
    while !matches!(peer.next().await?, ServerMessage::Receipt { .. }) {}
    loop {
        // Later readings under the sequence that is taken.
        let other = frames.next(1)?;
        peer.say(ClientMessage::Frame(other)).await?;
        sleep(GAP_EVERY).await;
    }
}

fn message(frame: &Frame) -> Vec<u8> {
    ClientMessage::Frame(frame.clone()).encode().to_vec()
}

/// Frames of a real recording.
struct Frames {
    source: Source,
    signal: &'static model::Signal,
    epoch: EpochNumber,
}

impl Frames {
    fn new(peer: &Peer, epoch: EpochNumber) -> Result<Frames, Gone> {
        // The assignments were checked to name only signals with a recording.
        let recording = world::recordings().iter().find(|one| one.signal.code == peer.key.signal);
        let recording = recording.ok_or(Gone)?;
        let source = Source::new(recording, 0, now());
        Ok(Frames { source, signal: recording.signal, epoch })
    }

    fn next(&mut self, sequence: u64) -> Result<Frame, Gone> {
        let readings = self.source.frame(now(), FRAME_READINGS);
        let (handle, epoch) = (StreamHandle(1), self.epoch);
        let place = FramePlace { handle, epoch, sequence: Sequence(sequence) };
        Frame::encode_raw(place, self.signal, &readings).map_err(|_| Gone)
    }
}

fn now() -> DeviceTime {
    DeviceTime::from_millis(SystemClock.now())
}
