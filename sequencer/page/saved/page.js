// A batch that somebody saved, in a file that opens from disk: it asks nobody. What the data at its
// end hold is checked as a served page checks what servers answer, in the same words; what only the
// chain can say is said to be the saver's word.

import { ALIVE_MS, Asker } from "../assets/ask.js";
import { checkCard, detailCards, showProgress } from "../assets/detail.js";
import { el, notice } from "../assets/dom.js";
import { deploymentCard } from "../assets/list.js";
import * as text from "../assets/text.js";
import { escape } from "../assets/statement/escape.js";
import { startTheme } from "../assets/theme.js";
import * as words from "./words.js";

const byId = (id) => document.getElementById(id);
const state = {
  number: undefined,
  overview: undefined,
  detail: undefined,
  cost: undefined,
  saved: undefined,
  fault: undefined,
  checks: new Map(),
  peers: [],
  told: "",
};
let asker;

document.addEventListener("DOMContentLoaded", begin);

async function begin() {
  startTheme(byId("theme"), show);
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("main").focus();
  });
  show();
  try {
    expectNothingBehind();
    asker = new Asker(workerOf(byId("worker").textContent));
    setInterval(() => asker.tick(), ALIVE_MS);
    await open();
  } catch (fault) {
    state.fault = fault;
  }
  show();
  if (state.overview !== undefined) await verify();
}

/**
 * Behind the data there can be nothing: the element that they stand in is one that no text ends. Of
 * a browser to which it is another, whatever stands there could say anything.
 */
function expectNothingBehind() {
  const all = [...document.querySelectorAll("#saved")];
  const isLast = all.length === 1 && document.body.lastElementChild === all[0];
  const { childNodes } = document.body;
  if (isLast && childNodes[childNodes.length - 1] === all[0]) return;
  document.body.replaceChildren(document.querySelector("header"), document.querySelector("main"));
  throw new Error(words.BEHIND_DATA);
}

async function open() {
  const given = { saved: byId("saved").textContent, contract: byId("contract").textContent };
  const asked = asker.ask("open", given);
  // It may be a hundred million characters, of which the worker has a copy by now.
  byId("saved").textContent = "";
  const { number, savedAt, nodes, overview } = await asked;
  const settledCount = overview.rows.filter(({ hash }) => hash !== undefined).length;
  if (number > settledCount) throw new Error(words.NOT_IN_FILE);
  Object.assign(state, { number, saved: { savedAt, nodes: nodes.map(escape) } });
  state.detail = await asker.ask("detail", { number });
  state.peers = await asker.ask("peers", {});
  // What it cost is a remark, and may not have been to be had.
  [state.cost] = await asker.ask("costs", { numbers: [number] }).catch(() => []);
  state.overview = { ...overview, settledCount, nodes: state.saved.nodes };
}

async function verify() {
  const { number } = state;
  if (state.checks.get(number)?.outcome === "running") return;
  const end = new AbortController();
  const check = { outcome: "running", cancel: () => end.abort() };
  state.checks.set(number, check);
  show();
  const tell = (progress) => {
    check.progress = progress;
    showProgress(byId("view"), progress);
  };
  try {
    const report = await asker.ask("verify", { number }, tell, end.signal);
    const outcome = report.unlinked === undefined ? "good" : "alone";
    state.checks.set(number, { outcome, report, compared: report.compared });
    say(titleOf(number));
  } catch (fault) {
    if (fault.name === "Cancelled") state.checks.delete(number);
    else {
      const outcome = fault.name === "Broken" ? "broken" : "away";
      state.checks.set(number, { outcome, fault });
    }
    say(fault.name === "Cancelled" ? text.CANCELLED : fault.message);
  }
  show();
}

function titleOf(number) {
  const { overview, peers } = state;
  return text.titleOf(state.checks.get(number), { trust: overview.trust, peers }).title;
}

const acts = { verify, cancel: (number) => state.checks.get(number)?.cancel?.() };

function show() {
  const view = byId("view");
  const hadFocus = view.contains(document.activeElement);
  view.replaceChildren(...content().filter(Boolean));
  // Whoever checks again from the keyboard stays at the check.
  if (hadFocus) view.querySelector("[data-key=check]")?.focus();
  byId("trust").textContent = text.trustOf("saved").badge;
}

function content() {
  const { fault, overview, number } = state;
  if (fault !== undefined) return faultView(fault);
  const heading = el("div", { class: "heading" }, el("h1", { tabindex: "-1" }, words.title(state)));
  if (overview === undefined) {
    return [heading, el("section", { class: "card", "aria-busy": "true" }, words.READING_FILE)];
  }
  const check = state.checks.get(number);
  document.title = words.title(state);
  return [
    heading,
    savedNotice(),
    text.isDisputed(state.peers)
      ? notice({ kind: "bad", title: text.disputedTitle(overview.trust) })
      : undefined,
    checkCard(number, state, acts),
    ...detailCards(state.detail, { cost: state.cost, check, trust: overview.trust }),
    deploymentCard(state),
  ];
}

function faultView(fault) {
  const isBroken = fault.name === "Broken";
  const title = isBroken ? `Broken: ${fault.item}` : "Nothing can be shown of this file";
  return [
    el("div", { class: "heading" }, el("h1", { tabindex: "-1" }, words.title(state))),
    notice(
      { kind: isBroken ? "bad" : "warn", title },
      el("p", {}, text.sentence(fault.message)),
      el("p", {}, isBroken ? words.BROKEN : words.UNREADABLE),
    ),
  ];
}

/** First of all: what a file can show by itself, and what only a chain can. */
function savedNotice() {
  const { saved, overview, detail } = state;
  const sentences = words.explain({ saved, overview, detail });
  const commands = words.checkAgain({ overview, detail });
  return notice(
    { title: words.noticeTitle },
    sentences.map((sentence) => el("p", {}, sentence)),
    commands.map(([what, command]) =>
      el("div", {}, el("p", {}, what), el("pre", {}, el("code", {}, command))),
    ),
  );
}

/** For screen readers: what happened, once. */
function say(sentence) {
  byId("live").textContent = sentence;
}

/** A worker of the text that stands in this file: another file from disk may not be one. */
function workerOf(code) {
  return () => {
    made = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    return new Worker(policy === undefined ? made : policy.createScriptURL(made));
  };
}

/** The address of the worker that was made last: the only one that is started. */
let made;
const policy = globalThis.trustedTypes?.createPolicy("vitals", {
  createScriptURL(asked) {
    if (asked === made) return asked;
    throw new TypeError("another script than the page's own");
  },
});
