//! The world state and the way back from it.
//!
//! The state is that of the newest block. Every block carries an [`Undo`]: the values it replaced.
//! Undone from the head downwards they give the state after any earlier block, which serves both
//! calls at an old block and the removal of blocks; no snapshot is copied.

use alloy::primitives::{Address, B256, U256};
use revm::{
    bytecode::Bytecode,
    database_interface::DatabaseRef,
    state::{AccountInfo, EvmState},
};
use std::{collections::HashMap, convert::Infallible};

type Slot = (Address, U256);

/// Accounts, storage and code after the newest block. No map here is ever iterated.
#[derive(Default)]
pub(crate) struct State {
    accounts: HashMap<Address, AccountInfo>,
    slots: HashMap<Slot, U256>,
    /// By hash. Code outlives an undone block: it is addressed by its content.
    codes: HashMap<B256, Bytecode>,
}

/// The values that one block replaced.
#[derive(Default)]
pub(crate) struct Undo {
    accounts: Vec<(Address, Option<AccountInfo>)>,
    slots: Vec<(Slot, U256)>,
}

impl State {
    pub(crate) fn fund(&mut self, account: Address, balance: U256) {
        self.put_account(account, Some(AccountInfo { balance, code: None, ..Default::default() }));
    }

    /// Applies what a transaction touched and returns the way back.
    pub(crate) fn apply(&mut self, touched: EvmState) -> Undo {
        let mut undo = Undo::default();
        for (address, mut account) in touched {
            // The EVM lists accounts that were only read as well.
            if !account.is_touched() {
                continue;
            }
            // Since EIP-6780 only an account that its own transaction created can be destroyed,
            // so no slot of it was stored before.
            let destroyed = account.is_selfdestructed();
            // An empty account is no account (EIP-161): kept, it would differ from an absent one.
            let gone = destroyed || account.info.is_empty();
            if let Some(code) = account.info.code.take().filter(|_| !gone) {
                // By content and kept for ever, so an undo needs no code.
                self.codes.entry(account.info.code_hash).or_insert(code);
            }
            // A handle by which revm would ask this database for storage; it means nothing later.
            account.info.account_id = None;
            let before = self.put_account(address, (!gone).then_some(account.info));
            undo.accounts.push((address, before));
            if destroyed {
                continue;
            }
            for (key, slot) in account.storage {
                if slot.present_value != slot.original_value {
                    let slot_id = (address, key);
                    undo.slots.push((slot_id, self.put_slot(slot_id, slot.present_value)));
                }
            }
        }
        undo
    }

    pub(crate) fn undo(&mut self, undo: Undo) {
        for (address, before) in undo.accounts {
            self.put_account(address, before);
        }
        for (slot, before) in undo.slots {
            self.put_slot(slot, before);
        }
    }

    fn put_account(&mut self, address: Address, info: Option<AccountInfo>) -> Option<AccountInfo> {
        match info {
            Some(info) => self.accounts.insert(address, info),
            None => self.accounts.remove(&address),
        }
    }

    fn put_slot(&mut self, slot: Slot, value: U256) -> U256 {
        // Zero and absent are one value of a slot; storing zeros would only take memory.
        let before = match value.is_zero() {
            true => self.slots.remove(&slot),
            false => self.slots.insert(slot, value),
        };
        before.unwrap_or_default()
    }
}

/// The state after one block, as the EVM reads it.
pub(crate) struct View<'a> {
    state: &'a State,
    /// Hashes of the blocks up to and including this one, for `BLOCKHASH`.
    hash_of: &'a dyn Fn(u64) -> B256,
    accounts: HashMap<Address, Option<AccountInfo>>,
    slots: HashMap<Slot, U256>,
}

impl<'a> View<'a> {
    /// `undone` are the undos of the later blocks, newest first.
    pub(crate) fn new<'u>(
        state: &'a State,
        undone: impl Iterator<Item = &'u Undo>,
        hash_of: &'a dyn Fn(u64) -> B256,
    ) -> Self {
        let mut view = Self { state, hash_of, accounts: HashMap::new(), slots: HashMap::new() };
        // Copied and not searched: a call reads many slots, and there may be many blocks to search.
        for undo in undone {
            view.accounts.extend(undo.accounts.iter().cloned());
            view.slots.extend(undo.slots.iter().copied());
        }
        view
    }

    /// Absent accounts read as empty.
    pub(crate) fn account(&self, address: Address) -> AccountInfo {
        // A `None` inside is an account that was not there then; outside, no later block changed
        // it.
        let overlaid = self.accounts.get(&address).cloned();
        let info = overlaid.unwrap_or_else(|| self.state.accounts.get(&address).cloned());
        info.unwrap_or_else(|| AccountInfo { code: None, ..Default::default() })
    }

    pub(crate) fn slot(&self, address: Address, key: U256) -> U256 {
        let slot = (address, key);
        let value = self.slots.get(&slot).or_else(|| self.state.slots.get(&slot));
        value.copied().unwrap_or_default()
    }

    pub(crate) fn code(&self, hash: B256) -> Bytecode {
        // Missing only for the hash of no code, which need not be stored.
        self.state.codes.get(&hash).cloned().unwrap_or_default()
    }
}

impl DatabaseRef for View<'_> {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        let info = self.account(address);
        Ok((!info.is_empty()).then_some(info))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self.code(hash))
    }

    fn storage_ref(&self, address: Address, key: U256) -> Result<U256, Infallible> {
        Ok(self.slot(address, key))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        Ok((self.hash_of)(number))
    }
}
