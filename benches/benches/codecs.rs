//! What a reading costs the processor in each codec: made into a frame, and checked as the node
//! checks it (decoded, its range and its order compared), on one thread and without a network.

use std::hint::black_box;

use benches::{cpu_time, machine};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use model::{EpochNumber, Sequence, Signal, StreamHandle};
use wire::{Codec, DeviceTime, Frame, FramePlace, Layout, Period, Reading};

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

criterion_group!(benches, codecs);
criterion_main!(benches);
