// One batch: what the chain says, what the node's file holds, and what came of checking it.

import { button, el, facts, notice, table } from "./dom.js";
import * as text from "./text.js";

/** Whoever began a check from the keyboard stays at it, whatever it comes to. */
const KEY = { "data-key": "check" };

/** The report of a check, as far as it is; an invitation before. */
export function checkCard(number, state, acts) {
  const { overview } = state;
  const check = state.checks.get(number);
  const verify = button("Verify here", () => acts.verify(number), KEY);
  if (check === undefined) {
    return el(
      "section",
      { class: "card" },
      el("h2", {}, "Check this batch"),
      el(
        "p",
        {},
        "Reads the verifying keys from the chain, the header from the contract's event and " +
          "the public file from the node; recomputes everything that the header commits to, and " +
          "checks each proof. It takes about a second.",
      ),
      verify,
    );
  }
  if (check.outcome === "running") return runningCard(check, () => acts.cancel(number));
  if (check.outcome === "broken") return brokenCard(number, { check, overview }, acts);
  if (check.outcome === "away") {
    return notice(
      { kind: "warn", title: "Not checked: something is not available", key: "check" },
      el("p", {}, text.sentence(check.fault.message)),
      el("p", {}, text.advice(check.fault, overview.trust)),
      button("Try again", () => acts.verify(number), { class: "quiet" }),
    );
  }
  return goodCard(check, state, acts, overview);
}

/** Of a check that runs: what is there is changed, so that its button can be pressed meanwhile. */
export function showProgress(view, progress, key = "check") {
  const bar = view.querySelector(`.progress[data-key=${key}] progress`);
  if (bar === null) return;
  const label = text.step(progress);
  bar.previousElementSibling.textContent = label;
  bar.setAttribute("aria-label", label);
  if (progress.of > 1) Object.assign(bar, { max: progress.of, value: progress.done });
  else bar.removeAttribute("value");
}

function runningCard({ progress }, cancel) {
  const label = progress === undefined ? "Starting" : text.step(progress);
  const bar = el("progress", {
    "aria-label": label,
    value: progress?.of > 1 ? progress.done : undefined,
    max: progress?.of > 1 ? progress.of : undefined,
  });
  return el(
    "section",
    { class: "card progress", "aria-busy": "true", tabindex: "-1", ...KEY },
    el("p", {}, label),
    bar,
    button("Cancel", cancel, { class: "quiet small" }),
  );
}

function brokenCard(number, { check, overview }, acts) {
  const { fault } = check;
  return notice(
    { kind: "bad", title: `Broken: ${fault.item}`, key: "check" },
    el(
      "p",
      {},
      fault.batch === undefined
        ? "Something outside any batch is not what it must be. The auditor gives it the same name."
        : `Batch ${fault.batch} is not what it must be. The auditor gives it the same name.`,
    ),
    el(
      "dl",
      { class: "broken" },
      el("dt", {}, "expected"),
      el("dd", {}, String(fault.expected)),
      el("dt", {}, "found"),
      el("dd", {}, String(fault.found)),
    ),
    button("Check again", () => acts.verify(number), { class: "quiet" }),
    saveLine(number, { check, overview }, acts),
  );
}

function goodCard(check, state, acts, overview) {
  const { report, compared } = check;
  const trust = text.trustOf(overview.trust);
  const { number } = report;
  const title = text.titleOf(check, { trust: overview.trust, peers: state.peers });
  return notice(
    { ...title, key: "check" },
    report.unlinked === undefined ? undefined : el("p", {}, text.whyNotLinked(report)),
    el(
      "p",
      {},
      `${text.plural(report.proofs, "proof")} and ${text.bytes(report.bytes)} checked in ` +
        `${text.length(report.ms)}; ${trust.badge}.`,
    ),
    comparison(check, { number, overview }, acts),
    saveLine(number, { check, overview }, acts),
    el(
      "div",
      { class: "report" },
      el(
        "div",
        {},
        el("h3", {}, "What was checked, against what"),
        el(
          "ul",
          {},
          text
            .checkedAgainst(report, overview)
            .map(([what, against]) =>
              el("li", {}, what, el("span", { class: "against" }, against)),
            ),
        ),
      ),
      el(
        "div",
        {},
        el("h3", {}, "What is still trusted"),
        el(
          "ul",
          {},
          text
            .trusted(report, overview, compared)
            .map((one) => el("li", {}, one)),
        ),
        el("h3", {}, "What no check shows"),
        el(
          "ul",
          {},
          text.NOT_PROVEN.map((one) => el("li", {}, text.sentence(one))),
        ),
      ),
    ),
  );
}

/** Saves what was checked, where the reader serves the page: an operator could change that, too. */
function saveLine(number, { check, overview }, acts) {
  if (overview.trust !== "verifier") return undefined;
  const { saving, saved, saveFault } = check;
  if (saving !== undefined) return savingLine(saving);
  const done = saved === undefined ? el("p", {}, text.SAVE) : outcome("", text.savedAs(saved));
  return el(
    "div",
    { class: "save" },
    button("Save as one file", () => acts.save(number), { class: "quiet small" }),
    saveFault === undefined ? done : outcome("bad", text.notSaved(saveFault)),
  );
}

const outcome = (kind, words) => el("p", { class: `outcome ${kind}` }, words);

const SAVE_KEY = { "data-key": "save" };

function savingLine({ progress, cancel }) {
  const label = progress === undefined ? text.SAVING : text.step(progress);
  return el(
    "div",
    { class: "save progress", "aria-busy": "true", ...SAVE_KEY },
    el("p", {}, label),
    el("progress", { "aria-label": label }),
    button("Do not save", cancel, { class: "quiet small" }),
  );
}

