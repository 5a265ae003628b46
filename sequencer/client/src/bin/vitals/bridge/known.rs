//! What is known of messages, for protocols that answer otherwise to what they took before, or that
//! join several messages to one.

use bridge::Cause;

use super::Delivery;
use super::taken::{Content, MessageId, ReceiptName};

impl Delivery {
    /// What of a message was stored, and by which receipts.
    pub(crate) fn stored(&self, id: MessageId) -> Option<(Content, Vec<ReceiptName>)> {
        let messages = self.lock();
        let entry = messages.taken.find(id)?;
        entry.receipts.clone().map(|receipts| (entry.content, receipts))
    }

    /// Remembers a message that was stored as a part of another one.
    pub(crate) fn remember(
        &self,
        id: MessageId,
        content: Content,
        receipts: &[ReceiptName],
    ) -> Result<(), Cause> {
        let stored = self.lock().taken.store(id, content, receipts.to_vec());
        stored.map_err(|_| Cause::NotKept)
    }
}
