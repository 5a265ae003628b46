// The patient's page: what was asked of the wallet, what came of it, and what is shown when.

import { button, el, notice } from "../dom.js";
import { offer } from "../offer.js";
import { escape } from "../statement/escape.js";
import { startTheme } from "../theme.js";
import { Wallet, tokenOf } from "./api.js";
import {
  askedCard,
  collectedCard,
  erasureCards,
  missingCard,
  operationsCard,
  readsCard,
  urgentCard,
} from "./log.js";
import { rulesCard } from "./rules.js";
import { RuleForm, outcomeCard, previewCard } from "./sign.js";
import * as text from "./text.js";

/** What was read so long ago is said to be of then. */
const STALE_MS = 10 * 60_000;
const TICK_MS = 30_000;
/** Lists that show some of their rows before they are asked for all. */
const LISTS = ["urgent", "refused", "asked", "reads", "collected", "operations"];
/** Where the log stands. */
const LOG_PARTS = ["missing", "erasure", "urgent", "asked", "reads", "collected", "operations"];

const byId = (id) => document.getElementById(id);
const wallet = new Wallet({ storage: storageOf() });
const state = {
  /** What the wallet said last, and when. */
  wallet: undefined,
  readAt: undefined,
  /** The log: `text` as it came and `object`, or a fault. */
  log: undefined,
  isReading: false,
  /** Why the page is not open. */
  closed: undefined,
  preview: undefined,
  outcome: undefined,
  fault: undefined,
  busy: undefined,
  all: new Set(),
  isPrinting: false,
};
let form;
const acts = { look, sign, drop, readLog, rebuild, save, print, showAll };

startTheme(byId("theme"), () => {});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
byId("close").addEventListener("click", closeWallet);
// A link that is pasted over this page's address loads nothing by itself.
globalThis.addEventListener("hashchange", () => {
  if (tokenOf(location.hash) !== undefined) location.reload();
});
globalThis.addEventListener("beforeprint", () => {
  for (const name of LISTS) state.all.add(name);
  state.isPrinting = true;
  show();
  for (const details of document.querySelectorAll("details")) details.open = true;
});
globalThis.addEventListener("afterprint", () => {
  state.isPrinting = false;
  show();
});
setInterval(tick, TICK_MS);
// A page that the browser kept and brings back: its wallet may have ended meanwhile.
globalThis.addEventListener("pageshow", (event) => {
  if (event.persisted) tick();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) tick();
});
open();

function storageOf() {
  try {
    return globalThis.sessionStorage;
  } catch {
    return undefined;
  }
}

// ------------------------------------------------------------------------------- what is asked

async function open() {
  show();
  const { hash } = location;
  // Out of the address and the history before anything else is done with it.
  if (hash !== "") history.replaceState(null, "", "/");
  try {
    await wallet.open(hash);
    await readState();
  } catch (error) {
    return shut(error);
  }
  show();
  await readLog();
}

/** Nothing of the patient stays on the screen once the wallet has ended, asked or not. */
async function tick() {
  showFreshness();
  if (state.wallet === undefined || (await wallet.isThere())) return;
  if (state.wallet !== undefined) shut({ kind: "ended", message: "" });
}

async function readState() {
  const found = await wallet.state();
  state.wallet = found;
  if (form === undefined) form = new RuleForm(found.words, found.names, acts);
  else form.learn(found.names);
}

async function readLog() {
  if (state.isReading) return;
  state.isReading = true;
  show();
  try {
    const log = await wallet.log();
    // What the log says the rest of the page is read again with.
    await readState();
    Object.assign(state, { log, readAt: Date.now() });
    const { object } = log;
    say(text.isFault(object) ? text.faultOf(object).title : text.verdictOf(object).title);
  } catch (error) {
    if (error.kind !== "busy") return shut(error);
    state.log = { text: "", object: busyFault("reading", error) };
  } finally {
    state.isReading = false;
  }
  show();
}

/** Has the wallet say what would be signed. */
async function look(wanted) {
  const found = await ask("Asking what would be signed", () => wallet.preview(wanted));
  if (found === undefined) return;
  if (text.isFault(found)) return showFault(found);
  state.preview = found;
  show();
  focus("preview-title");
}

