//! The pages of an answer, one after the other, until all is there or nothing more comes.

use std::time::Duration;

use client::{AccessOutcome, Connection, ReleasedPage, RequestError};
use model::{ExitCode, RejectCode, with_causes};
use wire::{Page, Released, SignedAccessRequest, SignedReceipt};

use super::readings::Wanted;

/// Tries of one page that the node is too busy for, a second apart.
const TRIES_MAX: u32 = 60;

/// What signs a request, each time a new one.
pub(super) type Sign<'a> = dyn Fn() -> anyhow::Result<SignedAccessRequest> + 'a;

/// What is asked for, and how it goes on.
pub(super) struct Asking<'a> {
    pub(super) connection: &'a Connection,
    pub(super) sign: &'a Sign<'a>,
    pub(super) page: Page,
    pub(super) wanted: Wanted,
    /// Whether a further signed request is made once the first has ended. Never to break the glass:
    /// that is counted in public, once for one emergency.
    pub(super) signs_anew: bool,
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
    pub(super) released: Vec<Released>,
    pub(super) ended: Ended,
}

/// Asks, and asks on.
pub(super) async fn ask(asking: Asking<'_>) -> anyhow::Result<Answered> {
    let mut signed = (asking.sign)()?;
    let mut first = asking.connection.access(signed.clone(), asking.page).await?;
    let released = std::mem::take(&mut first.released);
    let (receipts, mut more) = (vec![first.receipt.clone()], first.more);
    let mut answered = Answered { first, receipts, released, ended: Ended::Whole };
    // An end that says that there is more names at least one frame to go on from.
    while let (true, Some(last)) = (more, answered.released.last().map(|one| one.position)) {
        if asking.wanted.is_reached(&answered.released)? {
            answered.ended = Ended::Enough;
            break;
        }
        let page = asking.page.behind(last);
        let next = match read_on(&asking, &signed, page).await {
            Err(RequestError::Rejected { code: RejectCode::Validity }) if asking.signs_anew => {
                signed = (asking.sign)()?;
                asking.ask_anew(&signed, page, &mut answered.receipts).await
            }
            next => next.map_err(|error| cut(&error)),
        };
        match next {
            Ok(next) => {
                answered.released.extend(next.released);
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

impl Asking<'_> {
    /// Goes on under another request, which is a claim of its own.
    async fn ask_anew(
        &self,
        signed: &SignedAccessRequest,
        page: Page,
        receipts: &mut Vec<SignedReceipt>,
    ) -> Result<ReleasedPage, Ended> {
        let outcome = self.connection.access(signed.clone(), page).await;
        let AccessOutcome { permitted, receipt, released, more, .. } =
            outcome.map_err(|error| cut(&error))?;
        receipts.push(receipt);
        if !permitted {
            let why = "the first request ended, and another one is refused: consent changed".into();
            return Err(Ended::Cut { why, exit: ExitCode::Failed });
        }
        Ok(ReleasedPage { released, more })
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
            Err(RequestError::Rejected { code: RejectCode::Busy | RejectCode::Unavailable }) => {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(RequestError::Unknown) => {}
            ended => return ended,
        }
    }
    asking.connection.read_on(signed.clone(), page).await
}

fn cut(error: &RequestError) -> Ended {
    let (why, exit) = match error {
        RequestError::Rejected { code: RejectCode::NotPermitted } => {
            ("consent ended while it was read".to_owned(), ExitCode::Failed)
        }
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
