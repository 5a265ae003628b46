//! The codecs grid and columnar: what they give back, how few bytes they take, and that nothing but
//! the one encoding of a frame is read.

use model::{EpochNumber, RejectCode, Sequence, Signal, StreamHandle};
use wire::*;

use crate::samples::{self, ECG, Seeded};

const COLUMNS: [Codec; 2] = [Codec::COLUMNAR, Codec::GRID];

fn ecg() -> &'static Signal {
    model::signal_by_code(ECG).expect("ecg is known")
}

fn place() -> FramePlace {
    let (handle, epoch, sequence) = (StreamHandle(5), EpochNumber(1), Sequence(2));
    FramePlace { handle, epoch, sequence }
}

fn at(micros: u64) -> DeviceTime {
    DeviceTime::from_micros(4_000_000_000_000_000 + micros).expect("before 2457")
}

fn period(numerator_ns: u64, denominator: u32) -> Option<Period> {
    Some(Period::new(numerator_ns, denominator).expect("above zero"))
}

fn encode(codec: Codec, period: Option<Period>, readings: &[Reading]) -> Result<Frame, FrameError> {
    Frame::encode(place(), ecg(), readings, Layout { codec: Some(codec), period })
}

/// The frame of these bytes, whatever length its header says.
fn frame_of(mut bytes: Vec<u8>) -> Result<Frame, FrameError> {
    let length = (bytes.len() as u32).to_le_bytes();
    bytes[..4].copy_from_slice(&length);
    Frame::from_bytes(bytes.into())
}

/// What a frame is made of; `None` unless each reading is sound, which both ways of reading say.
fn readings_of(frame: &Frame) -> Option<Vec<Reading>> {
    let (checked, readings) = (frame.check(ecg()), frame.readings(ecg()));
    match (checked, readings) {
        (Ok(measured), Ok(readings)) => {
            let last = readings.last().expect("at least one").at.millis();
            assert_eq!((measured.from, measured.until), (readings[0].at.millis(), last.plus(1)));
            assert_eq!(readings.len(), usize::from(frame.header().count));
            Some(readings)
        }
        (Err(checked), Err(readings)) => {
            assert_eq!(checked, readings);
            None
        }
        (checked, readings) => panic!("{checked:?}, but {readings:?}"),
    }
}

/// The bytes that these readings have at the place and in the rhythm of a frame.
fn again(frame: &Frame, readings: &[Reading]) -> Vec<u8> {
    let FrameHeader { codec, handle, epoch, sequence, .. } = *frame.header();
    let body = &frame.as_bytes()[HEADER_BYTES..];
    let period = (codec == Codec::GRID).then(|| {
        let numerator = u64::from_le_bytes(body[..8].try_into().expect("8 bytes"));
        let denominator = u32::from_le_bytes(body[8..12].try_into().expect("4 bytes"));
        Period::new(numerator, denominator).expect("read before")
    });
    let layout = Layout { codec: Some(codec), period };
    let place = FramePlace { handle, epoch, sequence };
    Frame::encode(place, ecg(), readings, layout).expect("read before").as_bytes().to_vec()
}

/// Readings as devices give them, and as they do not.
fn wild(random: &mut Seeded, beat: Option<(u64, u64)>) -> Vec<Reading> {
    let count = 1 + random.below(200) as u64;
    let (phase, jitter) = (random.next() % 1000, 1 + random.next() % 5000);
    let spread = [1, 40, 20_000][random.below(3)];
    let flagged = random.chance(30);
    let mut time = 0;
    let mut reading = |i: u64| {
        time = match beat {
            Some((numerator, denominator)) => (i * numerator / denominator + phase) / 1000,
            None => time + random.next() % jitter,
        };
        let value = random.below(2 * spread + 1) as i32 - spread as i32;
        match random.below(12) {
            0 if flagged => Reading::sensor_off(at(time)),
            1 if flagged => Reading { quality: Quality::ALARM, ..Reading::new(at(time), value) },
            2 if flagged => {
                let quality = Quality::SENSOR_OFF.with(Quality::CALIBRATING);
                Reading { quality, ..Reading::sensor_off(at(time)) }
            }
            _ => Reading::new(at(time), value),
        }
    };
    (0..count).map(&mut reading).collect()
}

#[test]
fn every_codec_gives_back_exactly_the_readings_of_a_frame() {
    let mut random = Seeded(21);
    for round in 0..600 {
        let beats = [(25_000_000, 9), (1_000_000_000, 117), (2_000_000, 1), (7, 3)];
        let beat = beats[random.below(4)];
        let readings = wild(&mut random, Some(beat));
        let period = period(3 * beat.0, 3 * beat.1 as u32);
        for codec in Codec::SPOKEN {
            let frame = encode(codec, period, &readings);
            let frame = frame.unwrap_or_else(|error| panic!("{codec:?} {round}: {error:?}"));
            assert_eq!(readings_of(&frame).as_ref(), Some(&readings), "{codec:?} {round}");
            let read = Frame::from_bytes(frame.as_bytes().clone()).expect("read again");
            assert_eq!(again(&read, &readings), frame.as_bytes().to_vec(), "{codec:?} {round}");
        }
        let readings = wild(&mut random, None);
        let frame = encode(Codec::COLUMNAR, None, &readings).expect("any times");
        assert_eq!(readings_of(&frame), Some(readings), "{round} of seed 21");
    }
}

