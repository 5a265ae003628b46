//! Streams: which device measures what of whom, on which lane, since which epoch.

use std::fmt;

use model::{DeviceId, EpochNumber, PatientIndex, Signal, StreamHandle, signal_by_code};

use crate::codec::{Reader, Writer};
use crate::{DecodeError, DeviceTime, Lane};

/// Which stream a frame belongs to, for ever: what an entry of the log says beside the frame.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    /// The device that measured.
    pub device: DeviceId,
    /// Whose data.
    pub patient: PatientIndex,
    /// IEEE 11073 code, one of `model::signals`.
    pub signal: u32,
}

/// Hides patient and device.
impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamKey {{ signal: {} }}", self.signal)
    }
}

impl StreamKey {
    /// What is measured: unit, scale, range and category.
    pub fn signal(&self) -> Option<&'static Signal> {
        signal_by_code(self.signal)
    }

    /// The key without the patient, as receipts and resume marks name a stream.
    pub fn name(&self, epoch: EpochNumber) -> StreamName {
        StreamName { device: self.device.clone(), signal: self.signal, epoch }
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        to.text(self.device.as_str());
        to.patient(self.patient);
        to.u32(self.signal);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<StreamKey, DecodeError> {
        let device = from.name("device id", DeviceId::new)?;
        let patient = from.patient()?;
        Ok(StreamKey { device, patient, signal: read_signal(from)? })
    }
}

/// A stream in one epoch as receipts name it: (device, signal, epoch).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName {
    /// The device that measured.
    pub device: DeviceId,
    /// IEEE 11073 code.
    pub signal: u32,
    /// Epoch of the stream.
    pub epoch: EpochNumber,
}

/// Hides the device, which may lead to a patient.
impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamName {{ signal: {}, epoch: {} }}", self.signal, self.epoch.0)
    }
}

impl StreamName {
    pub(crate) fn write(&self, to: &mut Writer) {
        to.text(self.device.as_str());
        to.u32(self.signal);
        to.u16(self.epoch.0);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<StreamName, DecodeError> {
        let device = from.name("device id", DeviceId::new)?;
        Ok(StreamName { device, signal: read_signal(from)?, epoch: EpochNumber(from.u16()?) })
    }
}

/// A code of the table of signals: unit, scale, range and category follow from it.
pub(crate) fn read_signal(from: &mut Reader<'_>) -> Result<u32, DecodeError> {
    check_signal(from.u32()?)
}

/// The code, if it is one of the table: what is written must also be readable.
pub(crate) fn check_signal(code: u32) -> Result<u32, DecodeError> {
    // An unknown code has no category, so nobody could say which consent it needs.
    let unknown = DecodeError::Unknown { what: "signal code", found: u64::from(code) };
    signal_by_code(code).map(|signal| signal.code).ok_or(unknown)
}

/// The time between two readings as a fraction of nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Period {
    numerator_ns: u64,
    denominator: u32,
}

impl Period {
    /// `numerator_ns / denominator` nanoseconds; 360 Hz is 1_000_000_000 / 360.
    ///
    /// # Errors
    /// [`DecodeError::Field`] if either is zero.
    pub fn new(numerator_ns: u64, denominator: u32) -> Result<Period, DecodeError> {
        if numerator_ns == 0 || denominator == 0 {
            return Err(DecodeError::field("period", "expected a fraction above zero"));
        }
        Ok(Period { numerator_ns, denominator })
    }

    /// Numerator and denominator without a common divisor.
    pub(crate) fn in_lowest_terms(self) -> (u64, u64) {
        let (numerator, denominator) = (self.numerator_ns, u64::from(self.denominator));
        let (mut divisor, mut rest) = (numerator, denominator);
        while rest > 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        (numerator / divisor, denominator / divisor)
    }
}

/// What opens a stream. Re-assigning a device to another patient is a new descriptor and epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Descriptor {
    /// Device, patient and signal.
    pub key: StreamKey,
    /// Time between readings; `None` for readings without a rhythm.
    pub period: Option<Period>,
    /// Epoch of the stream.
    pub epoch: EpochNumber,
}

