//! Messages of both sides and their bytes (docs/wire.md sections 3 and 4).

use std::fmt;

use bytes::Bytes;
use model::{ChainScope, Digest, Millis, Position, RejectCode, Sequence, StreamHandle};

use crate::codec::{Reader, Writer};
use crate::entry::read_code;
use crate::hash::Address;
use crate::header::{HEADER_BYTES, Type, checked_length, control_header};
use crate::limits::{
    CLIENT_NAME_BYTES_MAX, FRAME_BYTES_MAX, MARKS_MAX, MESSAGE_BYTES_MAX,
    SIGNED_OPERATION_BYTES_MAX,
};
use crate::stream::read_handle;
use crate::{
    ClockFact, Credit, DecodeError, Features, Frame, FrameError, OpenStream, PROTOCOL_VERSION,
    ReceiptError, SignedAccessRequest, SignedOperation, SignedReceipt, StreamName,
};

/// Client-chosen number of an operation or access request within a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// How a client program calls itself: 1 to 64 printable ASCII characters, for the operator's eyes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientName(String);

impl ClientName {
    /// Checks length and characters.
    ///
    /// # Errors
    /// [`DecodeError::Field`] otherwise.
    pub fn new(name: &str) -> Result<ClientName, DecodeError> {
        let printable = name.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if printable && (1..=CLIENT_NAME_BYTES_MAX).contains(&name.len()) {
            return Ok(ClientName(name.to_owned()));
        }
        Err(DecodeError::field("client name", "expected 1 to 64 printable ASCII characters"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The first message of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// Protocol version that the client speaks.
    pub version: u16,
    /// What the client speaks besides.
    pub features: Features,
    /// The program's name.
    pub name: ClientName,
    /// Whether the welcome should hold resume marks.
    pub resume: bool,
}

impl Hello {
    /// A hello of this version.
    pub fn new(name: ClientName, resume: bool) -> Hello {
        Hello { version: PROTOCOL_VERSION, features: Features::SPOKEN, name, resume }
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
    /// The server's time.
    pub server_time: Millis,
    /// First credit.
    pub credit: Credit,
    /// Streams of this gateway with their last durable frame, at most [`MARKS_MAX`].
    pub marks: Vec<Mark>,
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

/// One frame of the data that an access released.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Released {
    /// Which request.
    pub request: RequestId,
    /// Number within the answer; the first is 0.
    pub index: u64,
    /// The stream.
    pub stream: StreamName,
    /// The frame as stored.
    pub frame: Frame,
}

/// The end of released data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReleaseEnd {
    /// Which request.
    pub request: RequestId,
    /// How many frames were released.
    pub frames: u64,
}

/// What a client sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientMessage {
    /// Begins the session.
    Hello(Hello),
    /// Describes a stream and asks to send its frames.
    OpenStream(OpenStream),
    /// What a device's clock showed.
    Clock(ClockFact),
    /// Readings.
    Frame(Frame),
    /// A signed change of a consent record.
    Operation {
        /// Number of the request.
        request: RequestId,
        /// The operation.
        operation: SignedOperation,
    },
    /// A signed request to read.
    Access {
        /// Number of the request.
        request: RequestId,
        /// The signed request.
        signed: Box<SignedAccessRequest>,
    },
    /// No more frames come for this handle.
    EndStream {
        /// Which.
        handle: StreamHandle,
    },
    /// The client leaves.
    Goodbye,
}

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
    /// The answer is complete.
    ReleaseEnd(ReleaseEnd),
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

/// A message that is not accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MessageError {
    /// The bytes do not decode.
    #[error("the message does not decode")]
    Decode(#[from] DecodeError),
    /// The frame does not decode.
    #[error("the frame does not decode")]
    Frame(#[from] FrameError),
    /// The receipt does not decode.
    #[error("the receipt does not decode")]
    Receipt(#[from] ReceiptError),
}

impl MessageError {
    /// The code of the one list.
    pub fn code(&self) -> RejectCode {
        match self {
            MessageError::Decode(error) => error.code(),
            MessageError::Frame(error) => error.code(),
            MessageError::Receipt(error) => error.code(),
        }
    }
}

impl ClientMessage {
    /// The whole message with its header.
    pub fn encode(&self) -> Bytes {
        let mut to = Writer::default();
        let of = match self {
            ClientMessage::Frame(frame) => return frame.as_bytes().clone(),
            ClientMessage::Hello(hello) => {
                to.u16(hello.version);
                to.u64(hello.features.0);
                to.u8(u8::from(hello.resume));
                to.text(hello.name.as_str());
                Type::Hello
            }
            ClientMessage::OpenStream(open) => {
                open.write(&mut to);
                Type::OpenStream
            }
            ClientMessage::Clock(fact) => {
                fact.write(&mut to);
                Type::ClockFact
            }
            ClientMessage::Operation { request, operation } => {
                to.u64(request.0);
                to.long(operation.as_bytes());
                Type::Operation
            }
            ClientMessage::Access { request, signed } => {
                to.u64(request.0);
                to.long(&signed.to_bytes());
                Type::AccessRequest
            }
            ClientMessage::EndStream { handle } => {
                to.u32(handle.0);
                Type::EndStream
            }
            ClientMessage::Goodbye => Type::Goodbye,
        };
        whole(of, &to)
    }

    /// Reads a whole message.
    ///
    /// # Errors
    /// [`MessageError`] for every byte string that [`ClientMessage::encode`] does not produce.
    pub fn decode(bytes: Bytes) -> Result<ClientMessage, MessageError> {
        let Some(of) = message_type(&bytes)? else {
            return Ok(ClientMessage::Frame(Frame::from_bytes(bytes)?));
        };
        let mut from = Reader::new("client message", &bytes[HEADER_BYTES..]);
        let message = match of {
            Type::Hello => ClientMessage::Hello(read_hello(&mut from)?),
            Type::OpenStream => ClientMessage::OpenStream(OpenStream::read(&mut from)?),
            Type::ClockFact => ClientMessage::Clock(ClockFact::read(&mut from)?),
            Type::Operation => {
                let request = RequestId(from.u64()?);
                let signed = from.long("signed operation", SIGNED_OPERATION_BYTES_MAX)?;
                let operation = SignedOperation::new(bytes.slice_ref(signed))?;
                ClientMessage::Operation { request, operation }
            }
            Type::AccessRequest => {
                let request = RequestId(from.u64()?);
                let signed = from.long("access request", SignedAccessRequest::BYTES_MAX)?;
                let signed = Box::new(SignedAccessRequest::from_bytes(signed)?);
                ClientMessage::Access { request, signed }
            }
            Type::EndStream => ClientMessage::EndStream { handle: read_handle(&mut from)? },
            Type::Goodbye => ClientMessage::Goodbye,
            other => return Err(wrong_side(other).into()),
        };
        from.finish()?;
        Ok(message)
    }
}

impl ServerMessage {
    /// The whole message with its header.
    pub fn encode(&self) -> Bytes {
        let mut to = Writer::default();
        let of = match self {
            ServerMessage::Welcome(welcome) => {
                write_welcome(welcome, &mut to);
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
                write_answer(answer, &mut to);
                Type::AccessAnswer
            }
            ServerMessage::Released(released) => {
                to.u64(released.request.0);
                to.u64(released.index);
                released.stream.write(&mut to);
                to.long(released.frame.as_bytes());
                Type::Released
            }
            ServerMessage::ReleaseEnd(end) => {
                to.u64(end.request.0);
                to.u64(end.frames);
                Type::ReleaseEnd
            }
            ServerMessage::Reject(reject) => {
                write_reject(reject, &mut to);
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
        let of = message_type(&bytes)?.ok_or(unknown)?;
        let mut from = Reader::new("server message", &bytes[HEADER_BYTES..]);
        let message = match of {
            Type::Welcome => ServerMessage::Welcome(read_welcome(&mut from)?),
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
            Type::AccessAnswer => ServerMessage::AccessAnswer(read_answer(&mut from)?),
            Type::Released => {
                let (request, index) = (RequestId(from.u64()?), from.u64()?);
                let stream = StreamName::read(&mut from)?;
                let frame = bytes.slice_ref(from.long("frame", FRAME_BYTES_MAX)?);
                let frame = Frame::from_bytes(frame)?;
                ServerMessage::Released(Released { request, index, stream, frame })
            }
            Type::ReleaseEnd => {
                let request = RequestId(from.u64()?);
                ServerMessage::ReleaseEnd(ReleaseEnd { request, frames: from.u64()? })
            }
            Type::Reject => ServerMessage::Reject(read_reject(&mut from)?),
            Type::Credit => ServerMessage::Credit(Credit::read(&mut from)?),
            Type::Closing => ServerMessage::Closing { code: read_code(&mut from)? },
            other => return Err(wrong_side(other).into()),
        };
        from.finish()?;
        Ok(message)
    }
}

fn whole(of: Type, body: &Writer) -> Bytes {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.0.len());
    bytes.extend(control_header(of, body.0.len()));
    bytes.extend_from_slice(&body.0);
    bytes.into()
}

/// The type of a whole message, `None` for a frame; of other messages the whole header is checked.
fn message_type(bytes: &Bytes) -> Result<Option<Type>, DecodeError> {
    let found = bytes.len();
    let truncated = DecodeError::Truncated { what: "message", expected: HEADER_BYTES, found };
    let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(truncated)?;
    let [a, b, c, d, number, ..] = *header;
    if checked_length(&[a, b, c, d, number])? != found {
        return Err(DecodeError::field("message", "expected the length of its header"));
    }
    let of = Type::from_number(number)?;
    if of.is_some() && header[5..].iter().any(|byte| *byte != 0) {
        return Err(DecodeError::field("message header", "expected unused bytes to be zero"));
    }
    Ok(of)
}

fn wrong_side(of: Type) -> DecodeError {
    DecodeError::Unknown { what: "message type of this side", found: of as u64 }
}

fn read_hello(from: &mut Reader<'_>) -> Result<Hello, DecodeError> {
    let (version, features) = (from.u16()?, Features(from.u64()?));
    let resume = from.flag("resume flag")?;
    Ok(Hello { version, features, resume, name: ClientName::new(from.text("client name")?)? })
}

fn write_welcome(welcome: &Welcome, to: &mut Writer) {
    to.u16(welcome.version);
    to.u64(welcome.features.0);
    to.u64(welcome.scope.chain_id);
    to.raw(&welcome.scope.contract);
    to.raw(&welcome.signer.0);
    to.millis(welcome.server_time);
    welcome.credit.write(to);
    let marks = &welcome.marks[..welcome.marks.len().min(MARKS_MAX)];
    to.u16(marks.len() as u16);
    for mark in marks {
        mark.stream.write(to);
        to.u64(mark.durable.0);
    }
}

fn read_welcome(from: &mut Reader<'_>) -> Result<Welcome, DecodeError> {
    let (version, features) = (from.u16()?, Features(from.u64()?));
    let scope = ChainScope { chain_id: from.u64()?, contract: from.array()? };
    let signer = Address(from.array()?);
    let server_time = from.millis("server time")?;
    let credit = Credit::read(from)?;
    let count = from.count("resume marks", MARKS_MAX)?;
    let mark = || Ok(Mark { stream: StreamName::read(from)?, durable: Sequence(from.u64()?) });
    let marks =
        std::iter::repeat_with(mark).take(count).collect::<Result<Vec<_>, DecodeError>>()?;
    Ok(Welcome { version, features, scope, signer, server_time, credit, marks })
}

fn write_answer(answer: &AccessAnswer, to: &mut Writer) {
    to.u64(answer.request.0);
    to.digest(&answer.digest);
    to.u64(answer.group);
    to.u64(answer.position.0);
    to.millis(answer.time);
    to.u8(u8::from(answer.permitted));
}

fn read_answer(from: &mut Reader<'_>) -> Result<AccessAnswer, DecodeError> {
    Ok(AccessAnswer {
        request: RequestId(from.u64()?),
        digest: from.digest()?,
        group: from.u64()?,
        position: Position(from.u64()?),
        time: from.millis("time of the decision")?,
        permitted: from.flag("decision")?,
    })
}

fn write_reject(reject: &Reject, to: &mut Writer) {
    to.u16(reject.code.number());
    to.u32(reject.count);
    match reject.concern {
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

fn read_reject(from: &mut Reader<'_>) -> Result<Reject, DecodeError> {
    let (code, count) = (read_code(from)?, from.u32()?);
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

fn read_sequence(from: &mut Reader<'_>) -> Result<Sequence, DecodeError> {
    match from.u64()? {
        0 => Err(DecodeError::field("sequence", "expected 1 or more, found 0")),
        sequence => Ok(Sequence(sequence)),
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
