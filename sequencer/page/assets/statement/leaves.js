// Claims, tags, edges and operations as committed words (SPEC.md sections 3, 5, 6): for whoever
// holds an opening. A batch is verified without them, because leaves stand in the public file.

import { toNumber, utf8 } from "./bytes.js";
import { R, fromDigest } from "./field.js";
import { blake3 } from "./hashes.js";
import { Domain, poseidon } from "./poseidon.js";

const bit = (place) => 1n << BigInt(place);

/** The word that rules and claims use for a registered id; kind 1 to 4 as in SPEC.md section 3. */
export function actorWord(kind, id) {
  return poseidon(Domain.Actor, [BigInt(kind), fromDigest(blake3(utf8(id)))]);
}

/** Mask, index, position and whether the claim is covered, as one word. */
export function claimInfo(claim, isCovered) {
  const { mask, patient, position } = claim;
  return (mask + patient * bit(60) + position * bit(84) + (isCovered ? bit(148) : 0n)) % R;
}

/** Receipt and measured interval as one word; each is [from, until]. */
export function claimTimes({ receipt, measured }) {
  return [...receipt, ...measured].reduceRight((sum, time) => sum * bit(48) + time, 0n);
}

/** The committed word of a claim. */
export function claimLeaf(claim, isCovered, salt) {
  const { individual, organisation, careTeam, source, digest } = claim;
  return poseidon(Domain.Claim, [
    individual,
    organisation,
    careTeam,
    source,
    claimInfo(claim, isCovered),
    claimTimes(claim),
    toNumber(digest),
    salt,
  ]);
}

/** The word by which the holder of a view key finds a patient slot and its number of claims. */
export function slotTag({ viewKey, domain, edgeIn }, { patient, slot, count }) {
  const place = patient + slot * bit(24) + count * bit(32);
  return poseidon(Domain.SlotTag, [viewKey, (domain + edgeIn) % R, place]);
}

/** The salt of the leaf with this number; of a C1 row, 2^32 + row. */
export function leafSalt({ viewKey, domain, rootOut }, leaf) {
  return poseidon(Domain.ClaimSalt, [viewKey, domain, rootOut, leaf]);
}

/** The salted commitment to the last patient and position of a chunk. */
export function edgeWord(patient, position, salt) {
  return poseidon(Domain.Edge, [patient, position, salt]);
}

/** What a signer signs: `words` are the three of the argument. */
export function operationMessage(sigDomain, operation) {
  const { index, nonce, kind, slot, signedAt, validUntil, words } = operation;
  const head = kind + slot * bit(4) + signedAt * bit(8) + validUntil * bit(56);
  const argument = poseidon(Domain.Rule, words);
  return poseidon(Domain.Operation, [sigDomain, index, nonce, head, argument]);
}

/** The committed word of an operation. */
export function operationLeaf(message, tOp, salt) {
  return poseidon(Domain.OperationLeaf, [message, tOp, salt]);
}