impl Descriptor {
    /// The name in receipts and marks.
    pub fn name(&self) -> StreamName {
        self.key.name(self.epoch)
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        self.key.write(to);
        to.u64(self.period.map_or(0, |period| period.numerator_ns));
        to.u32(self.period.map_or(0, |period| period.denominator));
        to.u16(self.epoch.0);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Descriptor, DecodeError> {
        let key = StreamKey::read(from)?;
        // One of them alone is zero in no period, and `Period::new` says so.
        let period = match (from.u64()?, from.u32()?) {
            (0, 0) => None,
            (numerator_ns, denominator) => Some(Period::new(numerator_ns, denominator)?),
        };
        Ok(Descriptor { key, period, epoch: EpochNumber(from.u16()?) })
    }
}

/// A descriptor with the handle and lane of this session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenStream {
    /// Session-local number, not 0.
    pub handle: StreamHandle,
    /// The one lane that the stream's frames come on.
    pub lane: Lane,
    /// What is measured of whom.
    pub descriptor: Descriptor,
}

impl OpenStream {
    pub(crate) fn write(&self, to: &mut Writer) {
        to.u32(self.handle.0);
        to.u8(self.lane as u8);
        self.descriptor.write(to);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<OpenStream, DecodeError> {
        let handle = read_handle(from)?;
        let found = from.u8()?;
        let unknown = DecodeError::Unknown { what: "lane", found: u64::from(found) };
        let lane = Lane::from_number(found).ok_or(unknown)?;
        Ok(OpenStream { handle, lane, descriptor: Descriptor::read(from)? })
    }
}

pub(crate) fn read_handle(from: &mut Reader<'_>) -> Result<StreamHandle, DecodeError> {
    match from.u32()? {
        0 => Err(DecodeError::field("handle", "expected 1 or more, found 0")),
        handle => Ok(StreamHandle(handle)),
    }
}

/// How a device's clock is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum SyncMethod {
    /// Not at all, or not known.
    None = 0,
    /// Set by hand.
    Manual = 1,
    /// Set by the gateway.
    Gateway = 2,
    /// Network time.
    Ntp = 3,
    /// Satellite or radio time.
    Radio = 4,
}

impl SyncMethod {
    const ALL: [SyncMethod; 5] = [
        SyncMethod::None,
        SyncMethod::Manual,
        SyncMethod::Gateway,
        SyncMethod::Ntp,
        SyncMethod::Radio,
    ];
}

/// What a device's clock showed when the gateway's showed its own time.
#[derive(Clone, PartialEq, Eq)]
pub struct ClockFact {
    /// Whose clock.
    pub device: DeviceId,
    /// What it showed.
    pub device_time: DeviceTime,
    /// What the gateway's showed at that instant.
    pub gateway_time: DeviceTime,
    /// How the device's clock is kept.
    pub method: SyncMethod,
    /// Uncertainty of the pair, microseconds.
    pub uncertainty_us: u32,
}

impl fmt::Debug for ClockFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClockFact {{ {:?}, uncertainty_us: {} }}", self.method, self.uncertainty_us)
    }
}

impl ClockFact {
    pub(crate) fn write(&self, to: &mut Writer) {
        to.text(self.device.as_str());
        to.u64(self.device_time.micros());
        to.u64(self.gateway_time.micros());
        to.u8(self.method as u8);
        to.u32(self.uncertainty_us);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<ClockFact, DecodeError> {
        let device = from.name("device id", DeviceId::new)?;
        let device_time = DeviceTime::from_micros(from.u64()?)?;
        let gateway_time = DeviceTime::from_micros(from.u64()?)?;
        let found = from.u8()?;
        let method = SyncMethod::ALL.into_iter().find(|method| *method as u8 == found);
        let unknown = DecodeError::Unknown { what: "clock method", found: u64::from(found) };
        Ok(ClockFact {
            device,
            device_time,
            gateway_time,
            method: method.ok_or(unknown)?,
            uncertainty_us: from.u32()?,
        })
    }
}