async function sign({ preview, allowUnknown }) {
  const words = "Signing, and waiting for the node's receipt";
  const found = await ask(words, () => wallet.sign(preview, allowUnknown), { isSigning: true });
  if (found === undefined) return;
  if (text.isFault(found)) {
    await refresh();
    return showFault(found);
  }
  state.outcome = text.outcomeOf(found);
  await refresh();
  say(state.outcome.title);
  focusKey("outcome");
}

async function finish() {
  const found = await ask("Asking what became of it", () => wallet.finish());
  if (found === undefined) return;
  await refresh();
  if (text.isFault(found)) return showFault({ ...found, ofPending: true });
  state.outcome = text.finishedOf(found, Date.now());
  show();
  say(state.outcome.title);
  focusKey("outcome");
}

async function rebuild() {
  const found = await ask("Reading the log, to make the copy anew", () => wallet.rebuild());
  if (found === undefined) return;
  await refresh();
  if (text.isFault(found)) return showFault(found);
  say("The wallet's copy of the record is made anew.");
  await readLog();
}

/** Reads what holds now; of a wallet that ended meanwhile the page says so. */
async function refresh() {
  try {
    await readState();
  } catch (error) {
    shut(error);
  }
  show();
}

/** One thing at a time; nothing if the page is closed by what came of it. */
async function ask(words, question, { isSigning = false } = {}) {
  if (state.busy !== undefined) return undefined;
  Object.assign(state, { busy: words, fault: undefined, preview: undefined, outcome: undefined });
  say(words);
  show();
  try {
    return await question();
  } catch (error) {
    // Too much at once is no end of it.
    if (error.kind === "busy") showFault(busyFault("failed", error));
    else shut(Object.assign(error, { wasSigning: isSigning }));
    return undefined;
  } finally {
    state.busy = undefined;
    show();
  }
}

function busyFault(kind, error) {
  return { schema: "vitals-error-1", kind, error: [error.message] };
}

async function closeWallet() {
  try {
    await wallet.close();
  } catch {
    // Gone already: what follows says the same.
  }
  shut({ kind: "ended", message: "" });
}

function drop() {
  Object.assign(state, { preview: undefined, outcome: undefined, fault: undefined });
  show();
  byId("title").focus();
}

function showFault(fault) {
  state.fault = fault;
  say(text.faultOf(fault).title);
  show();
  focusKey("fault");
}

/** Nothing of the patient stays on a page whose wallet does not answer. */
function shut(error) {
  if (error.kind === "ended") wallet.forget();
  const { closed } = state;
  Object.assign(state, { wallet: undefined, log: undefined, preview: undefined });
  Object.assign(state, { outcome: undefined, fault: undefined, closed: error });
  form = undefined;
  show();
  if (closed === undefined) focusKey("closed");
}

// ------------------------------------------------------------------------------- what is kept

function save(raw) {
  const day = new Date().toISOString().slice(0, 10);
  offer(new Blob([raw], { type: "application/json" }), `vitals-log-${day}.json`);
}

function print() {
  globalThis.print();
}

function showAll(name) {
  state.all.add(name);
  show();
}

// ------------------------------------------------------------------------------- what is shown

function show() {
  const focused = document.activeElement?.dataset?.key;
  const { wallet: known, closed } = state;
  byId("close").hidden = known === undefined;
  byId("lead").textContent = known === undefined ? "" : leadOf(known);
  byId("main").setAttribute("aria-busy", String(state.busy !== undefined || state.isReading));
  fill("notices", closed === undefined ? notices() : [closedNotice(closed)]);
  showLog();
  const record = known?.record;
  const hasRecord = record !== undefined && !text.isFault(record);
  const misfit = known?.copy_misfit ?? null;
  const shown = { now: nearTo(), acts, isBusy: state.busy !== undefined, misfit };
  fill("rules", hasRecord ? [rulesCard(record, shown)] : []);
  if (form !== undefined) form.busy = state.busy !== undefined;
  // Left alone while it stands there: somebody may be typing.
  // On a copy that lacks something nothing is signed: the node would refuse it.
  const canWrite = hasRecord && misfit !== "behind" && record.state === "open" && form !== undefined;
  if (!canWrite) fill("sign", []);
  else if (byId("sign").firstChild !== form.element) fill("sign", [form.element]);
  showFreshness();
  if (focused !== undefined && document.activeElement === document.body) focusKey(focused);
}

