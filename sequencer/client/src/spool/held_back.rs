//! A stream that sends nothing but what the node says that it has: so its receipts come, and what
//! follows may be given up.

use std::path::Path;

use model::{DeviceId, Sequence};
use wire::StreamKey;

use super::{Spool, SpoolError, segment};

impl Spool {
    /// Nothing goes until the node says what it has.
    pub(crate) fn hold_back(&mut self) {
        self.goes_up_to = Some(Sequence(0));
    }

    /// The node has frames up to there. Of a stream that is held back these go, and no others.
    pub(crate) fn let_go(&mut self, durable: Sequence) {
        // Never back: what went may be under way, and is waited for.
        self.goes_up_to = self.goes_up_to.map(|last| last.max(durable));
    }

    /// The node lost some of it: it has frames up to there only, and nothing is under way.
    pub(crate) fn hold_back_behind(&mut self, durable: Sequence) {
        self.goes_up_to = self.goes_up_to.map(|_| durable);
    }

    /// Up to where frames go, of a stream that is held back.
    pub(crate) fn held_back(&self) -> Option<Sequence> {
        self.goes_up_to
    }

    /// The stream of a folder in which frames wait for receipts; none of another folder. Only its
    /// last segment is read, which says all but the frames.
    pub(crate) fn waiting_in(path: &Path) -> Result<Option<StreamKey>, SpoolError> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = name.strip_suffix(".frames").and_then(|name| name.rsplit_once('.'));
        let Some((device, signal)) = name else { return Ok(None) };
        let (Ok(device), Ok(signal)) = (DeviceId::new(device), signal.parse::<u32>()) else {
            return Ok(None);
        };
        let Some(last) = segment::list(path)?.pop() else { return Ok(None) };
        let Some(kept) = segment::kept(&segment::read(path, last, true)?) else { return Ok(None) };
        let waits = (kept.receipted + 1..=kept.last).any(|number| !kept.is_dropped(number));
        Ok(waits.then_some(StreamKey { device, patient: kept.patient, signal }))
    }
}
