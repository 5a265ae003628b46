//! What is known of messages, for protocols that answer otherwise to what they took before.

use super::Delivery;
use super::content::Content;
use super::taken::{MessageId, ReceiptName};

impl Delivery {
    /// What of a message was stored, and by which receipts.
    pub(crate) fn stored(&self, id: MessageId) -> Option<(Content, Vec<ReceiptName>)> {
        let entry = self.taken.find(id)?;
        entry.receipts().map(|receipts| (entry.said.content, receipts.to_vec()))
    }
}
