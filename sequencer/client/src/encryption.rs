//! Readings that only whoever has the key reads: what a gateway sends to a node that may not.
//!
//! AES-256-GCM over the body of each frame, one key for each stream and epoch. The nonce is made of
//! the frame itself: stream, epoch, sequence, times and readings. So it needs no memory that a
//! gateway could lose, and no two frames that differ share one: a gateway that lost its state
//! folder and begins again under sequences that it used before gives nothing away. What came before
//! a restart comes again in the same bytes.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use model::{EpochNumber, PatientIndex};
use thiserror::Error;
use wire::{BOUND_BYTES, Encrypted, Frame, FrameError, NONCE_BYTES, Released, Sealed, StreamKey};
use zeroize::Zeroizing;

use crate::key::{Key, KeyError, KeyKind};

/// What opens the readings of every stream that it was used for. Its memory is overwritten when it
/// is dropped.
pub struct BodyKey {
    secret: Zeroizing<[u8; 32]>,
}

/// The keys of one stream and epoch.
struct StreamCipher {
    body: LessSafeKey,
    nonce: Zeroizing<[u8; 32]>,
}

/// Encrypts the frames of a stream.
pub(crate) struct Encrypting {
    key: Arc<BodyKey>,
    stream: StreamKey,
    /// Of the epoch that was sent last.
    cipher: Option<(EpochNumber, StreamCipher)>,
}

/// A body that a key does not open.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpenError {
    /// Another key, another patient, or bytes that somebody changed.
    #[error(
        "expected a frame that this key encrypted for this patient, found one that it does not open"
    )]
    Key,
    /// Its readings were measured at other times than it says outside, by which consent was asked.
    #[error("expected readings from the first to the last time that the frame says, found others")]
    Times,
    /// It opens, and is no frame: whoever encrypted it was broken.
    #[error("expected a frame within the encrypted body")]
    Frame(#[from] FrameError),
}

impl BodyKey {
    /// Reads a key file of the kind `readings`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(path: &Path) -> Result<BodyKey, KeyError> {
        Ok(BodyKey::of(&Key::read(path, KeyKind::Readings)?))
    }

    /// The key that encrypts under this one.
    pub fn of(key: &Key) -> BodyKey {
        BodyKey { secret: key.derive_secret("vitals body 2026 key v1") }
    }

    /// A released frame in the clear; one that is not encrypted as it is.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, released: &Released, patient: PatientIndex) -> Result<Frame, OpenError> {
        let (device, signal) = (released.stream.device.clone(), released.stream.signal);
        self.open_frame(&StreamKey { device, patient, signal }, &released.frame)
    }

    /// As [`BodyKey::open`], of a frame of a stream.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_frame(&self, stream: &StreamKey, frame: &Frame) -> Result<Frame, OpenError> {
        let Some(Encrypted { bound, nonce, sealed }) = frame.encrypted() else {
            return Ok(frame.clone());
        };
        let cipher = self.cipher(stream, frame.header().epoch);
        let mut body = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = cipher.body.open_in_place(nonce, Aad::from(bound), &mut body);
        let clear = frame.decrypted(opened.map_err(|_| OpenError::Key)?)?;
        let Some(signal) = stream.signal() else { return Ok(clear) };
        // Consent was asked about the time that stands outside: readings beyond it are not handed
        // over as if they had been covered.
        match clear.check(signal)? == frame.check(signal)? {
            true => Ok(clear),
            false => Err(OpenError::Times),
        }
    }

    fn cipher(&self, stream: &StreamKey, epoch: EpochNumber) -> StreamCipher {
        let device = stream.device.as_str().as_bytes();
        let derive = |context| {
            let mut hasher = blake3::Hasher::new_derive_key(context);
            hasher.update(self.secret.as_slice());
            // At most 64 bytes long.
            hasher.update(&[device.len() as u8]).update(device);
            hasher.update(&stream.patient.get().to_be_bytes());
            hasher.update(&stream.signal.to_be_bytes()).update(&epoch.0.to_be_bytes());
            Zeroizing::new(*hasher.finalize().as_bytes())
        };
        let body = derive("vitals body 2026 stream key v1");
        let body = UnboundKey::new(&AES_256_GCM, body.as_slice());
        let body = LessSafeKey::new(body.expect("32 bytes are a key of AES-256"));
        StreamCipher { body, nonce: derive("vitals body 2026 stream nonce v1") }
    }
}

