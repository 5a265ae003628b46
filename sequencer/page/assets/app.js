// The page: which view is shown, what was asked, and what came of it.

import { ALIVE_MS, Asker, workersOf } from "./ask.js";
import { chartCard } from "./chart.js";
import { compareRows, conclude, isOf, isSettled } from "./checks.js";
import { checkCard, detailCards, showProgress } from "./detail.js";
import { button, el, notice } from "./dom.js";
import { saveFile } from "./download.js";
import { batchesCard, deploymentCard, hasFile, shownNumbers, warnings } from "./list.js";
import { fetchJson } from "./node.js";
import * as text from "./text.js";
import { startTheme } from "./theme.js";

const REFRESH_MS = 15_000;
/** How often the node alone is asked how far its windows are. */
const STANDING_MS = 5_000;

/** What was read so long ago is stale, whatever the reason. */
const STALE_MS = 4 * REFRESH_MS;

const asker = new Asker(workersOf("/worker.js"));
setInterval(() => asker.tick(), ALIVE_MS);
const state = {
  overview: undefined,
  fault: undefined,
  progress: undefined,
  readAt: undefined,
  staleSince: undefined,
  staleWhy: "",
  page: 0,
  costs: new Map(),
  checks: new Map(),
  details: new Map(),
  peers: [],
  isRefreshing: false,
  told: "",
};

const byId = (id) => document.getElementById(id);
const acts = { verify, cancel, compare, refresh, turn, verifyAll, save };

