//! The pages of an answer, one after the other, until all is there or nothing more comes.

use std::time::Duration;

use client::{AccessOutcome, BodyKey, Connection, ReleasedPage, RequestError};
use model::{ExitCode, PatientIndex, RejectCode, with_causes};
use wire::{Page, Released, SignedAccessRequest, SignedReceipt};

use super::readings::Wanted;

/// Tries of one page that the node is too busy for, a second apart.
const TRIES_MAX: u32 = 60;

/// Most readings of one answer that are held until it is handed over: with the rows and the file
/// that are made of them some 2 GiB.
const READINGS_MAX: u64 = 16_000_000;

/// As many readings as a frame takes memory beside its own.
const FRAME_WEIGHT: u64 = 4;

/// What signs a request, each time a new one.
pub(super) type Sign<'a> = dyn Fn() -> anyhow::Result<SignedAccessRequest> + 'a;

/// What is asked for, and how it goes on.
pub(super) struct Asking<'a> {
    pub(super) connection: &'a Connection,
    pub(super) sign: &'a Sign<'a>,
    pub(super) page: Page,
    pub(super) wanted: Wanted,
    /// What opens frames that their gateway encrypted.
    pub(super) opening: Opening<'a>,
    /// Whether a further signed request is made once the first has ended. Never to break the glass:
    /// that is counted in public, once for one emergency.
    pub(super) signs_anew: bool,
}

/// The key of readings, if there is one, and whose they are.
#[derive(Clone, Copy)]
pub(super) struct Opening<'a> {
    pub(super) key: Option<&'a BodyKey>,
    pub(super) patient: PatientIndex,
}

impl Opening<'_> {
    /// The frames in the clear. One that the key does not open stays as it is: whoever asked has
    /// the others.
    fn open(self, released: &[Released]) -> Vec<Released> {
        let open = |one: &Released| {
            let opened = self.key.and_then(|key| key.open(one, self.patient).ok());
            let frame = opened.unwrap_or_else(|| one.frame.clone());
            Released { frame, stream: one.stream.clone(), ..*one }
        };
        released.iter().map(open).collect()
    }
}

/// Why no further page was asked for.
pub(super) enum Ended {
    /// There is none.
    Whole,
    /// As much came as was wanted.
    Enough,
    /// It should have gone on.
    Cut { why: String, exit: ExitCode },
}

/// The decision, and all that was released.
pub(super) struct Answered {
    /// The first page's, its frames moved out.
    pub(super) first: AccessOutcome,
    /// One for each signed request: so many claims the patient sees.
    pub(super) receipts: Vec<SignedReceipt>,
    /// As they are stored.
    pub(super) released: Vec<Released>,
    /// The same, those in the clear that the key opens.
    pub(super) clear: Vec<Released>,
    /// Frames passed over because they lie only partly in the period that was asked for.
    pub(super) partly: u64,
    pub(super) ended: Ended,
}

/// Asks, and asks on.
pub(super) async fn ask(asking: Asking<'_>) -> anyhow::Result<Answered> {
    let mut signed = (asking.sign)()?;
    let mut first = asking.decide(&signed, asking.page).await?;
    let released = std::mem::take(&mut first.released);
    let (receipts, mut more, partly) = (vec![first.receipt.clone()], first.more, first.partly);
    let clear = asking.opening.open(&released);
    let mut answered = Answered { first, receipts, released, clear, partly, ended: Ended::Whole };
    // An end that says that there is more names at least one frame to go on from.
    while let (true, Some(last)) = (more, answered.released.last().map(|one| one.position)) {
        if let Some(ended) = end_of(asking.wanted, &answered.clear, READINGS_MAX)? {
            answered.ended = ended;
            break;
        }
        let page = asking.page.behind(last);
        let next = match read_on(&asking, &signed, page).await {
            Err(RequestError::Rejected { code: RejectCode::Validity }) if asking.signs_anew => {
                signed = (asking.sign)()?;
                asking.ask_anew(&signed, page, &mut answered.receipts).await
            }
            next => next.map_err(|error| cut(&error, asking.signs_anew)),
        };
        match next {
            Ok(next) => {
                answered.clear.extend(asking.opening.open(&next.released));
                answered.released.extend(next.released);
                answered.partly = answered.partly.saturating_add(next.partly);
                more = next.more;
            }
            Err(ended) => {
                answered.ended = ended;
                break;
            }
        }
    }
    Ok(answered)
}

/// Why no further page is asked for although there is one, if so.
fn end_of(
    wanted: Wanted,
    released: &[Released],
    readings_max: u64,
) -> anyhow::Result<Option<Ended>> {
    if wanted.is_reached(released)? {
        return Ok(Some(Ended::Enough));
    }
    let readings: u64 = released.iter().map(|one| u64::from(one.frame.header().count)).sum();
    let weight = readings + FRAME_WEIGHT * released.len() as u64;
    if weight < readings_max {
        return Ok(None);
    }
    let mut why = format!("{readings} readings are as many as are held at once");
    if matches!(wanted, Wanted::Latest(_)) {
        why += ": ask for fewer with --latest, or for a shorter period";
    }
    Ok(Some(Ended::Cut { why, exit: ExitCode::Failed }))
}