impl StreamCipher {
    fn seal(&self, bound: &[u8; BOUND_BYTES], body: &[u8]) -> Sealed {
        let mut hasher = blake3::Hasher::new_keyed(&self.nonce);
        let hash = hasher.update(bound).update(body).finalize();
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&hash.as_bytes()[..NONCE_BYTES]);
        let mut sealed = body.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        let done = self.body.seal_in_place_append_tag(unique, Aad::from(bound), &mut sealed);
        done.expect("a body is far shorter than what AES-GCM takes");
        Sealed { nonce, sealed }
    }
}

impl Encrypting {
    pub(crate) fn new(key: Arc<BodyKey>, stream: StreamKey) -> Encrypting {
        Encrypting { key, stream, cipher: None }
    }

    /// The frame as it is sent: always the same bytes for the same readings at the same place.
    ///
    /// # Errors
    /// [`FrameError`] if it would be larger than a frame may be.
    pub(crate) fn encrypt(&mut self, frame: &Frame) -> Result<Frame, FrameError> {
        let unknown = FrameError::Encrypted;
        let signal = self.stream.signal().ok_or(unknown)?;
        let epoch = frame.header().epoch;
        let cipher = match self.cipher.take() {
            Some((of, cipher)) if of == epoch => cipher,
            _ => self.key.cipher(&self.stream, epoch),
        };
        let (_, cipher) = self.cipher.insert((epoch, cipher));
        frame.encrypt(signal, |bound, body| cipher.seal(bound, body))
    }
}

/// Hides the secret.
impl fmt::Debug for BodyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyKey")
    }
}

/// Hides the keys.
impl fmt::Debug for Encrypting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encrypting")
    }
}

#[cfg(test)]
mod tests {
    use model::{DeviceId, Millis, Sequence, Signal, StreamHandle};
    use wire::{Codec, DeviceTime, FramePlace, HEADER_BYTES, Layout, Reading};

    use super::*;

    fn key() -> Arc<BodyKey> {
        Arc::new(BodyKey::of(&Key::from_secret(KeyKind::Readings, [7; 32])))
    }

    fn stream() -> StreamKey {
        let device = DeviceId::new("monitor-1").unwrap();
        StreamKey { device, patient: PatientIndex::new(7).unwrap(), signal: 147_842 }
    }

