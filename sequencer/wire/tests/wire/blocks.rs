//! Frames of several streams in one message: that they are what would have come one by one.

use std::collections::BTreeMap;

use model::{RejectCode, Sequence, StreamHandle};
use wire::limits::{BLOCK_BYTES_MAX, BLOCK_FRAME_BYTES_MAX, BLOCK_FRAMES_MAX};
use wire::*;

use crate::machines::*;
use crate::samples::{self, HEART_RATE, Seeded};

fn block(frames: &[Frame]) -> ClientMessage {
    ClientMessage::Block(Block::new(frames).expect("few small frames in order"))
}

/// The frames of a block, each with its own handle, as they would have come alone.
fn alone(block: &Block) -> Vec<Frame> {
    let frame = |one: &BlockFrame| {
        let FrameHeader { epoch, sequence, .. } = *one.frame.header();
        one.frame.at_place(FramePlace { handle: one.handle, epoch, sequence })
    };
    block.frames().iter().map(frame).collect()
}

/// A frame of one reading, of columns or of rows.
fn frame(handle: u32, sequence: u64, codec: Codec) -> Frame {
    let [frame] = &samples::slow_frames(1, 1)[..] else { panic!("one frame") };
    let signal = model::signal_by_code(HEART_RATE).expect("it is known");
    let place = FramePlace {
        handle: StreamHandle(handle),
        epoch: frame.header().epoch,
        sequence: Sequence(sequence),
    };
    let readings = frame.readings(signal).expect("sound");
    Frame::encode(place, signal, &readings, Layout { codec: Some(codec), period: None })
        .expect("sound")
}

fn columns(handle: u32, sequence: u64) -> Frame {
    frame(handle, sequence, Codec::COLUMNAR)
}

/// The streams of [`samples::slow_frames`], opened.
fn opened(streams: u32, limits: ServerLimits) -> ServerSession {
    let mut server = ready(limits);
    for handle in 1..=streams {
        tell(&mut server, open_slow(handle));
        server.open_stream(StreamHandle(handle), Sequence(0));
    }
    said(&mut server);
    heard(&mut server);
    server
}

fn descriptor(handle: u32) -> Descriptor {
    let device = format!("monitor-{handle}");
    Descriptor { period: None, ..samples::descriptor(&device, HEART_RATE, 1) }
}

fn open_slow(handle: u32) -> ClientMessage {
    let (handle, descriptor) = (StreamHandle(handle), descriptor(handle));
    ClientMessage::OpenStream(OpenStream { handle, lane: Lane::Live, descriptor })
}

#[test]
fn a_block_gives_back_the_very_bytes_that_would_have_come_alone() {
    let mut frames = samples::slow_frames(5, 9);
    frames.push(frame(u32::MAX, 1 << 40, Codec::RAW));
    frames.push(frame(u32::MAX, (1 << 40) + 1, Codec::COLUMNAR));
    let message = block(&frames);
    let ClientMessage::Block(read) = ClientMessage::decode(message.encode()).expect("it decodes")
    else {
        panic!("expected a block")
    };
    assert_eq!(alone(&read), frames);
    assert!(read.frames().iter().all(|one| one.frame.header().handle == StreamHandle(0)));
}

/// The bytes that `docs/wire.md` shows.
#[test]
fn the_example_that_is_written_down_is_two_heart_rates() {
    let text = "3b000000 04 00 0200 00000000 0000 0000 0000000000000000 00e9dbfe3b380e00 \
                01 01 01 02 01 06 0000 d0020000 01 01 01 02 01 80897a 06 0000 da020000";
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let bytes = hex::decode(digits).expect("hex digits");
    let Ok(ClientMessage::Block(block)) = ClientMessage::decode(bytes.into()) else {
        panic!("expected a block")
    };
    let signal = model::signal_by_code(HEART_RATE).expect("it is known");
    let start = 4_002_480_004_000_000;
    let shown: Vec<_> = block
        .frames()
        .iter()
        .map(|one| {
            let reading = one.frame.readings(signal).expect("sound")[0];
            (one.handle.0, one.frame.sequence().0, reading.at.micros() - start, reading.value)
        })
        .collect();
    assert_eq!(shown, [(1, 1, 0, Some(720)), (2, 1, 1_000_000, Some(730))]);
}

