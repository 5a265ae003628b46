// How many blocks of logs are asked for at once: the twin of `l1_contracts::log_range`.
//
// Nodes serve logs of so many blocks at once, of so many logs, or of so many bytes, and each says
// in its own way that it was more; this page's server passes none of these ways on. So the range is
// halved on any refusal that less could mend, the one that was served is kept, and it grows again
// slowly. What is refused for one block alone is refused for another reason.

/** Blocks of logs asked for at once: at first, and at most. */
const LOG_BLOCKS_MAX = 10_000n;
/** Ranges served in a row before a larger one is tried, at first. */
const SERVED_TO_GROW = 16;
const TO_GROW_MAX = 2 ** 32;
/** Refusals that are of the question, of its length, or of a server that fails at it. */
const TOO_MUCH = [400, 408, 413, 414, 422];
/** Of whoever is busy, or answers nobody: as much is answered later, and less is not now. */
const AWAY = [429, 502, 503];

/** How many blocks of logs a node serves at once, as far as is known. */
export class LogRange {
  #blocks = LOG_BLOCKS_MAX;
  /** The largest that was served since the last refusal below it. */
  #worked = 0n;
  #inARow = 0;
  #toGrow = SERVED_TO_GROW;

  /** To be asked for next. */
  get blocks() {
    return this.#blocks;
  }

  served(asked) {
    // The last range before the head is short and says nothing of longer ones.
    if (asked < this.#blocks) return;
    if (asked > this.#worked) this.#worked = asked;
    this.#inARow += 1;
    if (this.#inARow < this.#toGrow) return;
    this.#inARow = 0;
    const grown = this.#blocks + (this.#blocks + 3n) / 4n;
    this.#blocks = grown < LOG_BLOCKS_MAX ? grown : LOG_BLOCKS_MAX;
  }

  /** The next range is always smaller than `asked`, and at least one block. */
  refused(asked, { kind }) {
    this.#inARow = 0;
    if (this.#worked >= 1n && this.#worked < asked) {
      // A limit was found by growing: to try again and again would cost a question each time.
      this.#toGrow = Math.min(2 * this.#toGrow, TO_GROW_MAX);
      this.#blocks = this.#worked;
      return;
    }
    // What worked before is refused now: of logs, a node serves so many and not of so many blocks.
    this.#worked = 0n;
    // Each further silence would cost as long again.
    const less = asked / (kind === "timeout" ? 16n : 2n);
    this.#blocks = less > 1n ? less : 1n;
  }
}

/** Whether a question might be answered if it asked for less; of a `ChainError`. */
export function mayBeTooMuch({ kind, status }) {
  // An answer that is nothing, or no list, refuses too.
  if (["refused", "malformed", "too-large", "timeout"].includes(kind)) return true;
  if (kind !== "status" || AWAY.includes(status)) return false;
  return TOO_MUCH.includes(status) || status >= 500;
}