    fn signal() -> &'static Signal {
        model::signal_by_code(147_842).unwrap()
    }

    fn frame(epoch: u16, sequence: u64, value: i32) -> Frame {
        let start = DeviceTime::from_millis(Millis::new(4_004_288_800_000).unwrap());
        let at = |i: u64| DeviceTime::from_micros(start.micros() + i * 1_000_001).unwrap();
        let readings: Vec<_> = (0..5).map(|i| Reading::new(at(i), value + i as i32)).collect();
        let (handle, epoch) = (StreamHandle(3), EpochNumber(epoch));
        let place = FramePlace { handle, epoch, sequence: Sequence(sequence) };
        let layout = Layout { codec: Some(Codec::COLUMNAR), period: None };
        Frame::encode(place, signal(), &readings, layout).unwrap()
    }

    fn encrypted(frame: &Frame) -> Frame {
        Encrypting::new(key(), stream()).encrypt(frame).unwrap()
    }

    /// The bytes of an example in `docs/wire.md`.
    #[test]
    fn a_frame_is_encrypted_as_it_is_written_down() {
        let one = encrypted(&frame(1, 1, 720)).stored();
        let text = include_str!("../vectors/encrypted.hex");
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        if std::env::var_os("UPDATE").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/encrypted.hex");
            std::fs::write(path, hex::encode(one.as_bytes()) + "\n").unwrap();
        }
        assert!(digits == hex::encode(one.as_bytes()), "it moved; UPDATE=1 rewrites the vector");
        let opened = key().open_frame(&stream(), &one).unwrap();
        assert_eq!(opened, frame(1, 1, 720).stored());
    }

    #[test]
    fn what_is_encrypted_opens_under_any_handle_and_says_nothing_of_its_readings() {
        let clear = frame(1, 1, 720);
        let hidden = encrypted(&clear);
        assert!(hidden.is_encrypted() && !clear.is_encrypted());
        assert_eq!(hidden.readings(signal()), Err(FrameError::Encrypted));
        let outside = |frame: &Frame| {
            let header = frame.header();
            (header.count, header.start, header.sequence, frame.check(signal()).unwrap())
        };
        assert_eq!(outside(&hidden), outside(&clear), "whose and when is known");
        let body = &clear.as_bytes()[HEADER_BYTES..];
        assert!(!hidden.as_bytes().windows(4).any(|part| body.windows(4).any(|own| own == part)));
        assert_eq!(key().open_frame(&stream(), &hidden).unwrap(), clear);
        assert_eq!(key().open_frame(&stream(), &hidden.stored()).unwrap(), clear.stored());
        assert_eq!(key().open_frame(&stream(), &clear).unwrap(), clear, "in the clear already");
    }

    #[test]
    fn nothing_that_was_changed_and_no_other_key_stream_or_place_opens() {
        let hidden = encrypted(&frame(1, 1, 720)).stored();
        let bytes = hidden.as_bytes();
        for at in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            // Some are no frame any more.
            let Ok(changed) = Frame::from_bytes(changed.into()) else { continue };
            // The handle is of the session, and bound to nothing.
            let is_handle = (8..12).contains(&at);
            assert_eq!(key().open_frame(&stream(), &changed).is_ok(), is_handle, "byte {at}");
        }
        let other = BodyKey::of(&Key::from_secret(KeyKind::Readings, [8; 32]));
        let patient = StreamKey { patient: PatientIndex::new(8).unwrap(), ..stream() };
        let device = StreamKey { device: DeviceId::new("monitor-2").unwrap(), ..stream() };
        let own = key();
        for (key, stream) in [(&other, &stream()), (&*own, &patient), (&*own, &device)] {
            assert_eq!(key.open_frame(stream, &hidden), Err(OpenError::Key));
        }
    }

    #[test]
    fn readings_beyond_the_time_that_stands_outside_are_not_handed_over() {
        let clear = frame(1, 1, 720);
        // A gateway that has the key and says that all was measured at once.
        let mut bytes = encrypted(&clear).as_bytes()[..BOUND_BYTES].to_vec();
        bytes[HEADER_BYTES..].fill(0);
        let mut bound = [0; BOUND_BYTES];
        bound.copy_from_slice(&bytes);
        bound[8..12].fill(0);
        let cipher = key().cipher(&stream(), EpochNumber(1));
        let Sealed { nonce, sealed } = cipher.seal(&bound, &clear.as_bytes()[HEADER_BYTES..]);
        let lying = Frame::from_bytes([&bytes[..], &nonce, &sealed].concat().into()).unwrap();
        assert!(lying.check(signal()).is_ok(), "the node cannot know");
        assert_eq!(key().open_frame(&stream(), &lying), Err(OpenError::Times));
    }

    #[test]
    fn no_two_frames_that_differ_share_a_nonce_and_equal_ones_are_equal() {
        let nonce = |frame: &Frame| encrypted(frame).encrypted().unwrap().nonce;
        let all = [frame(1, 1, 720), frame(1, 1, 721), frame(1, 2, 720), frame(2, 1, 720)];
        let nonces: std::collections::BTreeSet<_> = all.iter().map(nonce).collect();
        assert_eq!(nonces.len(), all.len());
        let mut stream = Encrypting::new(key(), stream());
        for frame in all.iter().chain(&all) {
            // Epochs come in turn, and the cipher of the one before is not used for the next.
            assert_eq!(stream.encrypt(frame).unwrap(), encrypted(frame), "the same every time");
        }
    }

    #[test]
    fn a_frame_that_grows_beyond_what_a_frame_may_be_is_refused() {
        let start = DeviceTime::from_millis(Millis::new(4_004_288_800_000).unwrap());
        let most = vec![Reading::new(start, 1); Frame::RAW_READINGS_MAX];
        let place =
            FramePlace { handle: StreamHandle(1), epoch: EpochNumber(1), sequence: Sequence(1) };
        let raw = Frame::encode_raw(place, signal(), &most).unwrap();
        let error = Encrypting::new(key(), stream()).encrypt(&raw).unwrap_err();
        assert_eq!(error.code(), model::RejectCode::TooLarge);
        let packed = Layout { codec: Some(Codec::COLUMNAR), period: None };
        let packed = Frame::encode(place, signal(), &most, packed).unwrap();
        assert!(Encrypting::new(key(), stream()).encrypt(&packed).is_ok());
        // Twice is not hidden better.
        let twice = Encrypting::new(key(), stream()).encrypt(&encrypted(&packed));
        assert_eq!(twice, Err(FrameError::Encrypted));
    }
}