#[test]
fn what_is_no_block_is_not_made() {
    let large = {
        let readings: Vec<_> = samples::readings(1, BLOCK_FRAME_BYTES_MAX / RAW_ROW_BYTES);
        let signal = model::signal_by_code(samples::ECG).expect("it is known");
        let place = FramePlace {
            handle: StreamHandle(2),
            epoch: model::EpochNumber(1),
            sequence: Sequence(1),
        };
        Frame::encode_raw(place, signal, &readings).expect("sound")
    };
    let other_epoch = columns(1, 2).at_place(FramePlace {
        handle: StreamHandle(1),
        epoch: model::EpochNumber(2),
        sequence: Sequence(2),
    });
    let many: Vec<_> = (1..=BLOCK_FRAMES_MAX as u32 + 1).map(|one| columns(one, 1)).collect();
    assert!(Block::new(&many[1..]).is_ok());
    let wrong = [
        ("none", vec![]),
        ("one", vec![columns(1, 1)]),
        ("too many", many),
        ("handle 0", vec![columns(0, 1), columns(1, 1)]),
        ("streams out of order", vec![columns(2, 1), columns(1, 1)]),
        ("sequences out of order", vec![columns(1, 2), columns(1, 1)]),
        ("one twice", vec![columns(1, 1), columns(1, 1)]),
        ("a hole", vec![columns(1, 1), columns(1, 3)]),
        ("another epoch", vec![columns(1, 1), other_epoch]),
        ("a large one", vec![columns(1, 1), large]),
        ("a sequence that it does not hold", vec![columns(1, 1), columns(2, 1 << 56)]),
    ];
    for (what, frames) in wrong {
        assert!(Block::new(&frames).is_err(), "{what}");
    }
}

#[test]
fn a_block_that_lies_ends_the_session_and_nothing_of_it_is_taken() {
    // Header of 32 bytes; handle, epoch, sequence, codec, count, length, body.
    let sound = block(&[columns(1, 1), columns(2, 1)]).encode().to_vec();
    let (first, second) = (32, 32 + 6 + 6);
    // And its difference in time, of one byte.
    assert_eq!(sound.len(), second + 7 + 6);
    let set = |at: usize, value: u8| {
        let mut bytes = sound.clone();
        bytes[at] = value;
        bytes
    };
    let mut longer = sound.clone();
    longer.push(0);
    longer[0] += 1;
    let mut cut = sound[..sound.len() - 1].to_vec();
    cut[0] -= 1;
    let mut wide = sound.clone();
    wide.splice(second..=second, [0x81, 0x00]);
    wide[0] += 1;
    let mut large = sound.clone();
    large[..4].copy_from_slice(&(BLOCK_BYTES_MAX as u32 + 1).to_le_bytes());
    let cases = [
        ("no frame", set(6, 0), RejectCode::Malformed),
        ("one frame", set(6, 1), RejectCode::Malformed),
        ("more frames than there are", set(6, 3), RejectCode::Malformed),
        ("more frames than may be", set(6, BLOCK_FRAMES_MAX as u8 + 1), RejectCode::TooLarge),
        ("flags", set(5, 1), RejectCode::Malformed),
        ("a handle in the header", set(8, 1), RejectCode::Malformed),
        ("a sequence in the header", set(16, 1), RejectCode::Malformed),
        ("a time beyond all", set(31, 0x7f), RejectCode::Malformed),
        ("handle 0", set(first, 0), RejectCode::Malformed),
        ("sequence 0", set(first + 2, 0), RejectCode::Malformed),
        ("a reserved codec", set(first + 3, 1), RejectCode::Version),
        ("a block in a block", set(first + 3, 4), RejectCode::Version),
        ("no reading", set(first + 4, 0), RejectCode::Malformed),
        ("a body shorter than any", set(first + 5, 5), RejectCode::Malformed),
        ("a body beyond the end", set(first + 5, 40), RejectCode::Malformed),
        ("a second way to write a number", wide, RejectCode::Malformed),
        ("a byte too many", longer, RejectCode::Malformed),
        ("a byte too few", cut, RejectCode::Malformed),
        ("longer than any", large, RejectCode::TooLarge),
    ];
    for (what, bytes, code) in cases {
        let mut server = opened(2, ServerLimits::default());
        server.handle_bytes(Lane::Live, &bytes, now());
        assert_eq!(said(&mut server), [ServerMessage::Closing { code }], "{what}");
        assert_eq!(heard(&mut server), [ServerEvent::Closed { code: Some(code) }], "{what}");
    }
    let mut server = opened(2, ServerLimits::default());
    server.handle_bytes(Lane::Live, &sound, now());
    assert_eq!(heard(&mut server).len(), 2);
}

