//! EIP-712 hashes of a receipt, as any wallet, contract or library computes them.

use std::sync::LazyLock;

use model::{ChainScope, Digest};

use super::items::{AccessItem, FramesItem, GroupIdentity, Items, OperationItem, RefusalItem};
use crate::hash::{Holder, keccak};

const DOMAIN: &str =
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const RECEIPT: &str = "Receipt(uint64 group,uint32 term,bytes32 journalHash,bytes32 holder,\
                       Frames[] frames,Operation[] operations,Access[] accesses,Refusal[] refusals)";
const ACCESS: &str = "Access(uint64 position,uint64 time,bytes32 digest,bool permitted)";
const FRAMES: &str = "Frames(string device,uint32 signal,uint16 epoch,uint64 firstSequence,\
                      uint64 lastSequence,uint64 firstPosition,uint64 lastPosition,uint64 time)";
const OPERATION: &str = "Operation(uint64 position,uint64 time,bytes32 digest)";
const REFUSAL: &str = "Refusal(uint64 position,bytes32 digest)";

/// Hashes that are the same in every receipt: most of what hashing a short one would cost.
struct Constants {
    domain: [u8; 32],
    name: [u8; 32],
    version: [u8; 32],
    receipt: [u8; 32],
    access: [u8; 32],
    frames: [u8; 32],
    operation: [u8; 32],
    refusal: [u8; 32],
}

static CONSTANTS: LazyLock<Constants> = LazyLock::new(|| Constants {
    domain: keccak(&[DOMAIN.as_bytes()]),
    name: keccak(&[b"vitals receipts"]),
    version: keccak(&[b"2"]),
    // Referenced types follow the primary one in alphabetical order.
    receipt: keccak(&[RECEIPT, ACCESS, FRAMES, OPERATION, REFUSAL].map(str::as_bytes)),
    access: keccak(&[ACCESS.as_bytes()]),
    frames: keccak(&[FRAMES.as_bytes()]),
    operation: keccak(&[OPERATION.as_bytes()]),
    refusal: keccak(&[REFUSAL.as_bytes()]),
});

/// Hash of the domain: name "vitals receipts", version "2", chain and contract.
pub(super) fn domain_separator(scope: &ChainScope) -> [u8; 32] {
    let mut contract = [0; 32];
    contract[12..].copy_from_slice(&scope.contract);
    // In the domain, so that a receipt for one deployment is worth nothing at another.
    let Constants { domain, name, version, .. } = &*CONSTANTS;
    keccak(&[domain, name, version, &number(scope.chain_id), &contract])
}

/// `hashStruct(receipt)`.
pub(super) fn receipt_hash(group: &GroupIdentity, holder: &Holder, items: &Items) -> [u8; 32] {
    let Items { frames, operations, accesses, refusals } = items;
    keccak(&[
        &CONSTANTS.receipt,
        &number(group.group),
        &number(u64::from(group.term)),
        &group.journal_hash,
        &holder.0,
        &list(frames, frames_hash),
        &list(operations, operation_hash),
        &list(accesses, access_hash),
        &list(refusals, refusal_hash),
    ])
}

/// An array is hashed as its members' hashes one after the other, without their number.
fn list<T>(items: &[T], hash: fn(&T) -> [u8; 32]) -> [u8; 32] {
    keccak(&[items.iter().map(hash).collect::<Vec<_>>().as_flattened()])
}

fn frames_hash(item: &FramesItem) -> [u8; 32] {
    keccak(&[
        &CONSTANTS.frames,
        // As its hash: whatever has no fixed length goes into a struct like this.
        &keccak(&[item.stream.device.as_str().as_bytes()]),
        &number(u64::from(item.stream.signal)),
        &number(u64::from(item.stream.epoch.0)),
        &number(item.sequences.0.0),
        &number(item.sequences.1.0),
        &number(item.positions.0.0),
        &number(item.positions.1.0),
        &number(item.appended.get()),
    ])
}

fn operation_hash(item: &OperationItem) -> [u8; 32] {
    keccak(&[
        &CONSTANTS.operation,
        &number(item.position.0),
        &number(item.time.get()),
        &word(&item.digest),
    ])
}

fn access_hash(item: &AccessItem) -> [u8; 32] {
    keccak(&[
        &CONSTANTS.access,
        &number(item.position.0),
        &number(item.time.get()),
        &word(&item.digest),
        &number(u64::from(item.permitted)),
    ])
}

fn refusal_hash(item: &RefusalItem) -> [u8; 32] {
    keccak(&[&CONSTANTS.refusal, &number(item.position.0), &word(&item.digest)])
}

fn number(value: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&value.to_be_bytes());
    word
}

fn word(digest: &Digest) -> [u8; 32] {
    // 31 bytes, so that it is a field element in the circuits; a zero byte in front makes a word.
    digest.word().to_bytes()
}