impl Asking<'_> {
    /// Asks for a decision, again while the node takes no request, which decided nothing. Not after
    /// a lost connection: it may have been decided then, and whoever asks learns that.
    async fn decide(
        &self,
        signed: &SignedAccessRequest,
        page: Page,
    ) -> Result<AccessOutcome, RequestError> {
        for _ in 1..TRIES_MAX {
            match self.connection.access(signed.clone(), page).await {
                Err(error) if is_passing(&error) => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                ended => return ended,
            }
        }
        self.connection.access(signed.clone(), page).await
    }

    /// Goes on under another request, which is a claim of its own.
    async fn ask_anew(
        &self,
        signed: &SignedAccessRequest,
        page: Page,
        receipts: &mut Vec<SignedReceipt>,
    ) -> Result<ReleasedPage, Ended> {
        let outcome = self.decide(signed, page).await;
        let AccessOutcome { permitted, receipt, released, more, partly, .. } =
            outcome.map_err(|error| cut(&error, self.signs_anew))?;
        receipts.push(receipt);
        if !permitted {
            let why = "the first request ended, and another one is refused: consent changed".into();
            return Err(Ended::Cut { why, exit: ExitCode::Failed });
        }
        Ok(ReleasedPage { released, more, partly })
    }
}

/// The next page, asked for again while the node is busy or the connection was lost: it is none the
/// worse for being asked for twice.
async fn read_on(
    asking: &Asking<'_>,
    signed: &SignedAccessRequest,
    page: Page,
) -> Result<ReleasedPage, RequestError> {
    for _ in 1..TRIES_MAX {
        match asking.connection.read_on(signed.clone(), page).await {
            Err(error) if is_passing(&error) => {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(RequestError::Unknown) => {}
            ended => return ended,
        }
    }
    asking.connection.read_on(signed.clone(), page).await
}

/// Whether the node took nothing, for a reason that passes.
fn is_passing(error: &RequestError) -> bool {
    let code = match error {
        RequestError::Rejected { code } => *code,
        _ => return false,
    };
    matches!(code, RejectCode::Busy | RejectCode::Unavailable)
}

fn cut(error: &RequestError, signs_anew: bool) -> Ended {
    let (why, exit) = match error {
        RequestError::Rejected { code: RejectCode::NotPermitted } => {
            ("consent ended while it was read".to_owned(), ExitCode::Failed)
        }
        RequestError::Rejected { code: RejectCode::Validity } if signs_anew => (
            "the request ended before the node answered: ask for longer with --valid-for"
                .to_owned(),
            ExitCode::Failed,
        ),
        RequestError::Rejected { code: RejectCode::Validity } => (
            "the request, or the window of its claim, ended before all was read, and glass is \
             broken once for one request"
                .to_owned(),
            ExitCode::Failed,
        ),
        RequestError::Connection(_) | RequestError::Unknown => {
            (with_causes(error), ExitCode::Unavailable)
        }
        error => (with_causes(error), ExitCode::Failed),
    };
    Ended::Cut { why, exit }
}

#[cfg(test)]
mod tests {
    use model::{DeviceId, EpochNumber, Millis, Position, Sequence, StreamHandle, signal_by_name};
    use wire::{DeviceTime, Frame, FramePlace, Reading, RequestId, StreamName};

    use super::*;

    /// Frames of one reading each.
    fn released(frames: u64) -> Vec<Released> {
        let signal = signal_by_name("heart-rate").unwrap();
        let device = DeviceId::new("m-1").unwrap();
        let stream = StreamName { device, signal: signal.code, epoch: EpochNumber(1) };
        let at = DeviceTime::from_millis(Millis::new(1_777_624_200_000).unwrap());
        let frame = |n| {
            let (handle, epoch) = (StreamHandle(0), EpochNumber(1));
            let place = FramePlace { handle, epoch, sequence: Sequence(n) };
            Frame::encode_raw(place, signal, &[Reading::new(at, 720)]).unwrap()
        };
        let one = |n| Released {
            request: RequestId(1),
            index: n - 1,
            position: Position(n),
            stream: stream.clone(),
            frame: frame(n),
        };
        (1..=frames).map(one).collect()
    }

    #[test]
    fn an_answer_that_outgrows_memory_is_cut_and_not_called_whole() {
        let ten = released(10);
        assert!(end_of(Wanted::All, &ten, 51).unwrap().is_none());
        for wanted in [Wanted::All, Wanted::First(11), Wanted::Latest(11)] {
            let ended = end_of(wanted, &ten, 50).unwrap();
            let Some(Ended::Cut { why, exit: ExitCode::Failed }) = ended else {
                panic!("expected a cut of {wanted:?}")
            };
            assert!(why.contains("10 readings"), "{why}");
            assert!(wanted.choose(&ten, None).unwrap().after.is_some() || why.contains("--latest"));
        }
        let enough = end_of(Wanted::First(10), &ten, 50).unwrap();
        assert!(matches!(enough, Some(Ended::Enough)));
    }

    #[test]
    fn glass_is_spoken_of_only_where_it_was_broken() {
        let error = RequestError::Rejected { code: RejectCode::Validity };
        let why = |signs_anew| match cut(&error, signs_anew) {
            Ended::Cut { why, .. } => why,
            Ended::Whole | Ended::Enough => panic!("expected a cut"),
        };
        assert!(why(false).contains("glass") && !why(true).contains("glass"));
    }
}
