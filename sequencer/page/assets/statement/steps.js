// A check as steps: each says what is done next and how far it is, so that whoever drives it can
// tell somebody, rest between two of them, or go no further.

/** One of them, as checks give them. */
export const step = (name, done, of) => ({ name, done, of });

/** Goes all steps at once, and gives what the last one came to. */
export function finish(steps, tell = () => {}) {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    tell(value.name, value.done, value.of);
  }
}
