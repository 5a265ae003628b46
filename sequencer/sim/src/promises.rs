//! What was acknowledged, kept outside of node and gateways: the truth that both are held to.

use std::fmt;
use std::sync::Mutex;

use model::Position;
use wire::{Address, ReceiptError, SignedReceipt};

use crate::clock::elapsed_ms;
use crate::lock::lock;

/// Who holds a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A gateway, by its number.
    Gateway(usize),
    /// A wallet, by its number.
    Wallet(usize),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Gateway(number) => write!(f, "gateway {number}"),
            Holder::Wallet(number) => write!(f, "wallet {number}"),
        }
    }
}

/// A frame whose receipt came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledged {
    /// When, milliseconds.
    pub(crate) at_ms: u64,
    /// Since it was measured.
    pub(crate) delay_ms: u64,
}

/// A receipt, and who got it.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    pub(crate) holder: Holder,
    pub(crate) receipt: SignedReceipt,
}

/// Every receipt that some gateway verified, in order, with what each gateway measured.
#[derive(Debug)]
pub(crate) struct Promises {
    receipts: Mutex<Vec<Promise>>,
    gateways: Mutex<Vec<Measured>>,
    acknowledged: Mutex<Vec<Acknowledged>>,
}

/// What one gateway's device measured.
#[derive(Clone, Debug, Default)]
struct Measured {
    readings: u64,
    /// When each frame was handed to the client, milliseconds: the first has sequence 1.
    frames_at_ms: Vec<u64>,
    /// The last sequence that has a receipt.
    receipted: u64,
}

impl Promises {
    /// Of so many gateways, none of which measured anything yet.
    pub(crate) fn of(gateways: usize) -> Promises {
        Promises {
            receipts: Mutex::default(),
            gateways: Mutex::new(vec![Measured::default(); gateways]),
            acknowledged: Mutex::default(),
        }
    }

    /// A gateway got a receipt.
    pub(crate) fn receive(&self, gateway: usize, receipt: &SignedReceipt) {
        let frames = &receipt.receipt.items().frames;
        let last = frames.iter().map(|item| item.sequences.1.0).max().unwrap_or(0);
        if let Some(measured) = lock(&self.gateways).get_mut(gateway) {
            let new = measured.receipted as usize..last as usize;
            let now = elapsed_ms();
            let delays = measured.frames_at_ms.get(new).unwrap_or_default();
            let new = delays.iter().map(|at| now.saturating_sub(*at));
            let new = new.map(|delay_ms| Acknowledged { at_ms: now, delay_ms });
            lock(&self.acknowledged).extend(new);
            measured.receipted = measured.receipted.max(last);
        }
        self.keep(Holder::Gateway(gateway), receipt);
    }

    /// Somebody got a receipt.
    pub(crate) fn keep(&self, holder: Holder, receipt: &SignedReceipt) {
        lock(&self.receipts).push(Promise { holder, receipt: receipt.clone() });
    }

    /// Everything that was promised so far.
    pub(crate) fn all(&self) -> Vec<Promise> {
        lock(&self.receipts).clone()
    }

    /// The last position that somebody has a receipt of.
    pub(crate) fn last_position(&self) -> Position {
        let receipts = lock(&self.receipts);
        let last = |promise: &Promise| promise.receipt.receipt.items().last_position();
        receipts.iter().map(last).max().unwrap_or(Position(0))
    }

    /// How many readings a gateway has handed to its client: the device never gives them again.
    pub(crate) fn measured(&self, gateway: usize) -> u64 {
        lock(&self.gateways).get(gateway).map_or(0, |one| one.readings)
    }

    /// A gateway's client took a frame of so many more.
    pub(crate) fn measure(&self, gateway: usize, readings: u64) {
        if let Some(measured) = lock(&self.gateways).get_mut(gateway) {
            measured.readings += readings;
            measured.frames_at_ms.push(elapsed_ms());
        }
    }

    /// Frames without a receipt, of all gateways.
    pub(crate) fn backlog(&self) -> u64 {
        let open = |one: &Measured| (one.frames_at_ms.len() as u64).saturating_sub(one.receipted);
        lock(&self.gateways).iter().map(open).sum()
    }

    /// Every frame that has a receipt, in the order of these.
    pub(crate) fn acknowledged(&self) -> Vec<Acknowledged> {
        lock(&self.acknowledged).clone()
    }

    /// Frames that gateways handed to their clients.
    pub(crate) fn frames(&self) -> u64 {
        lock(&self.gateways).iter().map(|one| one.frames_at_ms.len() as u64).sum()
    }
}

impl Promise {
    /// Whether the node signed it.
    pub(crate) fn verify(&self, signer: Address) -> Result<(), ReceiptError> {
        self.receipt.verify(signer)
    }
}
