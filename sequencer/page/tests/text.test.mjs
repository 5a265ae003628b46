// What the page says: the one word that only a reader's own machine may say, and numbers.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { escape } from "../assets/statement/escape.js";
import { parseFingerprint } from "../assets/statement/spelling.js";
import * as text from "../assets/text.js";

const assets = new URL("../assets/", import.meta.url);

/** Hand-written files of the page and of the saved one, from the assets on. What is made of them is
 *  compared with them. */
function own(endings) {
  const all = ["", "../saved/"].flatMap((folder) =>
    readdirSync(new URL(folder, assets), { recursive: true }).map((name) => folder + name),
  );
  const isMade = (name) => name === "saved.html" || name.startsWith("vendor/");
  return all.filter((name) => endings.test(name) && !isMade(name)).sort();
}

const report = {
  number: 3,
  ms: 700,
  proofs: 8,
  gaps: 0,
  bytes: 20_000,
  groups: 5,
  segments: 4,
  headers: 7,
  keys: 4,
  block: 12,
  fingerprint: "9f0c",
  devInsecure: false,
};

function allWords(trust) {
  const overview = { trust, contract: "0x5e", chains: 2 };
  const of = text.trustOf(trust);
  return JSON.stringify([
    of.badge,
    of.word,
    of.mark,
    of.who,
    text.checkedAgainst(report, overview),
    text.trusted(report, overview, undefined),
    text.trusted(report, overview, [{ chain: 2, outcome: "agrees" }]),
    text.NOT_PROVEN,
    text.titleOf({ report }, { trust, peers: [] }),
    text.titleOf({ report: { ...report, devInsecure: true } }, { trust, peers: [] }),
    text.markOf({ report: { ...report, devInsecure: true } }, { trust, peers: [] }),
    text.markOf({ report }, { trust, peers: [] }),
    text.fileTitle(true),
    text.fileTitle(false),
    Object.values(text.STATES),
  ]);
}

test("the word verified stands only where the reader serves the page", () => {
  assert.match(allWords("verifier"), /Verified: batch 3/);
  for (const trust of ["operator", "wallet", "nobody", undefined]) {
    assert.doesNotMatch(allWords(trust), /verified/i, trust);
  }
  assert.match(allWords("operator"), /shown by this operator/);
  assert.match(allWords("nobody"), /shown by this operator/);
});

test("in what the page says, the word stands in the entry of the reader's own page alone", () => {
  const source = readFileSync(new URL("../assets/text.js", import.meta.url), "utf8");
  const code = source.replace(/^\s*(?:\/\/|\/?\*).*$/gm, "");
  const [entry] = /^ {2}verifier: \{[^]*?^ {2}\},/m.exec(code);
  assert.equal(entry.match(/verified/gi).length, 2);
  assert.doesNotMatch(code.replace(entry, ""), /verified/i);
});

test("what no check shows is what the auditor says that none shows", () => {
  const source = new URL("../../../l1-contracts/auditor/src/report.rs", import.meta.url);
  const code = readFileSync(source, "utf8");
  const [, list] = /NOT_PROVEN: \[&str; 9\] = \[([^]*?)\n\];/.exec(code);
  // A backslash at the end of a line joins it with the next, without its indentation.
  const joined = list.replace(/\\\n\s*/g, "");
  const lines = [...joined.matchAll(/^\s*"(.*)",$/gm)].map(([, line]) => line);
  assert.equal(lines.length, 9);
  assert.deepEqual(text.NOT_PROVEN, lines);
  assert.match(text.setupOf("ceremony"), /ceremony whose transcript is not checked here$/);
});

test("under development keys nothing is green", () => {
  const insecure = { report: { ...report, devInsecure: true } };
  const of = { trust: "verifier", peers: [] };
  const { kind, title } = text.titleOf(insecure, of);
  assert.equal(kind, "warn");
  assert.match(title, /^Verified under development keys: batch 3 is/);
  assert.deepEqual(text.markOf(insecure, of), ["verified, dev keys", "warn"]);
  assert.deepEqual(text.titleOf({ report }, of).kind, "good");
  assert.match(text.setupOf("dev-insecure"), /anybody can forge/);
});

