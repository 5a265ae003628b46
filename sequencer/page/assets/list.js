// The list of batches, and what the deployment is.

import { isSettled } from "./checks.js";
import { button, el, facts, notice, table } from "./dom.js";
import * as text from "./text.js";

const ROWS = 25;

/** The deployment: its fingerprint first, because that is what people compare. */
export function deploymentCard(state) {
  const { overview } = state;
  const { chainId, contract, fingerprint, keys, setup, head, roles, trust } = overview;
  return el(
    "section",
    { class: "card", "aria-labelledby": "deployment" },
    el("h2", { id: "deployment" }, "Deployment"),
    facts([
      ["Fingerprint", el("span", { class: "fingerprint" }, fingerprint), true],
      ["Contract", el("code", {}, contract), true],
      ["Settles", el("code", {}, roles.sequencer), true],
      ["Signs receipts", el("code", {}, roles.receiptSigner), true],
      ["Chain", text.readUpTo({ chainId, head, trust })],
      ["Keys", `${keys.map(({ shape }) => shape).join(", ")}`],
      ["Setup", text.setupOf(setup)],
    ]),
    toldField(state),
    el("p", {}, text.agreement(overview)),
  );
}

/** A field for the fingerprint that somebody was told, and whether it is this one. */
function toldField(state) {
  const { fingerprint, trust } = state.overview;
  const { kind, words } = text.compareTold(state.told, fingerprint, trust);
  const outcome = el("p", { class: `outcome ${kind}`, role: "status" }, words);
  const field = el("input", {
    id: "told",
    "data-key": "told",
    autocomplete: "off",
    spellcheck: "false",
    value: state.told,
    oninput: () => {
      // Written into what is there: a view made anew would lose the place in the field.
      state.told = field.value;
      const found = text.compareTold(state.told, fingerprint, trust);
      outcome.className = `outcome ${found.kind}`;
      outcome.textContent = found.words;
    },
  });
  const label = el("label", { for: "told" }, "Compare with the fingerprint that you were told");
  return el("div", { class: "told" }, label, field, outcome);
}

/** Batches, the newest first, a page at a time. */
export function batchesCard(state, acts) {
  const { overview, costs, page } = state;
  const rows = overview.rows.toReversed();
  if (rows.length === 0 && overview.open === undefined) {
    return el(
      "section",
      { class: "card empty" },
      el("h2", {}, "No batch is settled yet"),
      el(
        "p",
        {},
        "The first one is shown here when its window has ended, its proofs are made and " +
          "the chain has it. This page looks again by itself.",
      ),
    );
  }
  const pages = Math.max(1, Math.ceil(rows.length / ROWS));
  const shown = rows.slice(page * ROWS, (page + 1) * ROWS);
  return el(
    "section",
    { class: "card" },
    el(
      "div",
      { class: "tablebox" },
      table(
        { class: "sheets" },
        el(
          "caption",
          {},
          text.listCaption(overview),
        ),
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            COLUMNS.map(([name, kind]) => el("th", { scope: "col", class: kind }, name)),
          ),
        ),
        el(
          "tbody",
          {},
          page === 0 && overview.open !== undefined ? underWayRow(overview.open) : undefined,
          shown.map((row) => rowOf(row, state, acts, costs.get(row.number))),
        ),
      ),
    ),
    pages > 1 ? pager({ page, pages }, acts) : undefined,
  );
}

/** The numbers of the batches that are shown, as far as they are settled. */
export function shownNumbers({ overview, page }) {
  const rows = overview.rows.toReversed().slice(page * ROWS, (page + 1) * ROWS);
  return rows.filter(isSettled).map(({ number }) => number);
}

const COLUMNS = [
  ["Batch", ""],
  ["Window", ""],
  ["Operations", "number"],
  ["Collected", "number"],
  ["Accesses", "number"],
  ["Broken glass", "number"],
  ["Excluded", "number"],
  ["Proofs", "number"],
  ["Late by", "number"],
  ["Gas", "number"],
  ["State", ""],
  ["", "last"],
];

/** Whether the node has a file of it, which a view of its own shows. */
export function hasFile({ state }) {
  return !["open", "closed", "proving"].includes(state);
}

function numberCellOf(row) {
  const number = String(row.number);
  const shown = hasFile(row) ? el("a", { href: `#/batch/${row.number}` }, number) : number;
  return el("th", { scope: "row", "data-label": "Batch" }, shown);
}

