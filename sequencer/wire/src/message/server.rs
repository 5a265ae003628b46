//! What a server sends, and its bytes (docs/wire.md section 4).

use bytes::Bytes;
use model::{ChainScope, Digest, Millis, Position, RejectCode, Sequence, StreamHandle};

use super::envelope::{MessageError, RequestId, message_type, whole, wrong_side};
use crate::codec::{Reader, Writer};
use crate::hash::Address;
use crate::header::{HEADER_BYTES, Type};
use crate::limits::{FRAME_BYTES_MAX, MARKS_MAX, MESSAGE_BYTES_MAX};
use crate::stream::read_handle;
use crate::{
    Credit, DecodeError, Features, Frame, Lane, NamesAnswer, RenewalAnswer, SignedReceipt,
    StreamName,
};

/// What a server sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerMessage {
    /// Answers the hello.
    Welcome(Welcome),
    /// The stream is open.
    StreamOpened {
        /// Which.
        handle: StreamHandle,
        /// The first sequence that is not durable yet.
        next: Sequence,
    },
    /// What one group acknowledges, and how much more may come.
    Receipt {
        /// The receipt.
        receipt: Box<SignedReceipt>,
        /// The credit from now on.
        credit: Credit,
    },
    /// Decides a request to read.
    AccessAnswer(AccessAnswer),
    /// A frame of the answer.
    Released(Released),
    /// The page is complete.
    ReleaseEnd(ReleaseEnd),
    /// Says which names the registry knows.
    Names(NamesAnswer),
    /// Holds the certificate that was asked for, or says that it waits.
    Renewal(RenewalAnswer),
    /// Something is not accepted.
    Reject(Reject),
    /// The credit from now on.
    Credit(Credit),
    /// The server closes the connection.
    Closing {
        /// Why.
        code: RejectCode,
    },
}

impl ServerMessage {
    /// The one lane on which it may come (W.15): a large answer must not stand before receipts,
    /// which free the client's credit.
    pub(crate) fn lane(&self) -> Lane {
        match self {
            ServerMessage::AccessAnswer(_)
            | ServerMessage::Released(_)
            | ServerMessage::ReleaseEnd(_) => Lane::Backfill,
            ServerMessage::Welcome(_)
            | ServerMessage::StreamOpened { .. }
            | ServerMessage::Receipt { .. }
            | ServerMessage::Names(_)
            | ServerMessage::Renewal(_)
            | ServerMessage::Reject(_)
            | ServerMessage::Credit(_)
            | ServerMessage::Closing { .. } => Lane::Control,
        }
    }

    /// The whole message with its header.
    pub fn encode(&self) -> Bytes {
        let mut to = Writer::default();
        let of = match self {
            ServerMessage::Welcome(welcome) => {
                welcome.write(&mut to);
                Type::Welcome
            }
            ServerMessage::StreamOpened { handle, next } => {
                to.u32(handle.0);
                to.u64(next.0);
                Type::StreamOpened
            }
            ServerMessage::Receipt { receipt, credit } => {
                credit.write(&mut to);
                to.long(&receipt.to_bytes());
                Type::Receipt
            }
            ServerMessage::AccessAnswer(answer) => {
                answer.write(&mut to);
                Type::AccessAnswer
            }
            ServerMessage::Released(released) => {
                released.write(&mut to);
                Type::Released
            }
            ServerMessage::ReleaseEnd(end) => {
                to.u64(end.request.0);
                to.u64(end.frames);
                to.u8(u8::from(end.more));
                to.u64(end.partly);
                Type::ReleaseEnd
            }
            ServerMessage::Names(answer) => {
                answer.write(&mut to);
                Type::NamesAnswer
            }
            ServerMessage::Renewal(answer) => {
                answer.write(&mut to);
                Type::RenewalAnswer
            }
            ServerMessage::Reject(reject) => {
                reject.write(&mut to);
                Type::Reject
            }
            ServerMessage::Credit(credit) => {
                credit.write(&mut to);
                Type::Credit
            }
            ServerMessage::Closing { code } => {
                to.u16(code.number());
                Type::Closing
            }
        };
        whole(of, &to)
    }