test("no other file of the page says it", () => {
  for (const name of own(/\.(js|html)$/).filter((name) => name !== "text.js")) {
    // Lines that are comments: what stands behind code on its line is read with it.
    const text = readFileSync(new URL(name, assets), "utf8");
    const code = text.replace(/^\s*(?:\/\/|\/?\*).*$/gm, "");
    assert.doesNotMatch(code, /\bverified\b/i, name);
  }
});

test("nothing is shown but as text, and nothing is fetched from another host", () => {
  for (const name of own(/\.(js|html|css)$/)) {
    // Of a command to paste, where a reader's own node stands.
    const code = readFileSync(new URL(name, assets), "utf8").replaceAll("https://YOUR-NODE", "");
    const banned =
      /innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(|new Function|https?:\/\//;
    assert.doesNotMatch(code, banned, name);
  }
  // What a saved page holds inline is named in its policy by hashes.
  for (const name of own(/\.html$/).filter((name) => !name.startsWith("../"))) {
    const page = readFileSync(new URL(name, assets), "utf8");
    assert.doesNotMatch(page, /<style|<script(?![^>]*\bsrc=)|\son[a-z]+=|\sstyle=/, name);
  }
});

test("lengths, sizes and counts are in the unit that fits", () => {
  const lengths = [0, 999, 1000, 9_949, 44_000, 119_000, 600_000, 7_200_000, 86_400_000 * 3];
  assert.deepEqual(lengths.map(text.length), [
    "0 ms",
    "999 ms",
    "1.0 s",
    "9.9 s",
    "44 s",
    "119 s",
    "10 min",
    "2 h",
    "3 days",
  ]);
  assert.deepEqual([1, 9_999, 20_000, 3_500_000].map(text.bytes), [
    "1 bytes",
    "9,999 bytes",
    "20.0 kB",
    "3.5 MB",
  ]);
  assert.deepEqual(
    [text.plural(1, "proof"), text.plural(2, "access", "accesses")],
    ["1 proof", "2 accesses"],
  );
});

test("another node that disagrees disputes a check, and one that is away does not", () => {
  const of = (...outcomes) => outcomes.map((outcome) => ({ chain: 2, outcome }));
  assert.ok(text.isDisputed(of("agrees", "differs")));
  assert.ok(text.isDisputed(of("agrees"), of("differs")));
  for (const compared of [undefined, of("agrees"), of("away"), []]) {
    assert.ok(!text.isDisputed(compared, []));
  }
  assert.doesNotMatch(text.DISPUTED, /verified|agrees/i);
});

test("what a program says of a fault is shown as a sentence", () => {
  assert.equal(text.sentence("nobody answers"), "Nobody answers.");
  assert.equal(text.sentence("Try again."), "Try again.");
});

test("words of strangers do nothing but be shown, as the programs show them", () => {
  const hostile =
    "\x1b \x9b \x07 \r \n \t \0 \x7f \u2028 \u2029 \u202e \u2066 \u200b \ufeff \u{e0041}";
  for (const one of hostile.split(" ")) {
    const shown = escape(`a${one}b`);
    assert.match(shown, /^a\\[ -~]+b$/, shown);
    assert.equal(escape(shown), shown);
  }
  for (const plain of [
    "",
    "expected 3, found 4: (C2.12)",
    "Zo\u00eb, \u6771, \u03a9 5",
    'C:\\x "y"',
  ]) {
    assert.equal(escape(plain), plain);
  }
  assert.equal(escape("\x1b[2J\n"), "\\u{1b}[2J\\n");
  assert.equal(escape("x".repeat(2007)), `${"x".repeat(2000)} ... (7 more characters)`);
});

test("what was found on the chain is one sentence, and lateness another", () => {
  const of = (settledCount, maxMs, batches) =>
    text.agreement({ settledCount, lateness: { maxMs, batches } });
  assert.match(of(0, 0, 0), /^Contract, keys and 0 headers .* deployment file\.$/);
  assert.match(of(1, 3000, 0), /1 header on .* Late by at most 3\.0 s\.$/);
  assert.match(of(3, 7_200_000, 1), /Late by at most 2 h, 1 batch by more than 10 min\.$/);
});

test("what was checked alone has neither the word nor the colour of what is verified", () => {
  const unlinked = { number: 2, isBroken: false, why: "nobody answers" };
  const alone = { report: { ...report, unlinked } };
  for (const trust of ["verifier", "wallet", "operator"]) {
    const why = text.whyNotLinked(alone.report);
    const of = { trust, peers: [] };
    const said = [text.titleOf(alone, of), text.markOf(alone, of), why];
    assert.doesNotMatch(JSON.stringify(said), /verified|agrees|good/i);
    assert.match(why, /between batch 2 and it was not: Nobody answers\.$/);
  }
  const disputed = { ...alone, compared: [{ chain: 2, outcome: "differs" }] };
  const of = { trust: "verifier", peers: [] };
  assert.deepEqual(text.titleOf(disputed, of), { kind: "bad", title: text.DISPUTED });
  assert.deepEqual(text.markOf(disputed, of), ["disputed", "bad"]);
});

test("a fingerprint is compared however it is typed, and another one is refused", () => {
  const own = "724a-2cd6-60b1-a7c6-595f-91e3-fcf8-5eab-2a34-1a07";
  const plain = own.replaceAll("-", "");
  const spaced = ` ${own.replaceAll("-", " ").toUpperCase()} `;
  for (const told of [own, plain, `0x${plain}`, spaced, own.replaceAll("-", ":")]) {
    assert.equal(text.compareTold(told, own).kind, "good", told);
  }
  const other = text.compareTold(own.replace("7", "8"), own);
  assert.deepEqual([other.kind, /Use it for nothing/.test(other.words)], ["bad", true]);
  for (const odd of ["7", `${plain}0`, plain.replace("7", "g"), "<b>"]) {
    assert.match(text.compareTold(odd, own).words, /has 40 hex digits/);
  }
  assert.deepEqual(text.compareTold("  ", own), { kind: "", words: "" });
  assert.equal(parseFingerprint(spaced), own);
});

test("what the chain does not have is told as the node's word, and never as checked", () => {
  const proving = { number: 4, state: "proving", proofsDone: 1, proofs: 3 };
  assert.equal(text.underWay(proving), "1 of 3 proofs made");
  assert.equal(text.underWay({ ...proving, proofs: undefined }), "being laid out");
  assert.match(text.underWay({ state: "open", since: 5 }), /^begun at \d\d:\d\d:\d\d$/);
  const settled = [{ state: "final" }, { state: "mined" }];
  const rows = [...settled, { state: "sent" }, proving, proving];
  const open = { number: 6, state: "open", since: 5 };
  const overview = { rows, settledCount: 2, open, beyond: 1 };
  assert.equal(
    text.batchesLead(overview),
    "2 settled, 1 of them final; 1 sent, 2 proving, 1 more and not on the chain yet.",
  );
  const caption = /Other states are the node's word, .* Not shown: 1 window/;
  assert.match(text.listCaption(overview), caption);
  const done = { rows: settled, settledCount: 2, beyond: 0 };
  assert.equal(text.batchesLead(done), "2 settled, 1 of them final.");
  assert.doesNotMatch(text.listCaption(done), /node's word|Not shown/);
  for (const state of ["sent", "assembled", "proving", "closed"]) {
    const { title, words } = text.notSettled({ state });
    assert.match(words, new RegExp(`^By the node's word it is ${state}: `));
    assert.doesNotMatch(`${title} ${words}`, /verified|agrees/i);
  }
});

test("a step says how far it is", () => {
  assert.equal(text.step({ step: "proofs", done: 3, of: 8 }), "Verifying proofs: 3 of 8");
  assert.equal(text.step({ step: "fetch", done: 0, of: 1 }), "Fetching the public file");
});
