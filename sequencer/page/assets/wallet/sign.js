// What is to be signed: a form, the wallet's own preview of it, and what came of it.

import { button, el, notice } from "../dom.js";
import { escape } from "../statement/escape.js";
import * as text from "./text.js";

const ACTIONS = [
  ["permit", "Let somebody see or record my vital signs"],
  ["deny", "Forbid somebody, whatever else permits it"],
  ["policy", "Let somebody break the glass in an emergency"],
];
const ACTORS = [
  ["practitioner", "Practitioner"],
  ["organisation", "Organisation"],
  ["care-team", "Care team"],
  ["device", "Device"],
  ["any", "Anybody"],
];
const LENGTHS = [
  ["1h", "an hour"],
  ["24h", "a day"],
  ["7d", "a week"],
  ["30d", "30 days"],
];

/** Longest name that is typed. */
const NAME_MAX = 128;

/** The form of a new rule. It is made once: what is typed stays while other parts change. */
export class RuleForm {
  element;
  #words;
  #parts;
  #acts;

  constructor(words, names, acts) {
    this.#words = words;
    this.#acts = acts;
    this.#parts = {
      action: select("action", ACTIONS),
      kind: select("kind", ACTORS),
      name: input("name", { list: "known", maxlength: NAME_MAX, autocomplete: "off" }),
      known: el("datalist", { id: "known" }),
      categories: new Choices("categories", words.categories, "everything"),
      purposes: new Choices("purposes", words.purposes, "any purpose", ["treatment"]),
      ends: select("ends", [
        ["for", "after"],
        ["until", "on a day"],
        ["never", "when I take it back"],
      ]),
      length: select("length", LENGTHS),
      until: input("until", { type: "date" }),
      kinds: new Choices("kinds", words.kinds),
      labels: new Choices("labels", words.labels, "any label"),
      source: input("source", { maxlength: NAME_MAX, autocomplete: "off" }),
      lack: el("p", { class: "outcome bad", role: "alert" }),
      show: el("button", { type: "submit" }, "Show what would be signed"),
    };
    this.#parts.length.value = "24h";
    this.element = this.#make();
    this.learn(names);
    this.#arrange();
  }

  /** Names that this wallet used. */
  learn(names) {
    const kind = this.#parts.kind.value;
    const own = names.filter((name) => name.startsWith(`${kind}:`));
    const options = own.map((name) => el("option", { value: name.slice(kind.length + 1) }));
    this.#parts.known.replaceChildren(...options);
    this.names = names;
  }

  set busy(isBusy) {
    this.#parts.show.disabled = isBusy;
  }

  #make() {
    const { action, kind, name, known, categories, purposes, ends } = this.#parts;
    const { length, until, kinds, labels, source, lack, show } = this.#parts;
    const form = el(
      "form",
      { novalidate: true, onsubmit: (event) => this.#submit(event) },
      labelled("What", action),
      el("div", { class: "row" }, labelled("Who", kind), labelled("Name", name), known),
      categories.fieldset("What it is about"),
      purposes.fieldset("What for"),
      el(
        "div",
        { class: "row" },
        labelled("It ends", ends),
        labelled("After", length),
        labelled("Last day", until),
      ),
      el(
        "details",
        {},
        el("summary", {}, "More: recording, labels, one device"),
        kinds.fieldset("What may be done (none chosen: as usual for this kind of rule)"),
        labels.fieldset("Labels (none chosen: as usual for this kind of rule)"),
        labelled("Only what this device measures (none: all)", source),
      ),
      lack,
      el("div", { class: "buttons" }, show),
    );
    form.addEventListener("change", () => this.#arrange());
    return el(
      "section",
      { class: "card", "aria-labelledby": "sign-title" },
      el("h2", { id: "sign-title" }, "A new rule"),
      form,
    );
  }

  /** What does not apply is not there to be filled in. */
  #arrange() {
    const { kind, name, ends, length, until } = this.#parts;
    name.parentElement.hidden = kind.value === "any";
    length.parentElement.hidden = ends.value !== "for";
    until.parentElement.hidden = ends.value !== "until";
    if (this.names !== undefined) this.learn(this.names);
  }

  #submit(event) {
    event.preventDefault();
    const form = this.#read();
    const lack = text.lackOf(form);
    this.#parts.lack.textContent = lack ?? "";
    if (lack !== undefined) return;
    const { timeZone: zone } = Intl.DateTimeFormat().resolvedOptions();
    this.#acts.look(text.wantedOf(form, { zone, first: this.#words.categories[0] }));
  }

  #read() {
    const { action, kind, name, categories, purposes, ends } = this.#parts;
    const { length, until, kinds, labels, source } = this.#parts;
    return {
      action: action.value,
      kind: kind.value,
      name: name.value,
      categories: categories.chosen(),
      allCategories: categories.isAll(),
      purposes: purposes.chosen(),
      allPurposes: purposes.isAll(),
      ends: ends.value,
      length: length.value,
      until: until.value,
      kinds: kinds.chosen(),
      labels: labels.chosen(),
      allLabels: labels.isAll(),
      source: source.value,
    };
  }
}

