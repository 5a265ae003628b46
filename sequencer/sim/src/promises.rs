//! What was acknowledged, kept outside of node and gateways: the truth that both are held to.

use std::sync::Mutex;

use wire::{Address, ReceiptError, SignedReceipt};

use crate::clock::elapsed_ms;
use crate::lock::lock;

/// A receipt, and who got it.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    pub(crate) gateway: usize,
    pub(crate) receipt: SignedReceipt,
}

/// Every receipt that some gateway verified, in order, with what each gateway measured.
#[derive(Debug)]
pub(crate) struct Promises {
    receipts: Mutex<Vec<Promise>>,
    gateways: Mutex<Vec<Measured>>,
    delays_ms: Mutex<Vec<u64>>,
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
            delays_ms: Mutex::default(),
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
            lock(&self.delays_ms).extend(delays.iter().map(|at| now.saturating_sub(*at)));
            measured.receipted = measured.receipted.max(last);
        }
        lock(&self.receipts).push(Promise { gateway, receipt: receipt.clone() });
    }

    /// Everything that was promised so far.
    pub(crate) fn all(&self) -> Vec<Promise> {
        lock(&self.receipts).clone()
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

    /// From the measuring of each frame to its receipt.
    pub(crate) fn delays_ms(&self) -> Vec<u64> {
        lock(&self.delays_ms).clone()
    }
}

impl Promise {
    /// Whether the node signed it.
    pub(crate) fn verify(&self, signer: Address) -> Result<(), ReceiptError> {
        self.receipt.verify(signer)
    }
}