    /// Reads a whole message. A receipt's signature is not checked here.
    ///
    /// # Errors
    /// [`MessageError`] for every byte string that [`ServerMessage::encode`] does not produce.
    pub fn decode(bytes: Bytes) -> Result<ServerMessage, MessageError> {
        let unknown = DecodeError::Unknown { what: "server message", found: 0 };
        // A server sends no frame by itself: a released one travels inside its message.
        let of = message_type(&bytes)?.ok_or(unknown)?;
        let mut from = Reader::new("server message", &bytes[HEADER_BYTES..]);
        let message = match of {
            Type::Welcome => ServerMessage::Welcome(Welcome::read(&mut from)?),
            Type::StreamOpened => {
                let handle = read_handle(&mut from)?;
                ServerMessage::StreamOpened { handle, next: read_sequence(&mut from)? }
            }
            Type::Receipt => {
                let credit = Credit::read(&mut from)?;
                let receipt = from.long("receipt", MESSAGE_BYTES_MAX)?;
                let receipt = Box::new(SignedReceipt::from_bytes(receipt)?);
                ServerMessage::Receipt { receipt, credit }
            }
            Type::AccessAnswer => ServerMessage::AccessAnswer(AccessAnswer::read(&mut from)?),
            Type::Released => ServerMessage::Released(Released::read(&mut from, &bytes)?),
            Type::ReleaseEnd => {
                let request = RequestId(from.u64()?);
                let (frames, more) = (from.u64()?, from.flag("more frames")?);
                let partly = from.u64()?;
                ServerMessage::ReleaseEnd(ReleaseEnd { request, frames, more, partly })
            }
            Type::NamesAnswer => ServerMessage::Names(NamesAnswer::read(&mut from)?),
            Type::RenewalAnswer => ServerMessage::Renewal(RenewalAnswer::read(&mut from)?),
            Type::Reject => ServerMessage::Reject(Reject::read(&mut from)?),
            Type::Credit => ServerMessage::Credit(Credit::read(&mut from)?),
            Type::Closing => ServerMessage::Closing { code: from.reject_code()? },
            other => return Err(wrong_side(other).into()),
        };
        from.finish()?;
        Ok(message)
    }
}

/// The last durable frame of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Device, signal and epoch.
    pub stream: StreamName,
    /// Last durable sequence.
    pub durable: Sequence,
}

/// How far the server's journal is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// Losses that the operator accepted.
    pub term: u32,
    /// The last durable group; 0 for none.
    pub head_group: u64,
}

/// The answer to a hello.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Welcome {
    /// Protocol version of the session.
    pub version: u16,
    /// What both sides speak.
    pub features: Features,
    /// Which settlement contract on which chain.
    pub scope: ChainScope,
    /// Who signs receipts.
    pub signer: Address,
    /// How far the journal is.
    pub standing: Standing,
    /// The server's time.
    pub server_time: Millis,
    /// First credit.
    pub credit: Credit,
    /// Streams of this gateway with their last durable frame, at most [`MARKS_MAX`].
    pub marks: Vec<Mark>,
}

impl Welcome {
    fn write(&self, to: &mut Writer) {
        to.u16(self.version);
        to.u64(self.features.0);
        to.u64(self.scope.chain_id);
        to.raw(&self.scope.contract);
        to.raw(&self.signer.0);
        to.u32(self.standing.term);
        to.u64(self.standing.head_group);
        to.millis(self.server_time);
        self.credit.write(to);
        // Cut and not refused: marks are a hint, and the opening of each stream says it again.
        let marks = &self.marks[..self.marks.len().min(MARKS_MAX)];
        to.u16(marks.len() as u16);
        for mark in marks {
            mark.stream.write(to);
            to.u64(mark.durable.0);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Welcome, DecodeError> {
        let (version, features) = (from.u16()?, Features(from.u64()?));
        let scope = ChainScope { chain_id: from.u64()?, contract: from.array()? };
        let signer = Address(from.array()?);
        let standing = Standing { term: from.u32()?, head_group: from.u64()? };
        let server_time = from.millis("server time")?;
        let credit = Credit::read(from)?;
        let count = from.count("resume marks", MARKS_MAX)?;
        // Marks are collected as they are read; the count takes no memory in advance.
        let mark = || Ok(Mark { stream: StreamName::read(from)?, durable: Sequence(from.u64()?) });
        let marks =
            std::iter::repeat_with(mark).take(count).collect::<Result<Vec<_>, DecodeError>>()?;
        Ok(Welcome { version, features, scope, signer, standing, server_time, credit, marks })
    }
}

/// What a rejection is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Concern {
    /// A stream that was not opened, or a stream that is no longer accepted.
    Stream {
        /// Which.
        handle: StreamHandle,
    },
    /// Frames from this sequence on.
    Frames {
        /// Of which stream.
        handle: StreamHandle,
        /// First sequence rejected; after a code that may be retried, the next one expected.
        from: Sequence,
    },
    /// An operation or access request.
    Request {
        /// Which.
        request: RequestId,
    },
}

/// Something is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reject {
    /// Why.
    pub code: RejectCode,
    /// What.
    pub concern: Concern,
    /// How many frames or requests.
    pub count: u32,
}