/** Boxes to tick, one of which may stand for all. */
class Choices {
  #boxes;
  #all;
  #name;

  constructor(name, members, all, chosen = []) {
    this.#name = name;
    this.#boxes = members.map((value) =>
      el("input", { type: "checkbox", value, name, checked: chosen.includes(value) }),
    );
    this.#all = all === undefined ? undefined : el("input", { type: "checkbox", name });
    this.#all?.addEventListener("change", () => {
      for (const box of this.#boxes) box.disabled = this.#all.checked;
    });
    this.all = all;
  }

  chosen = () => (this.isAll() ? [] : this.#boxes.filter(isChecked).map(({ value }) => value));
  isAll = () => this.#all?.checked ?? false;

  fieldset(legend) {
    const labels = this.#boxes.map((box) => el("label", {}, box, text.word(box.value)));
    if (this.#all !== undefined) labels.unshift(el("label", {}, this.#all, this.all));
    return el(
      "fieldset",
      { "data-key": this.#name },
      el("legend", {}, legend),
      el("div", { class: "choices" }, labels),
    );
  }
}

const isChecked = ({ checked }) => checked;

/** What would be signed, in the wallet's words, and the question whether to. */
export function previewCard(preview, acts) {
  const lines = preview.text.split("\n").map((line) => el("li", {}, escape(line)));
  const isEnd = /^closes /.test(preview.says);
  const unknown = preview.names_unknown ?? [];
  const agreed = { preview: preview.preview, allowUnknown: unknown.length > 0 };
  return el(
    "section",
    { class: "card preview", "aria-labelledby": "preview-title" },
    el("h2", { id: "preview-title", tabindex: "-1" }, "This would be signed"),
    el("ul", { class: "lines exact" }, lines),
    el(
      "p",
      { class: "muted" },
      "For the deployment ",
      el("span", { class: "fingerprint" }, escape(preview.fingerprint)),
    ),
    isEnd ? el("p", { class: "outcome bad" }, "This cannot be undone.") : undefined,
    unknown.length > 0 ? el("p", { class: "outcome bad" }, text.UNKNOWN) : undefined,
    el(
      "div",
      { class: "buttons" },
      button(text.signWords(unknown), () => acts.sign(agreed), { "data-key": "sign" }),
      button("Do not sign", acts.drop, { class: "quiet" }),
    ),
  );
}

/** What came of it. */
export function outcomeCard({ kind, title, lines }, acts) {
  return notice(
    { kind, title, key: "outcome" },
    el(
      "ul",
      { class: "lines exact" },
      lines.map((line) => el("li", {}, line)),
    ),
    button("Dismiss", acts.drop, { class: "quiet small" }),
  );
}

function labelled(words, field) {
  return el("div", {}, el("label", { class: "name", for: field.id }, words), field);
}

function input(name, attributes) {
  return el("input", { id: `field-${name}`, name, spellcheck: "false", ...attributes });
}

function select(name, options) {
  const list = options.map(([value, words]) => el("option", { value }, words));
  return el("select", { id: `field-${name}`, name }, list);
}