function stateCellOf({ state }) {
  const [word, title] = text.STATES[state];
  return cell("State", "", el("span", { class: `state ${state}`, title }, word));
}

/** A row of what the chain does not have: the node's word. */
function underWayRow(row) {
  return el(
    "tr",
    {},
    numberCellOf(row),
    el("td", { class: "window" }, text.underWay(row)),
    COLUMNS.slice(2, 10).map(() => el("td", { class: "absent" })),
    stateCellOf(row),
    el("td", { class: "last" }),
  );
}

function rowOf(row, state, acts, cost) {
  if (!isSettled(row)) return underWayRow(row);
  const { day, times } = text.span(row.from, row.until);
  return el(
    "tr",
    {},
    numberCellOf(row),
    el("td", { class: "window" }, times, el("span", { class: "sub" }, day)),
    numberCell("Operations", row.operations),
    numberCell("Collected", row.collect),
    numberCell("Accesses", row.access),
    numberCell("Broken glass", row.breakGlass),
    numberCell("Excluded", row.excluded),
    cell("Proofs", "number", proofsOf(cost)),
    cell("Late by", "number", text.length(row.latenessMs)),
    cell("Gas", "number", gasOf(cost)),
    stateCellOf(row),
    el("td", { class: "last" }, checkOf(row, state, acts)),
  );
}

function cell(label, kind, ...children) {
  return el("td", { class: kind, "data-label": label }, ...children);
}

/** Zeros step back, so that what happened is seen. */
function numberCell(label, number) {
  return cell(label, `number${number === 0 ? " zero" : ""}`, text.count(number));
}

/** Dots while it is asked for; a word if the transaction does not tell. */
function proofsOf(cost) {
  if (cost === undefined) return "...";
  return cost.proofs === undefined ? "unknown" : text.count(cost.proofs);
}

function gasOf(cost) {
  if (cost === undefined) return "...";
  const shared = cost.shared > 1 ? el("span", { class: "sub" }, ` for ${cost.shared}`) : undefined;
  return el("span", {}, text.count(cost.gas), shared);
}

function checkOf({ number }, { checks, overview, peers }, acts) {
  const check = checks.get(number);
  const label = `Verify batch ${number} here`;
  const key = { "data-key": `check-${number}` };
  if (check === undefined) {
    const verify = () => acts.verify(number);
    return button("Verify here", verify, { class: "quiet small", "aria-label": label, ...key });
  }
  const words = {
    running: ["checking ...", ""],
    broken: ["broken", "bad"],
    away: ["not checked", ""],
  };
  const [word, kind] = words[check.outcome] ?? text.markOf(check, { trust: overview.trust, peers });
  return el("a", { class: `outcome ${kind}`, href: `#/batch/${number}`, ...key }, word);
}

function pager({ page, pages }, acts) {
  return el(
    "nav",
    { class: "pages", "aria-label": "Pages of batches" },
    button("Newer", () => acts.turn(page - 1), { class: "quiet small", disabled: page === 0 }),
    button("Older", () => acts.turn(page + 1), {
      class: "quiet small",
      disabled: page + 1 >= pages,
    }),
    el("span", {}, `page ${page + 1} of ${pages}`),
  );
}

/** What is to be said above everything else: disputed, stale, or without the node's files. */
export function warnings({ overview, peers, staleSince, staleWhy }, acts) {
  const list = peers
    .filter(({ outcome }) => outcome === "differs")
    .map(({ chain, why }) => {
      const words = `Node ${chain} of the chain says otherwise about this deployment. `;
      const all = " Every batch of it is disputed before you know which is wrong.";
      const said = el("p", {}, words + text.sentence(why) + all);
      return notice({ kind: "bad", title: text.DISPUTED }, said);
    });
  if (staleSince !== undefined) {
    list.push(
      notice(
        { kind: "warn", title: "Stale: the chain does not answer now" },
        el(
          "p",
          {},
          `What is shown was read at ${text.clock(staleSince)}. ${text.sentence(staleWhy)}`,
        ),
        button("Try again", acts.refresh, { class: "quiet small" }),
      ),
    );
  }
  if (overview?.node.fault !== undefined) {
    list.push(
      notice(
        { kind: "warn", title: "The node does not answer" },
        el(
          "p",
          {},
          "Headers are the chain's and are shown; files cannot be checked meanwhile. " +
            text.sentence(overview.node.fault),
        ),
      ),
    );
  }
  return list;
}