/** The other nodes of the chain: asked, agreeing, differing or away. */
function comparison({ compared, isComparing }, { number, overview }, acts) {
  const isSaved = overview.trust === "saved";
  if (overview.chains < 2 && isSaved) return undefined;
  if (overview.chains < 2) {
    return el(
      "p",
      {},
      "One node of the chain was asked. Start this server with a second one to " +
        "compare what they say.",
    );
  }
  const again = () => acts.compare(number);
  return el(
    "div",
    {},
    isSaved ? undefined : askAgain(isComparing, again),
    compared.map((one) => {
      const { kind, words } = text.comparedOf(one, overview);
      return outcome(kind, words);
    }),
  );
}

function askAgain(isComparing, again) {
  return isComparing
    ? el("p", {}, "Asking the other nodes of the chain ...")
    : button("Ask the other nodes again", again, { class: "quiet small" });
}

/** Counts, chunks, file and header words. */
export function detailCards(detail, { cost, check, trust }) {
  const { row } = detail;
  // What was checked replaces what the node served before or after: it may serve one thing to each.
  const checked = check?.report?.file;
  const file = checked ?? detail.file;
  const title = text.fileTitle(checked !== undefined, trust);
  return [
    row === undefined ? undefined : summaryCard(detail, { cost, trust }),
    file.fault === undefined
      ? fileCard(file, title)
      : notice(
          { kind: "warn", title: "The public file cannot be shown" },
          el("p", {}, text.sentence(file.fault)),
        ),
    detail.words === undefined ? undefined : wordsCard(detail, trust),
  ];
}

function summaryCard({ row, transaction, block, hash }, { cost, trust }) {
  const { day, times } = text.span(row.from, row.until);
  const [word, meaning] = text.stateOf(row.state, trust);
  const gas =
    cost === undefined
      ? "..."
      : `${text.count(cost.gas)}${
          cost.shared > 1 ? `, for ${cost.shared} batches in one transaction` : ""
        }`;
  return el(
    "section",
    { class: "card" },
    el("h2", {}, text.chainTitle(trust)),
    facts([
      ["Window", `${day}, ${times}`],
      ["State", `${word}: ${meaning}`],
      ["Late by", text.length(row.latenessMs)],
      [
        "Operations",
        `${text.count(row.operations)}, of these ${text.plural(row.enrolments, "enrolment")}`,
      ],
      [
        "Claims",
        `${text.count(row.collect)} collected, ${text.plural(
          row.access,
          "access",
          "accesses",
        )}, ${text.count(row.breakGlass)} under broken glass`,
      ],
      ["Excluded", `${text.count(row.excluded)}, committed and counted, covered by no rule`],
      ["Gas", gas],
      ["Block", text.count(block)],
      ["Transaction", el("code", {}, transaction), true],
      ["Header hash", el("code", {}, hash), true],
    ]),
  );
}

function fileCard(file, title) {
  const groups =
    file.groups === 0
      ? "none: its close is in a group of the batch before"
      : `${text.count(file.groups)}, number ${file.firstGroup} to ${file.lastGroup}`;
  return el(
    "section",
    { class: "card" },
    el("h2", {}, title),
    facts([
      ["Size", text.bytes(file.bytes)],
      ["Journal groups", groups],
      [
        "Segments",
        file.segments === 0
          ? "none"
          : `${text.count(file.segments)}, together at most ` + text.bytes(file.segmentBytesMax),
      ],
    ]),
    chunkTable(
      text.chunksTitle("operations", file),
      file.operations,
      (chunk) =>
        `${text.count(chunk.operations)}, of these ${text.plural(chunk.enrolments, "enrolment")}`,
    ),
    chunkTable(
      text.chunksTitle("claims", file),
      file.claims,
      (chunk) =>
        `${text.count(chunk.collect)} collected, ${text.plural(chunk.access, "access", "accesses")}, ` +
        `${text.count(chunk.breakGlass)} broken glass, ${text.count(chunk.excluded)} excluded`,
    ),
  );
}

function chunkTable(title, chunks, say) {
  if (chunks.length === 0) return undefined;
  const names = ["Chunk", "Shape", "Holds", "Leaves in use"];
  return el(
    "div",
    { class: "tablebox" },
    table(
      { class: "sheets" },
      el("caption", {}, title),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          names.map((name, at) =>
            el("th", { scope: "col", class: at === 3 ? "number last" : undefined }, name),
          ),
        ),
      ),
      el(
        "tbody",
        {},
        chunks.map((chunk, at) =>
          el(
            "tr",
            {},
            el("th", { scope: "row", "data-label": "Chunk" }, String(at)),
            el("td", { "data-label": names[1] }, el("code", {}, chunk.shape)),
            el("td", { "data-label": names[2] }, say(chunk)),
            el(
              "td",
              { "data-label": names[3], class: "number last" },
              `${text.count(chunk.used)} of ${text.count(chunk.leaves)}`,
            ),
          ),
        ),
      ),
    ),
  );
}

function wordsCard({ words, row }, trust) {
  const times = { "begin of the window": row.from, "end of the window": row.until };
  return el(
    "section",
    { class: "card" },
    el("h2", {}, "Header words"),
    table(
      { class: "words" },
      el("caption", {}, text.wordsCaption(trust)),
      el(
        "tbody",
        {},
        words.map(({ name, value, isTime }) =>
          el(
            "tr",
            {},
            el("td", {}, name),
            el(
              "td",
              {},
              el("code", {}, value),
              isTime ? el("span", { class: "sub" }, ` ${text.time(times[name])}`) : undefined,
            ),
          ),
        ),
      ),
    ),
  );
}
