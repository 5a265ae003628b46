//! What a client sends, and its bytes (docs/wire.md section 3).

use bytes::Bytes;
use model::StreamHandle;

use super::envelope::{MessageError, RequestId, message_type, whole, wrong_side};
use crate::codec::{Reader, Writer};
use crate::header::{HEADER_BYTES, Type};
use crate::limits::{CLIENT_NAME_BYTES_MAX, MESSAGE_BYTES_MAX, SIGNED_OPERATION_BYTES_MAX};
use crate::stream::read_handle;
use crate::{
    Block, ClockFact, DecodeError, Features, Frame, NamesQuestion, OpenStream, PROTOCOL_VERSION,
    Page, RenewalRequest, SignedAccessRequest, SignedOperation, SignedReceipt,
};

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
    /// Frames of several streams.
    Block(Block),
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
        /// Which part of it.
        page: Page,
    },
    /// Asks whether the registry knows names that a rule is about to hold.
    Names {
        /// Number of the request.
        request: RequestId,
        /// The names.
        question: NamesQuestion,
    },
    /// Asks for a certificate to go on with.
    Renewal {
        /// Number of the request.
        request: RequestId,
        /// What is to be certified.
        asked: RenewalRequest,
    },
    /// No more frames come for this handle.
    EndStream {
        /// Which.
        handle: StreamHandle,
    },
    /// The client leaves.
    Goodbye,
}

impl ClientMessage {
    /// The whole message with its header.
    pub fn encode(&self) -> Bytes {
        let mut to = Writer::default();
        let of = match self {
            // A frame is a whole message already, with its codec where others have a type.
            ClientMessage::Frame(frame) => return frame.as_bytes().clone(),
            ClientMessage::Block(block) => return block.encode(),
            ClientMessage::Hello(hello) => {
                hello.write(&mut to);
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
            ClientMessage::Access { request, signed, page } => {
                to.u64(request.0);
                page.write(&mut to);
                to.long(&signed.to_bytes());
                Type::AccessRequest
            }
            ClientMessage::Names { request, question } => {
                to.u64(request.0);
                question.write(&mut to);
                Type::NamesQuestion
            }
            ClientMessage::Renewal { request, asked } => {
                to.u64(request.0);
                asked.write(&mut to);
                Type::RenewalRequest
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
        if of == Type::Block {
            return Ok(ClientMessage::Block(Block::decode(&bytes)?));
        }
        let mut from = Reader::new("client message", &bytes[HEADER_BYTES..]);
        let message = match of {
            Type::Hello => ClientMessage::Hello(Hello::read(&mut from)?),
            Type::OpenStream => ClientMessage::OpenStream(OpenStream::read(&mut from)?),
            Type::ClockFact => ClientMessage::Clock(ClockFact::read(&mut from)?),
            Type::Operation => {
                let request = RequestId(from.u64()?);
                let signed = from.long("signed operation", SIGNED_OPERATION_BYTES_MAX)?;
                let operation = SignedOperation::new(bytes.slice_ref(signed))?;
                ClientMessage::Operation { request, operation }
            }
            Type::AccessRequest => {
                let (request, page) = (RequestId(from.u64()?), Page::read(&mut from)?);
                let signed = from.long("access request", SignedAccessRequest::BYTES_MAX)?;
                let signed = Box::new(SignedAccessRequest::from_bytes(signed)?);
                ClientMessage::Access { request, signed, page }
            }
            Type::NamesQuestion => {
                let request = RequestId(from.u64()?);
                ClientMessage::Names { request, question: NamesQuestion::read(&mut from)? }
            }
            Type::RenewalRequest => {
                let request = RequestId(from.u64()?);
                ClientMessage::Renewal { request, asked: RenewalRequest::read(&mut from)? }
            }
            Type::EndStream => ClientMessage::EndStream { handle: read_handle(&mut from)? },
            Type::Goodbye => ClientMessage::Goodbye,
            other => return Err(wrong_side(other).into()),
        };
        from.finish()?;
        Ok(message)
    }
}

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
    /// The newest receipt that the client holds of this node: a node whose journal lacks its group
    /// was rolled back.
    pub newest: Option<Box<SignedReceipt>>,
}

impl Hello {
    /// A hello of this version, of a client that holds no receipt.
    pub fn new(name: ClientName, resume: bool) -> Hello {
        let (version, features) = (PROTOCOL_VERSION, Features::SPOKEN);
        Hello { version, features, name, resume, newest: None }
    }

    fn write(&self, to: &mut Writer) {
        to.u16(self.version);
        to.u64(self.features.0);
        to.u8(u8::from(self.resume));
        to.text(self.name.as_str());
        to.long(&self.newest.as_ref().map(|receipt| receipt.to_bytes()).unwrap_or_default());
    }

    fn read(from: &mut Reader<'_>) -> Result<Hello, MessageError> {
        let version = from.u16()?;
        // Before anything else of it: what follows is another version's, and the session answers
        // it with the code that says so (W.14).
        if version != PROTOCOL_VERSION {
            return Err(from.other_version(PROTOCOL_VERSION, version).into());
        }
        let features = Features(from.u64()?);
        let resume = from.flag("resume flag")?;
        let name = ClientName::new(from.text("client name")?)?;
        let newest = match from.long("newest receipt", MESSAGE_BYTES_MAX)? {
            [] => None,
            bytes => Some(Box::new(SignedReceipt::from_bytes(bytes)?)),
        };
        Ok(Hello { version, features, name, resume, newest })
    }
}
