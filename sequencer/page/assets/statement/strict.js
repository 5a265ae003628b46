// JSON as the programs read it: whole numbers only, and each field once. The parser of browsers
// takes 31337.0 for 31337 and the last of two fields for both, and so would read another file.

/** Strings, or what stands between them: the text is JSON already when it is cut up so. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g;
const WHOLE = /^(?:0|[1-9][0-9]*)$/;

/** The document, or what is wrong with it in words. */
export function parseStrictly(text) {
  let document;
  try {
    document = JSON.parse(text);
  } catch {
    return { fault: "expected JSON, found something else" };
  }
  const fault = faultOf(text.match(TOKEN) ?? []);
  return fault === undefined ? { document } : { fault };
}

function faultOf(tokens) {
  // The fields so far of each object around a token; of a list there are none.
  const around = [];
  for (const [at, token] of tokens.entries()) {
    if (token === "{") around.push(new Set());
    else if (token === "[") around.push(undefined);
    else if (token === "}" || token === "]") around.pop();
    else if (/^[-0-9]/.test(token) && !WHOLE.test(token)) {
      return "expected whole numbers only, found another number";
    }
    if (tokens[at + 1] !== ":") continue;
    const name = JSON.parse(token);
    const fields = around.at(-1);
    if (fields.has(name)) return "expected each field once, found one twice";
    fields.add(name);
  }
  return undefined;
}
