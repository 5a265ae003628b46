//! Frames of the minimal lower layer protocol: VT, a message, FS, CR.

/// Begins a frame.
const BEGIN: u8 = 0x0b;
/// Ends it, and a carriage return follows, which some senders leave out.
const END: u8 = 0x1c;
const RETURN: u8 = 0x0d;

/// Most bytes that may stand between two frames. Some senders put a NUL or a line feed there.
pub const STRAY_BYTES_MAX: usize = 64 << 10;
/// What a decoder keeps between messages, however long the one before was.
pub const KEPT_BYTES: usize = 64 << 10;

/// What is kept of a message that is given up: its header as senders write it, by which it is
/// answered.
const BEGIN_BYTES: usize = 4096;

/// Finds messages in a stream of bytes, however it is cut. Holds at most one message of the limit.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    buffer: Vec<u8>,
    state: State,
    stray: usize,
    torn: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Between frames.
    Outside,
    /// Within one.
    Inside,
    /// Within one that is longer than the limit: its end is waited for.
    Beyond,
    /// Within one that was given up: its end is waited for.
    GivenUp,
    /// The buffer was handed out, and is no longer needed.
    Given,
}

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Framed<'a> {
    /// A message.
    Message(&'a [u8]),
    /// The begin of one that is longer than the limit: enough to say whose it is.
    TooLong(&'a [u8]),
    /// The begin of one that was given up on its way ([`Decoder::give_up`]).
    GivenUp(&'a [u8]),
    /// More bytes without a frame than there may be: whoever sends them speaks something else.
    Junk,
}

/// Shows lengths: a message is a patient's.
impl std::fmt::Debug for Framed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Framed::Message(bytes) => write!(f, "Message({} bytes)", bytes.len()),
            Framed::TooLong(bytes) => write!(f, "TooLong({} bytes)", bytes.len()),
            Framed::GivenUp(bytes) => write!(f, "GivenUp({} bytes)", bytes.len()),
            Framed::Junk => f.write_str("Junk"),
        }
    }
}

impl Decoder {
    /// For messages of at most so many bytes.
    pub fn new(limit: usize) -> Decoder {
        Decoder { limit, buffer: Vec::new(), state: State::Outside, stray: 0, torn: 0 }
    }

    /// Takes bytes off the front of `rest` until there is something to do. `None` when all are
    /// taken and nothing is whole.
    ///
    /// ```
    /// use hl7::{Decoder, Framed};
    ///
    /// let mut decoder = Decoder::new(1024);
    /// let mut rest = &b"\0\x0bMSH|one\x1c\r\0\x0bMSH|two\x1c"[..];
    /// assert_eq!(decoder.take(&mut rest), Some(Framed::Message(b"MSH|one")));
    /// assert_eq!(decoder.take(&mut rest), Some(Framed::Message(b"MSH|two")));
    /// assert_eq!(decoder.take(&mut rest), None);
    /// ```
    pub fn take(&mut self, rest: &mut &[u8]) -> Option<Framed<'_>> {
        if self.state == State::Given {
            self.forget();
        }
        while !rest.is_empty() {
            match self.state {
                State::Outside | State::Given => self.skip(rest),
                State::Inside | State::Beyond | State::GivenUp => {
                    if self.collect(rest) {
                        let state = std::mem::replace(&mut self.state, State::Given);
                        let bytes = &self.buffer[..];
                        return Some(match state {
                            State::Beyond => Framed::TooLong(bytes),
                            State::GivenUp => Framed::GivenUp(bytes),
                            _ => Framed::Message(bytes),
                        });
                    }
                }
            }
            if self.stray > STRAY_BYTES_MAX {
                return Some(Framed::Junk);
            }
        }
        None
    }

    /// Whether a message has begun and not ended: a connection that is closed now loses it, and
    /// nothing of it was taken.
    pub fn is_inside(&self) -> bool {
        matches!(self.state, State::Inside | State::Beyond | State::GivenUp)
    }

    /// The memory that it has at most once so many more bytes are taken.
    pub fn memory_with(&self, more: usize) -> usize {
        let (bytes, capacity) = (self.buffer.len() + more, self.buffer.capacity());
        // A list that grows doubles.
        if bytes <= capacity { capacity } else { bytes.max(2 * capacity) }
    }

    /// Gives the message up that has begun, and the memory that it took: its end is found as
    /// [`Framed::GivenUp`], with enough of it to say whose it is. Between messages nothing happens.
    pub fn give_up(&mut self) {
        if self.is_inside() {
            self.keep_begin();
            self.state = State::GivenUp;
        }
    }

    /// Keeps what says whose message it is, and no more memory.
    fn keep_begin(&mut self) {
        self.buffer.truncate(BEGIN_BYTES);
        self.buffer.shrink_to_fit();
    }

    /// Messages that another one began within: their sender never ended them.
    pub fn torn(&self) -> u64 {
        self.torn
    }

    /// Skips what stands between frames.
    fn skip(&mut self, rest: &mut &[u8]) {
        match rest.iter().position(|byte| *byte == BEGIN) {
            Some(at) => {
                *rest = &rest[at + 1..];
                (self.state, self.stray) = (State::Inside, 0);
            }
            None => {
                // A return after an end is part of the frame.
                let stray = rest.iter().filter(|byte| **byte != RETURN).count();
                self.stray = self.stray.saturating_add(stray);
                *rest = &[];
            }
        }
    }

    /// Takes what belongs to the message; says whether that was its end.
    fn collect(&mut self, rest: &mut &[u8]) -> bool {
        let stop = rest.iter().position(|byte| matches!(*byte, END | BEGIN));
        let (part, after) = rest.split_at(stop.unwrap_or(rest.len()));
        let free = match self.state {
            State::Inside => self.limit - self.buffer.len().min(self.limit),
            _ => 0,
        };
        // Checked before it is kept: of what is too long, only the begin is.
        self.buffer.extend_from_slice(&part[..part.len().min(free)]);
        if part.len() > free && self.state == State::Inside {
            self.state = State::Beyond;
            self.keep_begin();
        }
        let (stop, after) = match after.split_first() {
            Some((stop, after)) => (Some(*stop), after),
            None => (None, after),
        };
        *rest = after;
        match stop {
            None => false,
            Some(END) => true,
            Some(_) => {
                // Never a byte of a message: the sender begins anew.
                self.torn += 1;
                self.buffer.clear();
                self.state = State::Inside;
                false
            }
        }
    }

    fn forget(&mut self) {
        if self.buffer.capacity() > KEPT_BYTES {
            self.buffer = Vec::new();
        }
        self.buffer.clear();
        self.state = State::Outside;
    }
}

