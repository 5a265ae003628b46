// The log: whether anything is missing, then what people ask first.

import { button, el, notice, table } from "../dom.js";
import { escape } from "../statement/escape.js";
import * as text from "./text.js";

/** Rows of a list before somebody asks for all. */
const ROWS = 25;

/** Whether anything is missing, what was compared, and how far it goes. */
export function missingCard({ log, raw }, { now, acts }) {
  const { kind, title, lines } = text.verdictOf(log);
  const notes = log.notes.map((note) => el("li", {}, escape(note)));
  const gaps = text.gapsOf(log).map((gap) => el("p", {}, gap));
  return notice(
    { kind, title, key: "missing" },
    el(
      "ul",
      { class: "lines" },
      lines.map((line) => el("li", {}, line)),
    ),
    log.why === undefined ? undefined : el("p", {}, escape(log.why)),
    gaps,
    el("p", {}, text.reachOf(log, now)),
    notes.length === 0
      ? undefined
      : el(
          "details",
          // What contradicts is evidence, and what lacks is to be seen.
          { open: kind !== "good" },
          el("summary", {}, "What was compared"),
          el("ul", { class: "lines" }, notes),
        ),
    el(
      "div",
      { class: "buttons" },
      button("Read it again", acts.readLog, { class: "quiet small" }),
      button("Save as JSON", () => acts.save(raw), { class: "quiet small" }),
      button("Print", acts.print, { class: "quiet small" }),
    ),
  );
}

/** Refusals and broken glass. */
export function urgentCard({ urgent, refused }, shown) {
  const parts = [];
  if (urgent.length > 0) parts.push(claimsTable("urgent", urgent, { ...shown, urgent: true }));
  else parts.push(nothing(shown, "Nobody broke the glass, and nothing was left uncovered"));
  if (refused.length > 0) parts.push(refusedTable(refused, shown));
  else parts.push(nothing(shown, "Nobody was refused", text.REFUSED_WORD));
  return card("urgent-title", "Refused, and broken glass", parts);
}

/** Systems that asked whether somebody may read: nobody read anything by it. */
export function askedCard({ asked }, shown) {
  if (asked.length === 0) {
    const none = nothing(shown, "No system asked whether somebody may read", text.REFUSED_WORD);
    return card("asked-title", "Who asked whether they may", [none]);
  }
  const rows = some("asked", asked, shown).map((entry) => {
    const { who, about, act, told } = text.askedOf(entry);
    return el(
      "tr",
      {},
      timeCell(entry, shown.now),
      cell("Who", who),
      cell("About", about),
      cell("What", act),
      cell("Told", told),
    );
  });
  return card("asked-title", "Who asked whether they may", [
    box(["When", "Who", "About", "What", "Told"], rows, text.REFUSED_WORD),
    more("asked", asked, shown),
  ]);
}

/** Erasures that were carried out, and those that wait or are held. */
export function erasureCards(log, { now }) {
  return text.erasuresOf(log, now).map(({ kind, title, lines }, at) =>
    notice(
      { kind, title, key: `erasure-${at}` },
      lines.map((line) => el("p", {}, line)),
    ),
  );
}

/** Who read what. */
export function readsCard({ reads }, shown) {
  const parts =
    reads.length === 0
      ? [nothing(shown, "Nobody has read anything")]
      : [claimsTable("reads", reads, shown)];
  return card("reads-title", "Who read what", parts);
}

/** What is collected, a line a stream. */
export function collectedCard({ collected }, shown) {
  if (collected.length === 0) {
    const none = nothing(shown, "Nothing was collected");
    return card("collected-title", "What was collected", [none]);
  }
  const rows = some("collected", collected, shown).map((stream) =>
    el(
      "tr",
      {},
      cell("Who", escape(stream.who)),
      cell("For", escape(stream.organisation)),
      cell("What", text.list(stream.categories)),
      cell("Measured", text.period(stream.measured_from, stream.measured_until, shown.now)),
      cell("What for", text.word(stream.purpose)),
      cell("Rule", text.underOf(stream)),
      cell("Times", text.count(stream.times)),
    ),
  );
  return card("collected-title", "What was collected", [
    box(["Who", "For", "What", "Measured", "What for", "Rule", "Times"], rows),
    more("collected", collected, shown),
  ]);
}