function leadOf({ record, fingerprint }) {
  const of = text.isFault(record) ? "" : `Record ${record.patient}, ${escape(record.state)}. `;
  return `${of}Deployment ${escape(fingerprint)}.`;
}

/** The time that others are near to; on paper, which is read on another day, none is. */
function nearTo() {
  return state.isPrinting ? 0 : Date.now();
}

function fill(id, parts) {
  byId(id).replaceChildren(...parts.filter(Boolean));
}

function showLog() {
  const { log, isReading } = state;
  const clear = () => LOG_PARTS.forEach((id) => fill(id, []));
  if (state.wallet === undefined) {
    clear();
    if (state.closed === undefined) fill("missing", [progressCard("Opening the wallet")]);
    return;
  }
  if (isReading || log === undefined) {
    clear();
    return fill("missing", [progressCard("Reading and checking every batch")]);
  }
  if (text.isFault(log.object)) {
    clear();
    const again = button("Try again", readLog, { class: "quiet" });
    return fill("missing", [faultNotice(log.object, [again], "log-fault")]);
  }
  const shown = { now: nearTo(), acts, all: state.all, log: log.object };
  const found = text.groups(log.object);
  fill("missing", [missingCard({ log: log.object, raw: log.text }, shown)]);
  fill("erasure", erasureCards(log.object, shown));
  fill("urgent", [urgentCard(found, shown)]);
  fill("asked", [askedCard(found, shown)]);
  fill("reads", [readsCard(found, shown)]);
  fill("collected", [collectedCard(found, shown)]);
  fill("operations", [operationsCard(found, shown)]);
}

function notices() {
  const { wallet: known, preview, outcome, fault, busy } = state;
  const list = [];
  if (busy !== undefined) list.push(progressCard(busy));
  if (fault !== undefined) {
    list.push(faultNotice(fault, [button("Dismiss", drop, { class: "quiet small" })], "fault"));
  }
  if (outcome !== undefined) list.push(outcomeCard(outcome, acts));
  if (preview !== undefined) list.push(previewCard(preview, acts));
  if (known !== undefined) list.push(pendingNotice(known), recordNotice(known));
  return list;
}

function progressCard(words) {
  return el(
    "section",
    { class: "card progress", "aria-busy": "true" },
    el("p", {}, `${words} ...`),
    el("progress", { "aria-label": words }),
  );
}

function faultNotice(fault, buttons, key) {
  const { title, advice, details } = text.faultOf(fault);
  return notice(
    { kind: "warn", title, key },
    el("p", {}, advice),
    details === "" ? undefined : el("p", { class: "muted" }, details),
    el("div", { class: "buttons" }, buttons),
  );
}

/** What was sent and has no answer is said until it has one. */
function pendingNotice({ pending }) {
  if (pending === null) return undefined;
  const fault = text.isFault(pending)
    ? pending
    : { kind: "pending", error: [pending.says, `signed at ${pending.signed_at}`] };
  const isBusy = state.busy !== undefined;
  return faultNotice(fault, [
    button("Ask the node", finish, { disabled: isBusy, "data-key": "finish" }),
    button("Look in the log", rebuild, { class: "quiet", disabled: isBusy }),
  ]);
}

function recordNotice({ record }) {
  if (!text.isFault(record)) return undefined;
  const isMissing = record.kind === "copy-missing";
  const anew = button("Make it anew from the log", rebuild, { disabled: state.busy !== undefined });
  return faultNotice(record, isMissing ? [anew] : []);
}

function closedNotice(error) {
  const { title, advice, details } = text.closedOf(error);
  return notice(
    { kind: "warn", title, key: "closed" },
    el("p", {}, advice),
    details === "" ? undefined : el("p", { class: "muted" }, details),
  );
}

function showFreshness() {
  const { readAt } = state;
  if (state.wallet === undefined || readAt === undefined) {
    byId("freshness").textContent = "";
    return;
  }
  const stale = Date.now() - readAt > STALE_MS ? "some time ago, " : "";
  byId("freshness").textContent = `log read ${stale}${text.when(readAt, nearTo())}`;
}

/** For screen readers: what happened, once. */
function say(sentence) {
  byId("live").textContent = sentence;
}

function focus(id) {
  byId(id)?.focus();
}

function focusKey(key) {
  document.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}