#[test]
fn what_is_cut_or_goes_on_is_no_frame() {
    for codec in COLUMNS {
        let frame = samples::laid_out(codec, 2, &samples::steady_readings(140));
        let bytes = frame.as_bytes().to_vec();
        for end in HEADER_BYTES..bytes.len() {
            let cut = frame_of(bytes[..end].to_vec()).expect("a header and some bytes");
            assert_eq!(readings_of(&cut), None, "{codec:?} cut to {end}");
        }
        let more = frame_of([&bytes[..], &[0]].concat()).expect("a header and some bytes");
        assert_eq!(readings_of(&more), None);
        let error = more.check(ecg()).expect_err("a byte too many");
        assert_eq!(error.code(), RejectCode::Malformed);
    }
}

#[test]
fn whatever_reads_after_a_change_is_another_frame_in_its_one_encoding() {
    let mut random = Seeded(22);
    for codec in COLUMNS {
        let (mut refused, mut read) = (0, 0);
        for count in [1, 2, 66, 140] {
            let readings = samples::steady_readings(count);
            let bytes = samples::laid_out(codec, 2, &readings).as_bytes().to_vec();
            let mut changed: Vec<_> = (8 * HEADER_BYTES..8 * bytes.len())
                .map(|bit| {
                    let mut bytes = bytes.clone();
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    bytes
                })
                .collect();
            changed.extend((0..20_000).map(|_| {
                let mut bytes = bytes.clone();
                for _ in 0..=random.below(2) {
                    let at = HEADER_BYTES + random.below(bytes.len() - HEADER_BYTES);
                    bytes[at] = [random.next() as u8, 0, 1, 0xff][random.below(4)];
                }
                bytes
            }));
            for changed in changed {
                let frame = Frame::from_bytes(changed.clone().into()).expect("the same length");
                let Some(found) = readings_of(&frame) else {
                    refused += 1;
                    continue;
                };
                read += 1;
                assert_eq!(again(&frame, &found), changed, "{codec:?}");
            }
        }
        assert!(refused > 10_000 && read > 1_000, "{codec:?}: {refused} refused, {read} read");
    }
}

#[test]
fn bytes_that_nobody_wrote_never_panic_and_are_their_only_encoding() {
    let mut random = Seeded(23);
    for round in 0..40_000 {
        let codec = COLUMNS[random.below(2)];
        let mut bytes =
            samples::laid_out(codec, 2, &samples::steady_readings(2)).as_bytes().to_vec();
        bytes[6..8]
            .copy_from_slice(&(1 + random.below(Frame::RAW_READINGS_MAX) as u16).to_le_bytes());
        // Mostly a body that begins well, so that what follows is looked at.
        bytes.truncate(HEADER_BYTES + if random.chance(80) { 16 } else { 0 });
        bytes.extend(
            (0..random.below(120)).map(|_| (random.next() as u8) & [0, 3, 0xff][round % 3]),
        );
        let frame = frame_of(bytes.clone()).expect("a header and some bytes");
        if let Some(readings) = readings_of(&frame) {
            assert_eq!(again(&frame, &readings), frame.as_bytes().to_vec(), "{round} of seed 23");
        }
    }
}

/// The bytes of `docs/wire.md`, written down by hand.
#[test]
fn a_grid_frame_and_a_columnar_one_are_the_documented_bytes() {
    let readings = [
        Reading::new(at(0), 100),
        Reading::new(at(2778), 103),
        Reading::sensor_off(at(5555)),
        Reading::new(at(8333), 102),
    ];
    let grid = encode(Codec::GRID, period(1_000_000_000, 360), &readings).expect("on the grid");
    let quality = [1, 0, 2, 0, 1, 0, 1];
    // Differences 3, 0 and -1 are 6, 0 and 1, in 3 bits each.
    let values = [3, 0b01_000_110, 0];
    let mut body = vec![0x40, 0x78, 0x7d, 0x01, 0, 0, 0, 0, 9, 0, 0, 0];
    // The second reading lies at 2777.78 us, so the first at 222.23 ns or more: at 223 ns.
    body.extend([223, 0]);
    body.extend(quality);
    body.extend([100, 0, 0, 0]);
    body.extend(values);
    assert_eq!(grid.as_bytes()[HEADER_BYTES..], body);
    let columnar = encode(Codec::COLUMNAR, None, &readings).expect("any times");
    let mut body = quality.to_vec();
    body.extend([100, 0, 0, 0]);
    // Steps of 2778, 2777 and 2778: 2777 in two groups of 7 bits, and 1, 0 and 1 above it.
    body.extend([0xd9, 0x15, 1, 0b101]);
    body.extend(values);
    assert_eq!(columnar.as_bytes()[HEADER_BYTES..], body);
}

