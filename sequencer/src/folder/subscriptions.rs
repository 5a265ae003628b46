//! Who is told that somebody read, in the node's folder: subscriptions, and how far each was told.
//!
//! Their secrets stand here as they are: whoever reads the node's folder has the keys to everything
//! that a notice is about.

use std::path::Path;

use accounting::notices::{Endpoint, Fault, Kept, NoticeSecret, SubscriptionId};
use model::{BatchNumber, Millis, PatientIndex};
use serde::{Deserialize, Serialize};

use super::checked::{self, Checked, CheckedError};

/// All subscriptions.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Subscriptions(pub Vec<Kept>);

#[derive(PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    schema: String,
    subscriptions: Vec<One>,
    /// The first 16 bytes of blake3 over everything above.
    check: String,
}

#[derive(PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    id: String,
    patient: u32,
    endpoint: String,
    reason: String,
    /// Milliseconds since 1900, as all times of the journal.
    end: Option<u64>,
    secret: String,
    told: u64,
    failing_since: Option<u64>,
    fault: Option<String>,
    given_up: bool,
}

const SCHEMA: &str = "vitals-subscriptions-1";

impl Checked for Subscriptions {
    type Form = Form;
    const WHAT: &'static str = "whole subscriptions";
    const REMEDY: &'static str = ": move it away and start again; whoever subscribed does so anew";
    /// 2,000 subscriptions with the longest endpoints and reasons take less than a half of it.
    const FILE_BYTES_MAX: u64 = 16 << 20;

    fn form(&self) -> Form {
        let subscriptions: Vec<_> = self.0.iter().map(One::of).collect();
        let text = serde_json::to_vec(&subscriptions).expect("numbers and words");
        let check = checked::check(SCHEMA, &[&text]);
        Form { schema: SCHEMA.to_owned(), subscriptions, check }
    }

    fn of_form(form: &Form) -> Option<Subscriptions> {
        form.subscriptions.iter().map(One::kept).collect::<Option<_>>().map(Subscriptions)
    }
}

impl One {
    fn of(kept: &Kept) -> One {
        One {
            id: kept.id.to_string(),
            patient: kept.patient.get(),
            endpoint: kept.endpoint.to_string(),
            reason: kept.reason.clone(),
            end: kept.end.map(Millis::get),
            secret: hex::encode(kept.secret.expose()),
            told: kept.told.0,
            failing_since: kept.failing_since.map(Millis::get),
            fault: kept.fault.map(Fault::code),
            given_up: kept.given_up,
        }
    }

    fn kept(&self) -> Option<Kept> {
        let time = |ms: Option<u64>| {
            ms.map(|ms| Millis::new(ms).ok()).map_or(Some(None), |at| at.map(Some))
        };
        let fault = self.fault.as_deref().map(Fault::of_code);
        Some(Kept {
            id: SubscriptionId::parse(&self.id)?,
            patient: PatientIndex::new(self.patient).ok()?,
            endpoint: Endpoint::parse(&self.endpoint)?,
            reason: self.reason.clone(),
            end: time(self.end)?,
            secret: NoticeSecret::new(checked::hash(&self.secret)?),
            told: BatchNumber(self.told),
            failing_since: time(self.failing_since)?,
            fault: fault.map_or(Some(None), |fault| fault.map(Some))?,
            given_up: self.given_up,
        })
    }
}

impl Subscriptions {
    /// Reads what an earlier run left; none where nobody ever subscribed.
    ///
    /// # Errors
    /// [`CheckedError`].
    pub fn read(path: &Path) -> Result<Subscriptions, CheckedError> {
        Ok(checked::read(path)?.unwrap_or_default())
    }

    /// Has everybody told again of batches behind this one: those that had these numbers are given
    /// up, and others will have them.
    ///
    /// # Errors
    /// [`CheckedError`]; nothing is changed then.
    pub fn tell_again_behind(path: &Path, last: BatchNumber) -> Result<(), CheckedError> {
        let Subscriptions(mut all) = Subscriptions::read(path)?;
        if all.iter().all(|one| one.told <= last) {
            return Ok(());
        }
        all.iter_mut().for_each(|one| one.told = one.told.min(last));
        Subscriptions(all).write(path)
    }

    /// Replaces them, durably.
    ///
    /// # Errors
    /// [`CheckedError::File`].
    pub fn write(&self, path: &Path) -> Result<(), CheckedError> {
        checked::write(self, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(number: u8) -> Kept {
        Kept {
            id: SubscriptionId::new([number; 16]),
            patient: PatientIndex::new(7).unwrap(),
            endpoint: Endpoint::parse("https://app.example.org:8443/hook?key=k").unwrap(),
            reason: "tell \"my\" app \u{e9}".into(),
            end: Some(Millis::UNBOUNDED_PAST),
            secret: NoticeSecret::new([number; 32]),
            told: BatchNumber(3),
            failing_since: Some(Millis::from_unix_ms(1_777_624_200_000)),
            fault: Some(Fault::Status(500)),
            given_up: true,
        }
    }

    #[test]
    fn behind_batches_that_are_given_up_everybody_is_told_again_and_of_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("subscriptions.json");
        Subscriptions::tell_again_behind(&path, BatchNumber(2)).unwrap();
        assert!(!path.exists(), "nobody subscribed");
        let behind = Kept { told: BatchNumber(1), ..kept(2) };
        Subscriptions(vec![kept(1), behind.clone()]).write(&path).unwrap();
        Subscriptions::tell_again_behind(&path, BatchNumber(2)).unwrap();
        let again = Kept { told: BatchNumber(2), ..kept(1) };
        assert_eq!(Subscriptions::read(&path).unwrap(), Subscriptions(vec![again, behind]));
        std::fs::write(&path, "{}").unwrap();
        assert!(Subscriptions::tell_again_behind(&path, BatchNumber(1)).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"{}");
    }

    #[test]
    fn subscriptions_are_read_as_they_were_written_and_a_changed_file_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("subscriptions.json");
        assert_eq!(Subscriptions::read(&path).unwrap(), Subscriptions::default());
        let plain = Kept { end: None, failing_since: None, fault: None, ..kept(2) };
        let all = Subscriptions(vec![kept(1), plain]);
        all.write(&path).unwrap();
        assert_eq!(Subscriptions::read(&path).unwrap(), all);
        let text = std::fs::read_to_string(&path).unwrap();
        for (was, is) in [
            ("app.example", "apq.example"),
            ("\"told\": 3", "\"told\": 4"),
            ("status-500", "status-501"),
            ("status-500", "none"),
            ("vitals-subscriptions-1", "vitals-subscriptions-2"),
            ("https://", "http://"),
            ("}", ""),
        ] {
            assert!(text.contains(was), "{was}");
            std::fs::write(&path, text.replacen(was, is, 1)).unwrap();
            let found = Subscriptions::read(&path);
            assert!(matches!(found, Err(CheckedError::Damaged { .. })), "{was} -> {is}");
        }
    }
}
