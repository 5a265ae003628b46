//! What a reading costs the processor in each codec: made into a frame, and checked as the node
//! checks it (decoded, its range and its order compared), on one thread and without a network. And
//! what the frames of slow vitals cost alone and in blocks, from bytes to checked frames.

use std::hint::black_box;

use benches::{cpu_time, machine};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use model::{EpochNumber, Sequence, Signal, StreamHandle};
use wire::{
    Block, ClientMessage, Codec, Deframer, DeviceTime, Frame, FramePlace, Layout, Period, Reading,
};

const FRAME_READINGS: [usize; 2] = [256, 1024];
/// 2026-01-01T00:00:00Z, microseconds.
const START_US: u64 = 3_976_214_400_000_000;
const RATE_HZ: u32 = 360;

/// A recording of an ECG, at the times that its device gave.
fn readings() -> (&'static Signal, Vec<Reading>) {
    let ecg = world::recording("ecg").expect("one is shipped");
    let at = |n: u64| DeviceTime::from_micros(START_US + n * 1_000_000 / u64::from(RATE_HZ));
    let times = (0..).map(|n| at(n).expect("before 2457"));
    let readings = times.zip(&ecg.samples).map(|(at, value)| Reading::new(at, *value));
    (ecg.signal, readings.collect())
}

fn encode(signal: &Signal, readings: &[Reading], codec: Codec) -> Frame {
    let place =
        FramePlace { handle: StreamHandle(1), epoch: EpochNumber(1), sequence: Sequence(1) };
    let period = Period::new(1_000_000_000, RATE_HZ).expect("above zero");
    let layout = Layout { codec: Some(codec), period: Some(period) };
    Frame::encode(place, signal, readings, layout).expect("in range, and on the grid")
}

fn codecs(criterion: &mut Criterion) {
    eprintln!("{}; figures are CPU time", machine());
    let (signal, readings) = readings();
    for codec in Codec::SPOKEN {
        let mut group = criterion.benchmark_group(codec.name());
        for count in FRAME_READINGS {
            let parts: Vec<_> = readings.chunks_exact(count).collect();
            let frames: Vec<_> = parts.iter().map(|part| encode(signal, part, codec)).collect();
            let bytes: usize = frames.iter().map(|frame| frame.as_bytes().len()).sum();
            let elements = count * parts.len();
            eprintln!(
                "{}/{count}: {:.3} bytes a reading",
                codec.name(),
                bytes as f64 / elements as f64
            );
            group.throughput(Throughput::Elements(elements as u64));
            group.bench_function(BenchmarkId::new("encode", count), |b| {
                b.iter_custom(|rounds| {
                    let began = cpu_time();
                    for _ in 0..rounds {
                        parts.iter().for_each(|part| drop(black_box(encode(signal, part, codec))));
                    }
                    cpu_time() - began
                });
            });
            group.bench_function(BenchmarkId::new("check", count), |b| {
                b.iter_custom(|rounds| {
                    let began = cpu_time();
                    for _ in 0..rounds {
                        for frame in &frames {
                            black_box(frame.check(signal)).expect("sound");
                        }
                    }
                    cpu_time() - began
                });
            });
        }
        group.finish();
    }
    eprintln!("{}", machine());
}

/// Signals of a monitor that measures once a minute, each with a plausible value.
const SLOW: [(&str, i32); 5] = [
    ("heart-rate", 720),
    ("pulse-rate", 720),
    ("spo2", 9_700),
    ("respiration-rate", 140),
    ("temperature", 3_680),
];
/// Streams of the ward's beds together, whose minute comes at once.
const SLOW_STREAMS: usize = 20;

/// The frame of each stream for one minute.
fn slow_frames() -> Vec<(&'static Signal, Frame)> {
    let frame = |stream: usize| {
        let (name, value) = SLOW[stream % SLOW.len()];
        let signal = model::signal_by_name(name).expect("it is known");
        let handle = StreamHandle(stream as u32 + 1);
        let place = FramePlace { handle, epoch: EpochNumber(1), sequence: Sequence(1_440) };
        // A bed's values come together, a bed a moment behind the one before.
        let at = START_US + (stream / SLOW.len()) as u64 * 37_000;
        let at = DeviceTime::from_micros(at).expect("before 2457");
        let layout = Layout { codec: Some(Codec::COLUMNAR), period: None };
        let readings = [Reading::new(at, value)];
        (signal, Frame::encode(place, signal, &readings, layout).expect("in range"))
    };
    (0..SLOW_STREAMS).map(frame).collect()
}

/// Received bytes as a session takes them, to frames whose readings are checked.
fn take(bytes: &[u8], signals: &[&'static Signal]) {
    let mut lane = Deframer::default();
    lane.feed(bytes);
    let mut signals = signals.iter();
    let mut check = |frame: &Frame| {
        let signal = signals.next().expect("one for each frame");
        black_box(frame.check(signal)).expect("sound");
    };
    while let Ok(Some(message)) = lane.next_message() {
        match ClientMessage::decode(message).expect("a message") {
            ClientMessage::Frame(frame) => check(&frame.stored()),
            ClientMessage::Block(block) => {
                block.frames().iter().for_each(|one| check(&one.frame));
            }
            other => panic!("expected frames, found {other:?}"),
        }
    }
}

fn slow_vitals(criterion: &mut Criterion) {
    let (signals, frames): (Vec<_>, Vec<_>) = slow_frames().into_iter().unzip();
    let block = || ClientMessage::Block(Block::new(&frames).expect("small")).encode().to_vec();
    let alone = || frames.iter().flat_map(|frame| frame.as_bytes().to_vec()).collect::<Vec<u8>>();
    let mut group = criterion.benchmark_group("slow vitals");
    group.throughput(Throughput::Elements(SLOW_STREAMS as u64));
    let ways: [(&str, &dyn Fn() -> Vec<u8>); 2] = [("alone", &alone), ("block", &block)];
    for (name, make) in ways {
        let bytes = make();
        eprintln!("{name}: {:.1} bytes a reading", bytes.len() as f64 / SLOW_STREAMS as f64);
        group.bench_function(BenchmarkId::new("make", name), |b| {
            b.iter_custom(|rounds| {
                let began = cpu_time();
                (0..rounds).for_each(|_| drop(black_box(make())));
                cpu_time() - began
            });
        });
        group.bench_function(BenchmarkId::new("take", name), |b| {
            b.iter_custom(|rounds| {
                let began = cpu_time();
                (0..rounds).for_each(|_| take(&bytes, &signals));
                cpu_time() - began
            });
        });
    }
    group.finish();
}

criterion_group!(benches, codecs, slow_vitals);
criterion_main!(benches);
