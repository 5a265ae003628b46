// What the desk shows, from plain values. Cards are made once and their values written into them:
// somebody may be reading, or copying, while the next point comes.

import { button, el, notice, table } from "../dom.js";
import { QUEUES, markOf, shareOf } from "./model.js";
import * as text from "./text.js";

/** Elements whose words change: they are touched only where these did. */
function write(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

function card(title, ...children) {
  const id = `card-${title.toLowerCase().replaceAll(" ", "-")}`;
  return el(
    "section",
    { class: "card", "aria-labelledby": id },
    el("h2", { id }, title),
    ...children,
  );
}

/** A list of figures by name, and how to write a point into it. */
function figureCard({ title, figures }) {
  const shown = figures.map(([name, label]) => {
    const value = el("span", { class: "value" });
    const mark = el("span", { class: "mark" });
    const row = el("div", { title: name }, el("dt", {}, label), el("dd", {}, value, mark));
    return { name, value, mark, row };
  });
  const update = (now) => {
    for (const { name, value, mark } of shown) {
      write(value, text.figure(name, now[name]));
      writeMark(mark, markOf(name, now));
    }
  };
  return { card: card(title, el("dl", { class: "figures" }, shown.map(({ row }) => row))), update };
}

function writeMark(element, mark) {
  const { kind = "", words = "", alert } = mark ?? {};
  if (element.textContent === words) return;
  element.className = `mark outcome ${kind}`;
  element.textContent = words;
  if (alert === undefined) element.removeAttribute("title");
  else element.title = alert;
}

/** Queues before the journal: how many of how many, and a bar for the eye. */
function queueCard() {
  const shown = QUEUES.map((queue) => {
    const label = text.QUEUE_NAMES[queue.items];
    const value = el("span", { class: "value" });
    const mark = el("span", { class: "mark" });
    const bar = el("meter", { min: 0, max: 1, high: queue.at, "aria-hidden": "true" });
    const told = el("dd", {}, value, bar, mark);
    const row = el("div", { title: queue.items }, el("dt", {}, label), told);
    return { ...queue, value, mark, bar, row };
  });
  const waiting = "evaluations_waiting";
  const value = el("span", { class: "value" });
  const name = text.QUEUE_NAMES[waiting];
  const evaluated = el("div", { title: waiting }, el("dt", {}, name), el("dd", {}, value));
  const update = (now) => {
    for (const { items, most, at, alert, value: place, mark, bar } of shown) {
      const share = shareOf(now[items], now[most]);
      write(place, text.queue({ items: now[items], itemsMax: now[most] }) || "none");
      bar.value = share ?? 0;
      const isFull = share !== undefined && share >= at;
      writeMark(mark, isFull ? { kind: "warn", words: "nearly full", alert } : undefined);
    }
    write(value, text.figure(waiting, now[waiting]));
  };
  const rows = [...shown.map(({ row }) => row), evaluated];
  return { card: card("Before the journal", el("dl", { class: "figures" }, rows)), update };
}

/** A table whose rows are made anew where what they say changed. */
function tableCard(title, { columns, rowsOf, empty }) {
  const body = el("tbody");
  const head = el("tr", {}, columns.map((name) => el("th", { scope: "col" }, name)));
  const made = table({ class: "sheets" }, el("thead", {}, head), body);
  const none = el("p", { class: "none" }, empty);
  let before;
  const update = (desk) => {
    const rows = rowsOf(desk);
    const words = JSON.stringify(rows);
    if (words === before) return;
    before = words;
    none.hidden = rows.length > 0;
    made.hidden = rows.length === 0;
    body.replaceChildren(...rows.map((cells) => rowOf(cells, columns)));
  };
  return { card: card(title, el("div", { class: "tablebox" }, made), none), update };
}

function rowOf([first, ...others], columns) {
  const head = el("th", { scope: "row", role: "rowheader", "data-label": columns[0] }, first);
  const cells = others.map((words, at) => {
    const { kind, words: shown } = typeof words === "object" ? words : { words };
    const inner = kind === undefined ? shown : el("span", { class: `outcome ${kind}` }, shown);
    const isAbsent = shown === "" ? "absent" : "";
    return el("td", { role: "cell", "data-label": columns[at + 1], class: isAbsent }, inner);
  });
  return el("tr", { role: "row" }, head, cells);
}

const stagesCard = () =>
  tableCard("Stages", {
    columns: ["Stage", "State", "Waits before it", "Done in this run"],
    empty: "The node does not say how its stages stand.",
    rowsOf: ({ health }) =>
      (health?.stages ?? []).map((stage) => {
        const kind = text.STAGE_STATES[stage.state] ?? "warn";
        const words = stage.cause === undefined ? stage.state : `${stage.state}: ${stage.cause}`;
        return [stage.stage, { kind, words }, text.queue(stage), text.progress(stage)];
      }),
  });

const rejectsCard = () =>
  tableCard("Rejected, by reason", {
    columns: ["Code", "Reason", "In this run", "Now"],
    empty: "Nothing was rejected in this run.",
    rowsOf: ({ rejects }) =>
      rejects.map(({ code, meaning, count, perSecond }) => [
        String(code),
        meaning,
        text.figure("count", count),
        text.figure("rejects_per_second", perSecond),
      ]),
  });

const recentRejectsCard = () =>
  tableCard("Rejected last", {
    columns: ["When", "Who was told", "Code", "Reason", "Times"],
    empty: "Nothing was rejected in this run.",
    rowsOf: ({ recentRejects }) =>
      recentRejects.map((one) => [
        text.whenRejected(one),
        text.whoRejected(one),
        String(one.code),
        one.meaning,
        text.figure("count", one.count),
      ]),
  });

const tunedCard = () =>
  tableCard("Settings tuned", {
    columns: ["Key", "Configured", "Tuned", "Since"],
    empty: "Every setting holds as it is configured.",
    rowsOf: ({ tuned }) =>
      tuned.map((one) => [one.key, one.configured, one.tuned, text.byWhom(one)]),
  });

const erasuresCard = () =>
  tableCard("Requests to erase", {
    columns: ["Patient", "Asked", "How it stands", "What comes next"],
    empty: text.NO_ERASURES,
    rowsOf: ({ erasures }) => text.erasureRows(erasures),
  });

/** Everything that is made once, and how a further answer is written into it. */
export function makeDesk() {
  const groups = [queueCard(), ...text.GROUPS.map(figureCard)];
  const tables = [
    stagesCard(),
    erasuresCard(),
    rejectsCard(),
    recentRejectsCard(),
    tunedCard(),
  ];
  const notices = el("div");
  const empty = el("p", { class: "card empty" }, text.EMPTY);
  const grid = el("div", { class: "grid" }, groups.map(({ card: one }) => one));
  const below = tables.map(({ card: one }) => one);
  let before;
  const update = (desk, stale) => {
    const shown = noticesOf(desk, stale);
    const words = JSON.stringify(shown);
    if (words !== before) notices.replaceChildren(...shown.map(noticeOf));
    before = words;
    const { now } = desk;
    empty.hidden = now !== undefined;
    grid.hidden = now === undefined;
    if (now !== undefined) for (const group of groups) group.update(now);
    for (const one of tables) one.update(desk);
  };
  return { notices, empty, grid, below, update };
}

/** What is to be said above everything else, the worst first. */
function noticesOf({ health, paused, draining }, stale) {
  const list = stale === undefined ? [] : [{ kind: "warn", ...stale }];
  const kind = health?.isHealthy === false ? "bad" : "warn";
  for (const one of health?.reasons ?? []) list.push({ kind, ...text.reason(one) });
  if (paused !== undefined) list.push({ kind: "warn", ...text.ordered("paused", paused) });
  if (draining !== undefined) list.push({ kind: "warn", ...text.ordered("draining", draining) });
  return list;
}

function noticeOf({ kind, title, words }) {
  return notice({ kind, title }, el("p", {}, words));
}

/** Where nothing can be shown: why, and a field for the token where that is what is missing. */
export function closedView(kind, { submit, retry }) {
  const { title, words } = text.closedWords(kind);
  const isToken = kind === "token";
  return notice(
    { kind: isToken ? "" : "warn", title },
    el("p", {}, words),
    isToken ? tokenForm(submit) : button("Try again", retry, { class: "quiet" }),
  );
}

function tokenForm(submit) {
  const field = el("input", {
    id: "token",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
  });
  const outcome = el("p", { class: "outcome bad", role: "status" });
  const send = button("Open the desk", undefined, { type: "submit" });
  const onsubmit = async (event) => {
    event.preventDefault();
    const token = field.value.trim();
    // Whatever comes of it, it stays in no field.
    field.value = "";
    send.disabled = true;
    outcome.textContent = "";
    outcome.textContent = (await submit(token)) ?? "";
    send.disabled = false;
  };
  const label = el("label", { for: "token" }, "Token of web.token_file");
  return el("form", { class: "told", onsubmit }, label, field, send, outcome);
}
