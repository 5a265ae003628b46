// How a fingerprint is written and typed: apart from how it is computed, so that whoever compares
// two needs no hashes.

/** 40 hex digits as ten groups of four. */
export function grouped(digits) {
  return digits.match(/.{4}/g).join("-");
}

/** A fingerprint as people type it, in its one form; `undefined` for other text. */
export function parseFingerprint(text) {
  const digits = text.trim().replace(/^0x/, "").replace(/[-: ]/g, "").toLowerCase();
  return /^[0-9a-f]{40}$/.test(digits) ? grouped(digits) : undefined;
}
