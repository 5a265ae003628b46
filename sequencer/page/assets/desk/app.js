// The desk: asks the node every few seconds, and shows what came, that it is old, or why nothing
// comes. It asks its own server and nobody else, and keeps nothing but the choice of dark or light.

import { button, el } from "../dom.js";
import { FetchError, fetchBytes } from "../fetch.js";
import { startTheme } from "../theme.js";
import { Charts } from "./charts.js";
import { Ring, readDesk } from "./model.js";
import * as text from "./text.js";
import { closedView, makeDesk } from "./view.js";

const EVERY_MS = 5_000;
/** What is so old is stale, whatever the reason: as old as four points of a node. */
const STALE_MS = 4 * EVERY_MS;
const ANSWER_BYTES_MAX = 16 << 20;
const WAIT_MS = 10_000;

const byId = (id) => document.getElementById(id);
let ring = new Ring();
let desk = makeDesk();
let charts = new Charts(ring);
const state = {
  /** The last answer; none before the first, and after the door was closed. */
  told: undefined,
  /** When it came, and when its last point was taken, both by this machine's clock. */
  heardAt: undefined,
  takenAt: undefined,
  /** Why there is no answer, since the last one that was. */
  fault: undefined,
  isLooking: false,
  /** Which view is shown, and the answer that the drawings are of. */
  shown: undefined,
  drawn: undefined,
};

startTheme(byId("theme"), redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  // What stood here while nobody looked is old, until it is said otherwise.
  show();
  look();
});
setInterval(() => {
  if (document.hidden) return;
  look();
  // What was asked long ago and not answered makes what is shown old, too.
  show();
}, EVERY_MS);
let width = innerWidth;
addEventListener("resize", () => {
  // A phone's bars come and go, and change the height alone.
  if (innerWidth !== width) redraw();
  width = innerWidth;
});
show();
look();

// ------------------------------------------------------------------------------- what is asked

/** Asks for the points since the last one. */
async function look() {
  if (state.isLooking) return;
  state.isLooking = true;
  try {
    take(await ask());
  } catch (fault) {
    miss(fault);
  } finally {
    state.isLooking = false;
  }
  show();
}

/** An answer whose points follow those that are here: else all of them are asked for. */
async function ask() {
  const told = readDesk(await fetchDesk(ring.since));
  if (ring.take(told)) return told;
  const all = readDesk(await fetchDesk(0));
  ring.take(all);
  return all;
}

async function fetchDesk(since) {
  const options = { bytesMax: ANSWER_BYTES_MAX, timeoutMs: WAIT_MS };
  const bytes = await fetchBytes(`/desk?since=${since}`, options);
  return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
}

function take(told) {
  const { told: before, fault } = state;
  const now = Date.now();
  // The node says how long ago that was: its clock may be another than this one's.
  state.takenAt = now - (told.ageMs ?? 0);
  if (fault !== undefined && before !== undefined) say(text.BACK);
  const [was, is] = [before, told].map((one) => one && text.standing(one.health).words);
  if (was !== undefined && was !== is) say(is);
  Object.assign(state, { told, heardAt: now, fault: undefined });
}

/** What is shown stays while the node is away, and goes when it lets nobody in any more. */
function miss(fault) {
  const kind = kindOf(fault);
  if (kind !== "away" && kind !== "malformed" && state.told !== undefined) forget();
  if (state.told !== undefined && state.fault === undefined) say(text.GONE);
  state.fault = { kind, why: fault.message };
}

function kindOf(fault) {
  if (!(fault instanceof FetchError)) return "malformed";
  if (fault.status === 401) return isSecureContext ? "token" : "plain";
  return { 403: "unset", 404: "none" }[fault.status] ?? "away";
}

/** Nothing that was for whoever was let in stays on a screen that is not. */
function forget() {
  ring = new Ring();
  desk = makeDesk();
  charts = new Charts(ring);
  Object.assign(state, { told: undefined, heardAt: undefined, shown: undefined, drawn: undefined });
}

/** Gives the token once; what to say if that did not open the desk. */
async function submit(token) {
  const status = await session("POST", JSON.stringify({ token }));
  if (status === undefined) return text.SESSION.away;
  if (status !== 204) return text.SESSION.wrong;
  await look();
  if (state.fault?.kind === "token") return text.SESSION.lost;
  say(text.SESSION.begun);
  return undefined;
}

async function signOut() {
  const status = await session("DELETE");
  if (status !== 204) return say(text.SESSION.away);
  forget();
  say(text.SESSION.ended);
  await look();
}

/** The status of the answer; none if nobody answers. */
async function session(method, body) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), WAIT_MS);
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  const options = { method, headers, body, redirect: "error", credentials: "same-origin" };
  try {
    return (await fetch("/desk/session", { ...options, signal: abort.signal })).status;
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

// ------------------------------------------------------------------------------- what is shown

/** What is old, and why; none while what is shown is of now. */
function staleness() {
  const { fault, heardAt, takenAt } = state;
  const words = (why) => `${text.stale(takenAt)} ${why}`;
  if (fault !== undefined) {
    const { title } = text.closedWords(fault.kind);
    return { title: `Stale: ${title}`, words: words(text.faultWords(fault)) };
  }
  const isOld = (since) => Date.now() - since >= STALE_MS;
  if (isOld(heardAt)) return { title: "Stale", words: words(text.SLOW) };
  if (!isOld(takenAt)) return undefined;
  return { title: "Stale", words: words(text.STILL) };
}

function show() {
  const { told, fault } = state;
  // Also of one that is shown already: a form that somebody is filling in stays.
  const shown = told !== undefined ? "desk" : (fault?.kind ?? "loading");
  if (shown !== state.shown) {
    byId("view").replaceChildren(...contentOf(shown));
    if (shown === "token") byId("token")?.focus();
  }
  state.shown = shown;
  if (told !== undefined) showDesk(told);
  else byId("freshness").textContent = "";
}

function contentOf(shown) {
  if (shown === "desk") {
    return [byHeading(), desk.notices, desk.empty, desk.grid, charts.card, ...desk.below];
  }
  if (shown === "loading") {
    const words = "Asking the node ...";
    return [byHeading(), el("section", { class: "card", "aria-busy": "true" }, words)];
  }
  return [byHeading(), closedView(shown, { submit, retry: look })];
}

function byHeading() {
  const out = button("Sign out", signOut, { id: "out", class: "quiet", hidden: true });
  return el(
    "div",
    { class: "heading" },
    el("h1", { tabindex: "-1" }, "Desk"),
    el("div", { class: "actions" }, out),
    el("p", { id: "standing", class: "lead" }),
  );
}

function showDesk(told) {
  const stale = staleness();
  desk.update(told, stale);
  const { kind, words } = text.standing(told.health);
  const standing = byId("standing");
  standing.className = `lead outcome ${stale === undefined ? kind : ""}`;
  const said = words + text.counted(told.begunMs);
  if (standing.textContent !== said) standing.textContent = said;
  byId("out").hidden = told.access !== "session";
  byId("freshness").textContent = text.freshness(state.takenAt, stale !== undefined);
  if (told !== state.drawn) charts.update().catch(drawLater);
  state.drawn = told;
}

/** In other colours, or another width. */
function redraw() {
  charts.redraw().catch(drawLater);
}

/** The library did not come, as while the node is away: the next answer draws. */
function drawLater() {
  state.drawn = undefined;
}

/** For screen readers: what happened, once. */
function say(sentence) {
  byId("live").textContent = sentence;
}
