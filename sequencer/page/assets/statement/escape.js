// Text from elsewhere, as it may be shown to a person: the twin of `model::escape`.

/** Longest text shown, characters. */
const SHOWN_MAX = 2000;
/** Letters and digits of every script, spaces and ASCII punctuation stay. */
const PLAIN = /^[ -~]$|^[\p{Alphabetic}\p{N}]$/u;
const SHORT = new Map([
  ["\t", "\\t"],
  ["\r", "\\r"],
  ["\n", "\\n"],
]);

/**
 * Everything else is written out: a mark of direction could turn a sentence around, a line break
 * begin a line that looks like this program's own. What is too long is cut and says so.
 */
export function escape(text) {
  const characters = [...String(text)];
  const more = characters.length - SHOWN_MAX;
  const end = more > 0 ? ` ... (${more} more characters)` : "";
  return characters.slice(0, SHOWN_MAX).map(shown).join("") + end;
}

function shown(character) {
  if (PLAIN.test(character)) return character;
  return SHORT.get(character) ?? `\\u{${character.codePointAt(0).toString(16)}}`;
}