startTheme(byId("theme"), show);
// The address says which view is shown: the link to the content must not change it.
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
globalThis.addEventListener("hashchange", () => {
  show();
  document.querySelector("h1")?.focus();
  if (state.overview !== undefined) loadCosts();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
setInterval(() => {
  if (document.hidden) return;
  refresh();
  callOldStale();
}, REFRESH_MS);
setInterval(() => {
  if (!document.hidden) lookAtNode();
}, STANDING_MS);
show();
showPages();
open();

// ------------------------------------------------------------------------------- what is asked

async function open() {
  // One reading at a time: the answer of another one would be shown over that of this.
  if (state.isRefreshing) return;
  Object.assign(state, { fault: undefined, isRefreshing: true });
  // Another deployment may be behind this address by now.
  for (const kept of [state.checks, state.costs, state.details]) kept.clear();
  state.peers = [];
  show();
  try {
    take(
      await asker.ask("open", {}, (progress) => {
        state.progress = progress;
        show();
      }),
    );
  } catch (fault) {
    state.fault = fault;
    say(fault.message);
  } finally {
    state.isRefreshing = false;
  }
  show();
}

/** Reads what is new; what is shown stays, and says that it is stale, if nobody answers. */
async function refresh() {
  // Also of a page that could not be opened: whoever was away may be back.
  if (state.isRefreshing) return;
  state.isRefreshing = true;
  const before = shownWords();
  try {
    take(await asker.ask("refresh", {}));
  } catch (fault) {
    // Without the part that computes, nothing that is shown is kept up until it is opened again.
    const isOver = fault.name === "Broken" || fault.kind === "stopped";
    if (isOver || state.overview === undefined) {
      if (state.fault?.message !== fault.message) say(fault.message);
      state.fault = fault;
      // What was found was found on the word of a chain that contradicts itself.
      if (fault.name === "Broken") state.checks.clear();
    } else {
      if (state.staleSince === undefined) say("Stale: the chain does not answer now.");
      state.staleSince ??= state.readAt;
      state.staleWhy = fault.message;
    }
  } finally {
    state.isRefreshing = false;
  }
  // What did not change is not made anew: somebody may be reading or copying it.
  if (before === shownWords()) showFreshness();
  else show();
}

/** Reads how far the node's windows are: nothing of the chain, which is as it was. */
async function lookAtNode() {
  if (state.isRefreshing || state.overview === undefined || state.fault !== undefined) return;
  const before = shownWords();
  let found;
  try {
    found = await asker.ask("standing", {});
  } catch {
    // The next reading of the chain says what is wrong.
    return;
  }
  // A reading of the chain that ended meanwhile knows more.
  if (state.isRefreshing || found.settledCount !== state.overview?.settledCount) return;
  forgetReplaced(found.rows);
  state.overview = found;
  if (before !== shownWords()) show();
}

/** A reading that does not come to an end leaves nothing behind that looks like now. */
function callOldStale() {
  const { readAt, staleSince, overview } = state;
  const isOld = overview !== undefined && Date.now() - readAt > STALE_MS;
  if (!isOld || staleSince !== undefined) return;
  state.staleSince = readAt;
  state.staleWhy = "the chain is being read, and that takes long";
  show();
}

function shownWords() {
  const { overview, fault, staleSince } = state;
  const { rows, open, node } = overview ?? {};
  return JSON.stringify([rows, open, node, fault?.message, staleSince]);
}

function take(overview) {
  if (state.staleSince !== undefined) say("The chain answers again.");
  if (state.overview !== undefined && overview.settledCount > state.overview.settledCount) {
    say(`Batch ${overview.settledCount} is settled.`);
  }
  forgetReplaced(overview.rows);
  state.overview = overview;
  Object.assign(state, { readAt: Date.now(), staleSince: undefined, fault: undefined });
  loadCosts();
  loadPeers();
}

/** What the other nodes of the chain say about the deployment, until all of them agree. */
async function loadPeers() {
  const { overview, peers } = state;
  const areAll = peers.length > 0 && peers.every(({ outcome }) => outcome === "agrees");
  if (overview.chains < 2 || areAll) return;
  try {
    const found = await asker.ask("peers", {});
    if (JSON.stringify(found) === JSON.stringify(state.peers)) return;
    if (text.isDisputed(found) && !text.isDisputed(state.peers)) say(text.DISPUTED);
    state.peers = found;
    show();
  } catch {
    // What was said before stands; the next reading asks again.
  }
}

/** What was found of a batch that is another by now, after a reorganisation, is void. */
function forgetReplaced(rows) {
  const { replaced, changed } = compareRows(state.overview?.rows ?? [], rows);
  for (const number of replaced) [state.checks, state.costs].forEach((kept) => kept.delete(number));
  for (const number of changed) state.details.delete(number);
}

async function loadCosts() {
  const numbers = shownNumbers(state).filter((number) => !state.costs.has(number));
  const shown = numberOf(location.hash);
  const isMissing = shown <= state.overview.settledCount && !state.costs.has(shown);
  // What is looked at comes first.
  if (isMissing) numbers.unshift(shown);
  try {
    for (const number of numbers) {
      const [cost] = await asker.ask("costs", { numbers: [number] });
      if (!isOf(cost, state.overview.rows[number - 1])) return;
      state.costs.set(number, cost);
      show();
    }
  } catch {
    // Gas is a remark: without it the dots stay, and the next reading tries again.
  }
}

async function loadDetail(number) {
  if (state.details.has(number)) return;
  const loading = { isLoading: true };
  state.details.set(number, loading);
  let found;
  try {
    found = await asker.ask("detail", { number });
  } catch (fault) {
    found = { fault };
  }
  // Forgotten meanwhile: then it was asked again, or will be.
  if (state.details.get(number) !== loading) return;
  state.details.set(number, found);
  const isOther = found.row !== undefined && !isOf(found, state.overview?.rows[number - 1]);
  if (isOther) state.details.delete(number);
  show();
}

async function verify(number) {
  if (state.checks.get(number)?.outcome === "running") return;
  const cancel = new AbortController();
  const check = { outcome: "running", cancel: () => cancel.abort() };
  state.checks.set(number, check);
  show();
  const tell = (progress) => {
    check.progress = progress;
    if (numberOf(location.hash) === number) showProgress(byId("view"), progress);
  };
  try {
    const report = await asker.ask("verify", { number }, tell, cancel.signal);
    const found = conclude(report, state.overview?.rows[number - 1]);
    keepCheck(number, check, found);
  } catch (fault) {
    // Already said, and the batch is one that was not checked.
    if (fault.name === "Cancelled") return;
    const outcome = fault.name === "Broken" ? "broken" : "away";
    keepCheck(number, check, { outcome, fault });
    if (fault.kind === "stopped") state.fault = fault;
  }
  show();
}

/** Somebody has waited long enough: of the check nothing is kept, whatever it still comes to. */
function cancel(number) {
  const check = state.checks.get(number);
  if (check?.outcome !== "running") return;
  check.cancel();
  state.checks.delete(number);
  say(text.CANCELLED);
  show();
  // Where the check is begun again, for whoever came by the keyboard.
  byId("view").querySelector("[data-key=check]")?.focus();
}

/** Of a check that was forgotten while it ran nothing is kept. */
function keepCheck(number, check, found) {
  if (state.checks.get(number) !== check) return;
  state.checks.set(number, found);
  const { fault } = found;
  say(fault?.message ?? titleOf(found));
}

function titleOf(check) {
  const { overview, peers } = state;
  return text.titleOf(check, { trust: overview.trust, peers }).title;
}

async function verifyAll() {
  for (let number = 1; number <= state.overview?.settledCount; number++) {
    await verify(number);
    // Also of one that was replaced meanwhile.
    if (state.checks.get(number)?.outcome !== "good") return;
  }
}

async function compare(number) {
  const check = state.checks.get(number);
  if (check?.report === undefined) return;
  if (check.isComparing) return;
  check.isComparing = true;
  show();
  try {
    check.compared = await asker.ask("compare", { number, hash: check.report.hash });
    say(check.compared.map(({ chain, outcome }) => `Node ${chain}: ${outcome}`).join(". "));
  } catch (fault) {
    // What they said before stands.
    say(fault.message);
  }
  check.isComparing = false;
  show();
}

/** Gives a checked batch as a file of its own to whoever reads here. */
async function save(number) {
  const check = state.checks.get(number);
  if (check === undefined || check.saving !== undefined) return;
  const end = new AbortController();
  const saving = { cancel: () => end.abort() };
  Object.assign(check, { saving, saved: undefined, saveFault: undefined });
  show();
  const tell = (progress) => {
    saving.progress = progress;
    if (numberOf(location.hash) === number) showProgress(byId("view"), progress, "save");
  };
  try {
    const row = state.overview.rows[number - 1];
    check.saved = await saveFile({ asker, tell, signal: end.signal }, row);
    say(text.savedAs(check.saved));
  } catch (fault) {
    const isEnded = fault.name === "Cancelled";
    check.saveFault = isEnded ? undefined : fault;
    say(isEnded ? text.NOT_SAVED : fault.message);
  }
  check.saving = undefined;
  show();
}

function turn(page) {
  state.page = page;
  show();
  loadCosts();
}

// ------------------------------------------------------------------------------- what is shown

function numberOf(hash) {
  const found = /^#\/batch\/([1-9][0-9]{0,15})$/.exec(hash);
  return found === null ? undefined : Number(found[1]);
}

function show() {
  const number = numberOf(location.hash);
  const focused = focusPath();
  const view = byId("view");
  view.replaceChildren(...content(number).filter(Boolean));
  restoreFocus(focused);
  document.title = `${number === undefined ? "Batches" : `Batch ${number}`} - vitals rollup`;
  showTrust();
  showFreshness();
}

function showFreshness() {
  const { readAt, staleSince } = state;
  const read = staleSince ?? readAt;
  const stale = staleSince === undefined ? "" : "stale, ";
  byId("freshness").textContent =
    read === undefined ? "" : `${stale}read from the chain at ${text.clock(read)}`;
}

/** A node's page has a desk beside it, whether or not the chain answers. */
async function showPages() {
  try {
    byId("pages").hidden = (await fetchJson("/page.json"))?.desk !== true;
  } catch {
    // Opening the page says what is wrong with its server.
  }
}

function showTrust() {
  const badge = byId("trust");
  badge.hidden = state.overview === undefined;
  if (!badge.hidden) badge.textContent = text.trustOf(state.overview.trust).badge;
}

function content(number) {
  if (state.fault !== undefined) return faultView(state.fault);
  if (state.overview === undefined) return loadingView();
  return number === undefined ? listView() : detailView(number);
}

function loadingView() {
  const label = state.progress === undefined ? "Starting" : text.step(state.progress);
  return [
    heading("Batches"),
    el(
      "section",
      { class: "card progress", "aria-busy": "true" },
      el("p", {}, `${label} ...`),
      el("progress", { "aria-label": label }),
    ),
  ];
}

function faultView(fault) {
  const isBroken = fault.name === "Broken";
  const title = isBroken ? `Broken: ${fault.item}` : "Nothing can be shown now";
  return [
    heading("Batches"),
    notice(
      { kind: isBroken ? "bad" : "warn", title },
      el("p", {}, text.sentence(fault.message)),
      el(
        "p",
        {},
        isBroken
          ? "What the chain says is not what the deployment file says, or contradicts itself. Trust " +
              "no batch of it."
          : text.advice(fault),
      ),
      button("Try again", open, { class: "quiet" }),
    ),
  ];
}

function listView() {
  const { overview } = state;
  const lead = text.batchesLead(overview);
  const all =
    overview.settledCount > 0 ? [button("Verify all", verifyAll, { class: "quiet" })] : [];
  return [
    heading("Batches", { lead, actions: all }),
    ...warnings(state, acts),
    insecureNotice(),
    batchesCard(state, acts),
    chartCard(overview),
    deploymentCard(state),
  ];
}

function detailView(number) {
  const { overview } = state;
  const back = el("a", { class: "back", href: "#/" }, "All batches");
  if (number > overview.rows.length) {
    return [
      back,
      heading(`Batch ${number}`),
      notice(
        { title: "There is no such batch" },
        el("p", {}, `The last one is ${overview.rows.length}.`),
      ),
    ];
  }
  const row = overview.rows[number - 1];
  const notYet = isSettled(row) ? undefined : text.notSettled(row);
  if (!hasFile(row)) {
    return [back, heading(`Batch ${number}`), ...warnings(state, acts), noticeOf(notYet)];
  }
  loadDetail(number);
  const detail = state.details.get(number);
  const cards = detail.isLoading
    ? [el("section", { class: "card", "aria-busy": "true" }, "Reading the batch ...")]
    : detail.fault !== undefined
      ? [
          notice(
            { kind: "warn", title: "The batch cannot be shown" },
            el("p", {}, text.sentence(detail.fault.message)),
          ),
        ]
      : detailCards(detail, {
          cost: state.costs.get(number),
          check: state.checks.get(number),
          trust: overview.trust,
        });
  return [
    back,
    heading(`Batch ${number}`),
    ...warnings(state, acts),
    insecureNotice(),
    notYet === undefined ? checkCard(number, state, acts) : noticeOf(notYet),
    ...cards,
  ];
}

function noticeOf({ title, words }) {
  return notice({ title }, el("p", {}, words));
}

function heading(title, { lead, actions = [] } = {}) {
  return el(
    "div",
    { class: "heading" },
    el("h1", { tabindex: "-1" }, title),
    actions.length > 0 ? el("div", { class: "actions" }, actions) : undefined,
    lead === undefined ? undefined : el("p", { class: "lead" }, lead),
  );
}

function insecureNotice() {
  if (state.overview.setup !== "dev-insecure") return undefined;
  return notice(
    { kind: "warn", title: "Development keys" },
    el(
      "p",
      {},
      "Anybody can forge proofs under the keys of this deployment. It is for trying out.",
    ),
  );
}

/** For screen readers: what happened, once. */
function say(sentence) {
  byId("live").textContent = sentence;
}

/** The focused control by its key or words, since each view is made anew. */
function focusPath() {
  const focused = document.activeElement;
  if (!byId("view").contains(focused)) return undefined;
  const { key } = focused.dataset;
  return { key, name: focused.nodeName, words: focused.ariaLabel ?? focused.textContent };
}

function restoreFocus(path) {
  if (path === undefined) return;
  const { key, name, words } = path;
  const isSame = (element) =>
    key === undefined
      ? element.nodeName === name && (element.ariaLabel ?? element.textContent) === words
      : element.dataset.key === key;
  const same = [...byId("view").querySelectorAll("a, button, h1, [data-key]")].find(isSame);
  (same ?? document.querySelector("h1"))?.focus({ preventScroll: true });
  if (same?.nodeName === "INPUT") same.setSelectionRange(same.value.length, same.value.length);
}