/// A message with its frame.
pub fn frame(message: &[u8]) -> Vec<u8> {
    [&[BEGIN][..], message, &[END, RETURN]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a stream that comes in pieces of so many bytes.
    fn found(bytes: &[u8], piece: usize, limit: usize) -> Vec<(char, Vec<u8>)> {
        let mut decoder = Decoder::new(limit);
        let mut all = Vec::new();
        for mut rest in bytes.chunks(piece) {
            while let Some(framed) = decoder.take(&mut rest) {
                match framed {
                    Framed::Message(bytes) => all.push(('m', bytes.to_vec())),
                    Framed::TooLong(bytes) => all.push(('l', bytes.to_vec())),
                    Framed::GivenUp(bytes) => all.push(('g', bytes.to_vec())),
                    Framed::Junk => {
                        all.push(('j', Vec::new()));
                        return all;
                    }
                }
            }
        }
        all
    }

    #[test]
    fn messages_are_found_however_the_stream_is_cut() {
        let mut stream = b"\0\0\r\n".to_vec();
        stream.extend(frame(b"one\rtwo\r"));
        stream.extend(b"\0");
        stream.extend(b"\x0bwithout return\x1c");
        stream.extend(frame(b"three"));
        stream.extend(b"\x0bnever ended\x0banew\x1c\r");
        stream.extend(frame(b"longer than the limit by far"));
        stream.extend(frame(b""));
        let expected = [
            ('m', &b"one\rtwo\r"[..]),
            ('m', b"without return"),
            ('m', b"three"),
            ('m', b"anew"),
            ('l', b"longer than the limi"),
            ('m', b""),
        ];
        let expected = expected.map(|(kind, bytes)| (kind, bytes.to_vec()));
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(found(&stream, piece, 20), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_never_begins_a_frame_is_junk() {
        let junk = vec![b'G'; STRAY_BYTES_MAX + 1];
        assert_eq!(found(&junk, 1000, 20), [('j', Vec::new())]);
        assert_eq!(found(&junk[..STRAY_BYTES_MAX], 1000, 20), []);
    }

    #[test]
    fn a_decoder_keeps_little_between_messages() {
        let mut decoder = Decoder::new(1 << 20);
        let (long, short) = (frame(&vec![b'x'; 1 << 20]), frame(b"y"));
        for bytes in [&long, &short] {
            let mut rest = &bytes[..];
            assert!(matches!(decoder.take(&mut rest), Some(Framed::Message(_))));
            assert_eq!(decoder.take(&mut rest), None);
        }
        assert!(decoder.buffer.capacity() <= KEPT_BYTES);
    }

    #[test]
    fn a_message_that_is_given_up_is_found_by_its_begin_and_takes_no_more_memory() {
        let mut decoder = Decoder::new(1 << 20);
        let long = frame(&vec![b'x'; 1 << 20]);
        let (first, last) = long.split_at(300 << 10);
        assert_eq!(decoder.take(&mut &first[..]), None);
        assert!(decoder.memory_with(0) >= first.len() - 1);
        // As much as the list grows by is said before it does.
        let expected = decoder.memory_with(READ);
        assert_eq!(decoder.take(&mut &last[..READ]), None);
        assert!((first.len()..=expected).contains(&decoder.memory_with(0)));
        decoder.give_up();
        assert_eq!(decoder.take(&mut &last[READ..2 * READ]), None);
        assert!(decoder.memory_with(0) <= BEGIN_BYTES);
        let mut rest = &last[2 * READ..];
        let begin = &vec![b'x'; BEGIN_BYTES][..];
        assert_eq!(decoder.take(&mut rest), Some(Framed::GivenUp(begin)));
        let mut next = &frame(b"next")[..];
        assert_eq!(decoder.take(&mut next), Some(Framed::Message(b"next")));
        assert_eq!(decoder.take(&mut next), None);
        decoder.give_up();
        let mut next = &frame(b"between messages")[..];
        assert_eq!(decoder.take(&mut next), Some(Framed::Message(b"between messages")));
    }

    /// As much as a connection reads at once.
    const READ: usize = 16 << 10;
}