impl Reject {
    fn write(&self, to: &mut Writer) {
        to.u16(self.code.number());
        to.u32(self.count);
        match self.concern {
            Concern::Stream { handle } => {
                to.u8(1);
                to.u32(handle.0);
            }
            Concern::Frames { handle, from } => {
                to.u8(2);
                to.u32(handle.0);
                to.u64(from.0);
            }
            Concern::Request { request } => {
                to.u8(3);
                to.u64(request.0);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Reject, DecodeError> {
        let (code, count) = (from.reject_code()?, from.u32()?);
        let concern = match from.u8()? {
            1 => Concern::Stream { handle: read_handle(from)? },
            2 => Concern::Frames { handle: read_handle(from)?, from: read_sequence(from)? },
            3 => Concern::Request { request: RequestId(from.u64()?) },
            found => {
                return Err(DecodeError::Unknown { what: "concern", found: u64::from(found) });
            }
        };
        Ok(Reject { code, concern, count })
    }
}

/// The decision on a request to read; a receipt says the same with a signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccessAnswer {
    /// Which request.
    pub request: RequestId,
    /// Its digest.
    pub digest: Digest,
    /// Group of the log whose receipt holds the decision.
    pub group: u64,
    /// Journal position of the decision.
    pub position: Position,
    /// When it was decided.
    pub time: Millis,
    /// The decision. If permitted, released frames and an end follow.
    pub permitted: bool,
}

impl AccessAnswer {
    fn write(&self, to: &mut Writer) {
        to.u64(self.request.0);
        to.digest(&self.digest);
        to.u64(self.group);
        to.u64(self.position.0);
        to.millis(self.time);
        to.u8(u8::from(self.permitted));
    }

    fn read(from: &mut Reader<'_>) -> Result<AccessAnswer, DecodeError> {
        Ok(AccessAnswer {
            request: RequestId(from.u64()?),
            digest: from.digest()?,
            group: from.u64()?,
            position: Position(from.u64()?),
            time: from.millis("time of the decision")?,
            permitted: from.flag("decision")?,
        })
    }
}

/// One frame of the data that an access released.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Released {
    /// Which request.
    pub request: RequestId,
    /// Number within the answer; the first is 0.
    pub index: u64,
    /// Where the frame stands in the journal: by it whoever has the patient's opening can compare
    /// the frames of a segment with its digest.
    pub position: Position,
    /// The stream.
    pub stream: StreamName,
    /// The frame as stored.
    pub frame: Frame,
}

impl Released {
    fn write(&self, to: &mut Writer) {
        to.u64(self.request.0);
        to.u64(self.index);
        to.u64(self.position.0);
        self.stream.write(to);
        to.long(self.frame.as_bytes());
    }

    /// The frame shares the memory of the whole message, which it nearly fills.
    fn read(from: &mut Reader<'_>, whole: &Bytes) -> Result<Released, MessageError> {
        let (request, index) = (RequestId(from.u64()?), from.u64()?);
        let position = Position(from.u64()?);
        let stream = StreamName::read(from)?;
        let frame = whole.slice_ref(from.long("frame", FRAME_BYTES_MAX)?);
        Ok(Released { request, index, position, stream, frame: Frame::from_bytes(frame)? })
    }
}

/// The end of one page of released data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReleaseEnd {
    /// Which request.
    pub request: RequestId,
    /// How many frames were released.
    pub frames: u64,
    /// Whether more were asked for than this page holds: they come behind the last one of it.
    pub more: bool,
    /// How many frames this page passed over because only a part of their readings was measured in
    /// the period that was asked for.
    pub partly: u64,
}

fn read_sequence(from: &mut Reader<'_>) -> Result<Sequence, DecodeError> {
    // Without an upper bound: behind the last sequence, 2^63 - 1, the next one is still named.
    match from.u64()? {
        0 => Err(DecodeError::field("sequence", "expected 1 or more, found 0")),
        sequence => Ok(Sequence(sequence)),
    }
}
