//! What a server signed, checked against whom the client expects and against what came before.

use std::collections::BTreeMap;

use model::ChainScope;

use super::event::{ClientConfig, Violation};
use crate::{Address, GroupIdentity, Holder, PROTOCOL_VERSION, SignedReceipt, Standing, Welcome};

pub(super) struct Evidence {
    scope: ChainScope,
    signer: Address,
    holder: Holder,
    receipts_max: usize,
    /// By the term and the number of their group: numbers of a later term begin beyond all others.
    receipts: BTreeMap<(u32, u64), SignedReceipt>,
    /// The term of the last welcome.
    term: Option<u32>,
}

impl Evidence {
    pub(super) fn new(config: &ClientConfig) -> Evidence {
        let &ClientConfig { scope, signer, holder, limits, .. } = config;
        let (receipts_max, receipts) = (limits.receipts_max, BTreeMap::new());
        Evidence { scope, signer, holder, receipts_max, receipts, term: None }
    }

    /// The newest receipt.
    pub(super) fn newest(&self) -> Option<&SignedReceipt> {
        self.receipts.last_key_value().map(|(_, receipt)| receipt)
    }

    /// Whether the server is of the expected deployment, and its journal holds what it gave
    /// receipts for; the term that was known before.
    pub(super) fn take_welcome(&mut self, welcome: &Welcome) -> Result<Option<u32>, Violation> {
        let expected = (PROTOCOL_VERSION, self.scope, self.signer);
        let found = (welcome.version, welcome.scope, welcome.signer);
        if found != expected {
            return Err(Violation::Welcome);
        }
        let Standing { term, head_group } = welcome.standing;
        let newest = self.newest().map(|receipt| receipt.receipt.group);
        let known = self.term.max(newest.map(|group| group.term));
        let last = newest.map_or(0, |group| group.group);
        // After an accepted loss too: the journal goes on beyond every number ever told.
        if known.is_some_and(|known| term < known) || head_group < last {
            let known_term = known.unwrap_or(0);
            return Err(Violation::Behind { known_term, expected: last, term, found: head_group });
        }
        self.term = Some(term);
        Ok(known)
    }

    /// Whether a receipt is signed by whom it must be, and for this client.
    pub(super) fn check(&self, signed: &SignedReceipt) -> Result<(), Violation> {
        // The signature first: the other checks accuse the signer, so there must be one.
        signed.verify(self.signer)?;
        let receipt = &signed.receipt;
        if receipt.group.scope != self.scope || receipt.holder != self.holder {
            return Err(Violation::Receiver);
        }
        Ok(())
    }

    /// Remembers a checked receipt.
    ///
    /// # Errors
    /// The receipt that came first, if it is of the same group and another one: two of them prove
    /// that the signer equivocates (W.38).
    pub(super) fn remember(&mut self, signed: &SignedReceipt) -> Result<(), Box<SignedReceipt>> {
        let GroupIdentity { term, group, .. } = signed.receipt.group;
        let group = (term, group);
        // Receipts are compared and not signatures: a second signature of the same words is odd,
        // but says nothing else.
        if let Some(first) = self.receipts.get(&group)
            && first.receipt != signed.receipt
        {
            return Err(Box::new(first.clone()));
        }
        self.receipts.insert(group, signed.clone());
        // The owner keeps every receipt and can compare them all; here memory is bounded.
        while self.receipts.len() > self.receipts_max {
            self.receipts.pop_first();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use model::{Digest, Position};

    use super::*;
    use crate::client::samples::{holder, key, receipt, scope};
    use crate::{ClientLimits, ClientName, Items, RefusalItem, signer_address};

    fn evidence() -> Evidence {
        let limits = ClientLimits { receipts_max: 2, ..ClientLimits::default() };
        let (signer, name) = (signer_address(&key()), ClientName::new("test").expect("short"));
        let (scope, holder, codec) = (scope(), holder(), None);
        let config = ClientConfig { scope, signer, holder, name, codec, limits };
        Evidence::new(&config)
    }

    fn receipt_at(group: u64, position: u64) -> SignedReceipt {
        let item = RefusalItem { position: Position(position), digest: Digest([1; 31]) };
        receipt(group, Items { refusals: vec![item], ..Items::default() })
    }

    #[test]
    fn a_receipt_of_another_signer_or_for_another_deployment_does_not_pass() {
        let signed = receipt_at(1, 1);
        assert_eq!(evidence().check(&signed), Ok(()));
        let other = Evidence { signer: Address([0; 20]), ..evidence() };
        assert!(matches!(other.check(&signed), Err(Violation::Receipt(_))));
        let scope = ChainScope { chain_id: 2, ..scope() };
        let other = Evidence { scope, ..evidence() };
        assert_eq!(other.check(&signed), Err(Violation::Receiver));
        let other = Evidence { holder: Holder([0; 32]), ..evidence() };
        assert_eq!(other.check(&signed), Err(Violation::Receiver));
    }

    #[test]
    fn the_same_receipt_may_come_again_and_another_of_its_group_proves_equivocation() {
        let mut evidence = evidence();
        let first = receipt_at(1, 1);
        assert_eq!(evidence.remember(&first), Ok(()));
        assert_eq!(evidence.remember(&first), Ok(()));
        assert_eq!(evidence.remember(&receipt_at(1, 2)), Err(Box::new(first)));
    }

    #[test]
    fn the_oldest_group_is_forgotten_first() {
        let mut evidence = evidence();
        for group in 1..=3 {
            evidence.remember(&receipt_at(group, group)).expect("one for each group");
        }
        assert_eq!(evidence.remember(&receipt_at(1, 9)), Ok(()), "nothing is left to compare");
        assert!(evidence.remember(&receipt_at(3, 9)).is_err());
    }
}