#[test]
fn what_is_wrong_with_one_frame_is_told_of_that_one_and_the_others_are_taken() {
    let mut server = opened(5, ServerLimits::default());
    // The second stream was ended meanwhile; the third one has a hole; the fourth a value out of
    // range, -1.
    tell(&mut server, ClientMessage::EndStream { handle: StreamHandle(2) });
    heard(&mut server);
    let mut wild = columns(4, 1).as_bytes().to_vec();
    wild[HEADER_BYTES + 2..].copy_from_slice(&[0xff; 4]);
    let wild = Frame::from_bytes(wild.into()).expect("a header and a body");
    let frames = [columns(1, 1), columns(2, 1), columns(3, 2), wild, columns(5, 1), columns(5, 2)];
    tell(&mut server, block(&frames));
    let rejects = |handle, from, code| {
        let concern = Concern::Frames { handle: StreamHandle(handle), from: Sequence(from) };
        ServerMessage::Reject(Reject { code, concern, count: 1 })
    };
    let told = [
        rejects(2, 1, RejectCode::Stream),
        rejects(3, 1, RejectCode::Gap),
        rejects(4, 1, RejectCode::Reading),
    ];
    assert_eq!(said(&mut server), told);
    let taken: Vec<_> = heard(&mut server)
        .into_iter()
        .filter_map(|event| match event {
            ServerEvent::Frame { handle, frame, .. } => Some((handle.0, frame.sequence().0)),
            _ => None,
        })
        .collect();
    assert_eq!(taken, [(1, 1), (5, 1), (5, 2)]);
    let under_way = server.unacknowledged().sum();
    let bytes = 3 * columns(1, 1).as_bytes().len() as u64;
    assert_eq!(under_way, Credit { bytes, frames: 3 }, "as if each had come alone");
}

#[test]
fn what_does_not_fit_the_credit_is_busy_from_there_on() {
    let limits = ServerLimits { unacknowledged_frames_max: 2, ..ServerLimits::default() };
    let mut server = opened(3, limits);
    tell(&mut server, block(&[columns(1, 1), columns(2, 1), columns(3, 1)]));
    let concern = Concern::Frames { handle: StreamHandle(3), from: Sequence(1) };
    let busy = Reject { code: RejectCode::Busy, concern, count: 1 };
    assert_eq!(said(&mut server), [ServerMessage::Reject(busy)]);
    assert_eq!(heard(&mut server).len(), 2);
}

#[test]
fn a_server_or_a_client_that_does_not_speak_of_blocks_gets_none() {
    let ClientMessage::Hello(current) = hello() else { unreachable!("a hello") };
    let features = Features(Features::SPOKEN.0 & !Features::BLOCKS.0);
    let mut server = server_with(ServerLimits::default());
    tell(&mut server, ClientMessage::Hello(Hello { features, ..current }));
    server.welcome(Vec::new(), STANDING, now());
    said(&mut server);
    heard(&mut server);
    tell(&mut server, block(&[columns(1, 1), columns(2, 1)]));
    closes_with(&mut server, RejectCode::Version);
}

/// A client with so many slow streams, of each of which a server of these features takes the
/// first frame, and the messages that it then sends.
fn messages_for(streams: u32, features: Features, pushed: usize) -> Vec<ClientMessage> {
    let mut client = new_client();
    let frames = samples::slow_frames(1, 1);
    let signal = model::signal_by_code(HEART_RATE).expect("it is known");
    let readings = frames[0].readings(signal).expect("sound");
    let handles: Vec<_> = (1..=streams)
        .map(|one| client.open_stream(Lane::Live, descriptor(one), Sequence(0)).expect("new"))
        .collect();
    for _ in 0..pushed {
        for handle in &handles {
            client.push(*handle, &readings).expect("room");
        }
    }
    client.connected();
    let welcome = welcome(features);
    client.handle_bytes(Lane::Control, &welcome.encode(), now());
    for handle in handles {
        let opened = ServerMessage::StreamOpened { handle, next: Sequence(1) };
        client.handle_bytes(Lane::Control, &opened.encode(), now());
    }
    let sent: Vec<_> = std::iter::from_fn(|| client.poll_transmit(Lane::Live)).skip(1).collect();
    let frames = client.under_way().frames as usize;
    assert_eq!(frames, pushed * streams as usize, "each is counted");
    sent.into_iter().map(|bytes| ClientMessage::decode(bytes).expect("a message")).collect()
}