#[test]
fn a_reading_out_of_range_is_named_by_its_index_in_every_block() {
    for codec in COLUMNS {
        for index in [0, 1, 63, 64, 65, 128, 139] {
            let mut readings = samples::steady_readings(140);
            readings[index] = Reading::new(readings[index].at, 20_001);
            let layout = samples::descriptor("monitor-1", ECG, 1).period;
            let error = encode(codec, layout, &readings).expect_err("out of range");
            assert_eq!(error, FrameError::Range { index, min: -20_000, max: 20_000 });
        }
    }
}

#[test]
fn times_that_go_back_and_absent_values_without_a_word_are_in_no_codec() {
    let back = [Reading::new(at(5), 1), Reading::new(at(7), 1), Reading::new(at(6), 1)];
    let absent = [Reading { quality: Quality::GOOD, ..Reading::sensor_off(at(0)) }];
    let present = [Reading { quality: Quality::SENSOR_OFF, ..Reading::new(at(0), 1) }];
    for codec in Codec::SPOKEN {
        let period = period(1000, 1);
        assert_eq!(encode(codec, period, &back), Err(FrameError::Order { index: 2 }), "{codec:?}");
        assert!(encode(codec, period, &absent).is_err(), "{codec:?}");
        assert!(encode(codec, period, &present).is_err(), "{codec:?}");
    }
}

#[test]
fn a_frame_is_of_the_codec_that_its_times_allow() {
    let codec = |period, readings: &[Reading]| {
        let layout = Layout { codec: None, period };
        let frame = Frame::encode(place(), ecg(), readings, layout).expect("valid readings");
        assert_eq!(readings_of(&frame).as_deref(), Some(readings));
        frame.header().codec
    };
    let period = period(1_000_000_000, 360);
    let steady = samples::steady_readings(100);
    assert_eq!(codec(period, &steady), Codec::GRID);
    assert_eq!(codec(None, &steady), Codec::COLUMNAR);
    let mut jitter = steady;
    jitter[50].at = jitter[51].at;
    assert_eq!(codec(period, &jitter), Codec::COLUMNAR);
    assert_eq!(codec(period, &jitter[..1]), Codec::COLUMNAR, "one reading has no rhythm");
    // Every time far from the one before, every value and every quality another.
    let wild: Vec<_> = (0..100)
        .map(|i: u64| Reading {
            at: at(i * i * i * 4_000_000_000),
            value: Some(if i.is_multiple_of(2) { 20_000 } else { -20_000 }),
            quality: [Quality::ALARM, Quality::QUESTIONABLE][i as usize % 2],
        })
        .collect();
    let wide = encode(Codec::COLUMNAR, None, &wild).expect("any times").as_bytes().len();
    let rows = HEADER_BYTES + RAW_ROW_BYTES * wild.len();
    let expected = if wide < rows { Codec::COLUMNAR } else { Codec::RAW };
    assert_eq!(codec(None, &wild), expected);
    let forced = encode(Codec::GRID, period, &jitter).expect_err("off the grid");
    assert!(matches!(forced, FrameError::Unfit { codec: "grid", .. }), "{forced:?}");
    assert!(encode(Codec::GRID, None, &jitter).is_err(), "no rhythm");
}

#[test]
fn the_same_readings_in_another_codec_say_the_same_and_others_do_not() {
    let readings = samples::steady_readings(40);
    let [rows, packed] =
        [Codec::RAW, Codec::COLUMNAR].map(|codec| samples::laid_out(codec, 40, &readings));
    assert!(rows.says_same(&packed, ecg()) && packed.says_same(&rows, ecg()));
    assert!(packed.says_same(&packed, ecg()));
    let mut other = readings.clone();
    other[7].value = Some(1);
    let changed = samples::laid_out(Codec::COLUMNAR, 40, &other);
    assert!(!rows.says_same(&changed, ecg()) && !packed.says_same(&changed, ecg()));
    // Nor does a body that breaks a rule, whatever its header says.
    let mut bytes = packed.as_bytes().to_vec();
    bytes.push(0);
    let length = bytes.len() as u32;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    let broken = Frame::from_bytes(bytes.into()).expect("a header and some bytes");
    assert!(!rows.says_same(&broken, ecg()));
}

#[test]
fn one_reading_is_never_on_a_grid() {
    let grid = samples::laid_out(Codec::GRID, 2, &samples::steady_readings(2));
    let mut bytes = grid.as_bytes().to_vec();
    bytes[6..8].copy_from_slice(&1_u16.to_le_bytes());
    let frame = Frame::from_bytes(bytes.into()).expect("a header and some bytes");
    let error = frame.check(ecg()).expect_err("refused");
    assert!(error.to_string().contains("decode"), "{error}");
}