/** What was signed with this key. */
export function operationsCard({ operations }, shown) {
  if (operations.length === 0) {
    const none = nothing(shown, "Nothing was signed with this key");
    return card("operations-title", "What you signed", [none]);
  }
  const rows = some("operations", operations, shown).map((entry) =>
    el(
      "tr",
      {},
      timeCell(entry, shown.now),
      cell("You", escape(entry.says)),
      cell("Batch", text.count(entry.batch)),
    ),
  );
  return card("operations-title", "What you signed", [
    box(["When", "You", "Batch"], rows),
    more("operations", operations, shown),
  ]);
}

/** What an empty list says. */
function nothing({ log }, none, caveat = "") {
  return el("p", { class: "muted" }, `${text.noneOf(log, none)} ${caveat}`.trim());
}

function claimsTable(name, entries, shown) {
  const rows = some(name, entries, shown).map((entry) => claimRow(entry, shown));
  const columns = ["When", "Who", "For", "What", "Measured", "Why", "Rule"];
  return el("div", {}, box(columns, rows), more(name, entries, shown));
}

function claimRow(entry, { now, urgent }) {
  const reason = text.reasonOf(entry);
  const said = reason === "" ? undefined : el("span", { class: "sub" }, `, ${reason}`);
  const why = el("span", {}, text.word(entry.purpose), said);
  return el(
    "tr",
    { class: urgent ? "urgent" : undefined },
    timeCell(entry, now),
    cell("Who", escape(entry.who)),
    cell("For", escape(entry.organisation)),
    cell("What", `${text.actOf(entry)} ${text.list(entry.categories)}`),
    cell("Measured", text.period(entry.measured_from, entry.measured_until, now)),
    el("td", { class: "reason", "data-label": "Why" }, why),
    cell("Rule", text.underOf(entry)),
  );
}

function refusedTable(entries, shown) {
  const rows = some("refused", entries, shown).map((entry) => {
    const { who, act, why } = text.refusedOf(entry);
    return el(
      "tr",
      { class: "urgent" },
      timeCell(entry, shown.now),
      cell("Who", who),
      cell("What", act),
      cell("Why", why),
    );
  });
  const table = box(["When", "Who", "What", "Why"], rows, text.REFUSED_WORD);
  return el("div", {}, table, more("refused", entries, shown));
}

function some(name, entries, { all }) {
  return all.has(name) ? entries : entries.slice(0, ROWS);
}

function more(name, entries, { all, acts }) {
  if (all.has(name) || entries.length <= ROWS) return undefined;
  const words = `Show all ${text.count(entries.length)}`;
  return el(
    "div",
    { class: "buttons" },
    button(words, () => acts.showAll(name), { class: "quiet small", "data-key": `all-${name}` }),
  );
}

function timeCell({ time }, now) {
  return el("td", { "data-label": "When", title: time }, text.moment(time, now));
}

function cell(label, words) {
  return el("td", { "data-label": label }, words);
}

function box(columns, rows, caption) {
  const heads = columns.map((name) => el("th", { scope: "col" }, name));
  return el(
    "div",
    { class: "tablebox", role: "region", "aria-label": columns.join(", "), tabindex: "0" },
    table(
      { class: "sheets" },
      caption === undefined ? undefined : el("caption", {}, caption),
      el("thead", {}, el("tr", {}, heads)),
      el("tbody", {}, rows),
    ),
  );
}

function card(id, title, parts) {
  return el("section", { class: "card", "aria-labelledby": id }, el("h2", { id }, title), parts);
}