/// The places of what was sent, in order.
fn places(messages: &[ClientMessage]) -> BTreeMap<u32, Vec<u64>> {
    let mut places = BTreeMap::<u32, Vec<u64>>::new();
    for message in messages {
        let frames = match message {
            ClientMessage::Frame(frame) => vec![frame.clone()],
            ClientMessage::Block(block) => alone(block),
            other => panic!("expected frames, found {other:?}"),
        };
        for frame in frames {
            places.entry(frame.header().handle.0).or_default().push(frame.sequence().0);
        }
    }
    places
}

#[test]
fn what_waits_goes_together_to_a_server_that_takes_blocks_and_alone_to_another() {
    let (streams, pushed) = (20, 5);
    let together = messages_for(streams, Features::SPOKEN, pushed);
    let old = Features(Features::SPOKEN.0 & !Features::BLOCKS.0);
    let single = messages_for(streams, old, pushed);
    assert_eq!(single.len(), 100);
    let blocks = |message: &&ClientMessage| matches!(message, ClientMessage::Block(_));
    assert_eq!((together.len(), together.iter().filter(blocks).count()), (2, 2), "64 and 36");
    assert_eq!(places(&together), places(&single));
    assert_eq!(places(&together)[&7], [1, 2, 3, 4, 5], "in order of sequence");
    // One that waits alone goes as it is.
    assert!(matches!(messages_for(1, Features::SPOKEN, 1)[..], [ClientMessage::Frame(_)]));
}

#[test]
fn twenty_slow_streams_take_a_third_of_the_bytes_together() {
    let bytes = |messages: &[ClientMessage]| {
        messages.iter().map(|message| message.encode().len()).sum::<usize>()
    };
    let old = Features(Features::SPOKEN.0 & !Features::BLOCKS.0);
    let alone = bytes(&messages_for(20, old, 1));
    let together = bytes(&messages_for(20, Features::SPOKEN, 1));
    assert_eq!((alone, together), (20 * 38, 32 + 20 * 13 - 1));
}

/// Feeds the same frames to two servers, one by one and in blocks; they say and tell the same.
#[test]
fn a_block_is_its_frames_one_by_one_whatever_they_are() {
    for seed in 0..200 {
        let mut random = Seeded(seed);
        let limits = ServerLimits { unacknowledged_frames_max: 12, ..ServerLimits::default() };
        let mut servers = [opened(5, limits), opened(5, limits)];
        let mut next = [1u64; 7];
        for _ in 0..12 {
            let frames = some_frames(&mut random, &mut next);
            for frame in &frames {
                tell(&mut servers[0], ClientMessage::Frame(frame.clone()));
            }
            if frames.len() > 1 {
                tell(&mut servers[1], block(&frames));
            } else {
                tell(&mut servers[1], ClientMessage::Frame(frames[0].clone()));
            }
            let [one, all] = &mut servers;
            assert_eq!((said(one), heard(one)), (said(all), heard(all)), "seed {seed}");
            assert_eq!(one.unacknowledged(), all.unacknowledged(), "seed {seed}");
            let (handle, code) = (StreamHandle(1 + random.below(5) as u32), RejectCode::Busy);
            servers.iter_mut().for_each(|server| match random_choice(seed, handle) {
                true => server.reject_frames(handle, Sequence(1), code),
                false => server.refuse_stream(handle, RejectCode::NotPermitted),
            });
        }
    }
}

/// The same for both.
fn random_choice(seed: u64, handle: StreamHandle) -> bool {
    !(seed + u64::from(handle.0)).is_multiple_of(11)
}

/// Frames in the order of a block: of streams that are open and of such that are not, the next one
/// or another, sound or not.
fn some_frames(random: &mut Seeded, next: &mut [u64; 7]) -> Vec<Frame> {
    let mut frames = Vec::new();
    for handle in 1..=6 {
        let begin = match random.below(4) {
            0 => 1 + random.below(9) as u64,
            1 => continue,
            _ => next[handle as usize],
        };
        for sequence in begin..=begin + random.below(3) as u64 {
            let codec = [Codec::RAW, Codec::COLUMNAR][random.below(2)];
            let mut bytes = frame(handle, sequence, codec).as_bytes().to_vec();
            if random.below(12) == 0 {
                let last = bytes.len() - 1;
                bytes[last] = 0xff;
            }
            frames.push(Frame::from_bytes(bytes.into()).expect("a header and a body"));
            next[handle as usize] = sequence + 1;
        }
    }
    if frames.is_empty() { vec![columns(6, 1)] } else { frames }
}
