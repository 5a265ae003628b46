//! A subscription as it is kept.

use std::fmt;

use model::{BatchNumber, Millis, PatientIndex};

use super::endpoint::Endpoint;
use super::fault::Fault;

/// Names a subscription: 16 drawn bytes, in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SubscriptionId([u8; 16]);

/// What notices of one subscription are signed with; whoever has it can make some up for its
/// receiver, and for no other.
#[derive(Clone, PartialEq, Eq)]
pub struct NoticeSecret([u8; 32]);

/// What is kept of a subscription.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Its name.
    pub id: SubscriptionId,
    /// Whose record it is about.
    pub patient: PatientIndex,
    /// Who is told.
    pub endpoint: Endpoint,
    /// Why, in the words of whoever asked for it.
    pub reason: String,
    /// When it ends, if it does by itself.
    pub end: Option<Millis>,
    /// What its notices are signed with.
    pub secret: NoticeSecret,
    /// The last batch that was told, or had nothing to tell.
    pub told: BatchNumber,
    /// Since when the notice that is due could not be delivered.
    pub failing_since: Option<Millis>,
    /// Why the last attempt came to nothing.
    pub fault: Option<Fault>,
    /// Whether it was given up: nothing is sent any more.
    pub given_up: bool,
}

impl SubscriptionId {
    /// Of drawn bytes.
    pub fn new(drawn: [u8; 16]) -> SubscriptionId {
        SubscriptionId(drawn)
    }

    /// Of 32 hexadecimal digits, the small ones.
    pub fn parse(text: &str) -> Option<SubscriptionId> {
        let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(SubscriptionId).filter(|id| id.to_string() == text)
    }
}

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl NoticeSecret {
    /// Of drawn bytes.
    pub fn new(drawn: [u8; 32]) -> NoticeSecret {
        NoticeSecret(drawn)
    }

    /// The bytes, for whoever signs or keeps them.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for NoticeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoticeSecret(32 bytes)")
    }
}

impl Kept {
    /// As FHIR has it (`SubscriptionStatus`).
    pub fn status(&self, now: Millis) -> &'static str {
        match () {
            () if self.given_up => "error",
            () if self.has_ended(now) => "off",
            () => "active",
        }
    }

    /// Whether somebody is to be told.
    pub(super) fn is_live(&self, now: Millis) -> bool {
        !self.given_up && !self.has_ended(now)
    }

    fn has_ended(&self, now: Millis) -> bool {
        self.end.is_some_and(|end| end <= now)
    }
}
