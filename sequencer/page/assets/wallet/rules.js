// The rules of the record: what holds now, a sentence each, and a way to take each back.

import { button, el } from "../dom.js";
import { escape } from "../statement/escape.js";
import * as text from "./text.js";

/** What holds now, what will, and what has ended. */
export function rulesCard(record, { now, acts, isBusy: busy, misfit }) {
  const isBehind = misfit === "behind";
  // On a copy that lacks something nothing is signed: the node would refuse it.
  const isBusy = busy || isBehind;
  const rules = text.ruleOrder(record.rules);
  const of = (...states) => rules.filter(({ state }) => states.includes(state));
  const show = (rule) => ruleItem(rule, { now, acts, isBusy });
  const [live, later, over] = [of("live"), of("later"), of("ended", "closed")];
  const isOpen = record.state === "open";
  return el(
    "section",
    { class: "card", "aria-labelledby": "rules-title" },
    el(
      "h2",
      { id: "rules-title", tabindex: "-1" },
      misfit === null ? "Rules live now" : "Rules, as this wallet knew them",
    ),
    el("p", { class: misfit === null ? "muted" : "outcome warn" }, text.rulesLead(record, misfit)),
    isBehind
      ? el(
          "div",
          { class: "buttons" },
          button("Make the copy anew from the log", acts.rebuild, { disabled: busy }),
        )
      : undefined,
    live.length > 0 ? el("ul", { class: "rules" }, live.map(show)) : undefined,
    later.length > 0 ? el("h3", {}, "Rules that begin later") : undefined,
    later.length > 0 ? el("ul", { class: "rules" }, later.map(show)) : undefined,
    over.length > 0
      ? el(
          "details",
          {},
          el("summary", {}, text.plural(over.length, "rule that has ended", "rules that have ended")),
          el("ul", { class: "rules" }, over.map(show)),
        )
      : undefined,
    isOpen
      ? el(
          "div",
          { class: "buttons" },
          button("Stop everything ...", () => acts.look({ action: "stop" }), {
            class: "danger",
            disabled: isBusy,
            "data-key": "stop",
          }),
        )
      : undefined,
  );
}

function ruleItem(rule, { now, acts, isBusy }) {
  const { slot, state } = rule;
  const sentence = text.ruleSentence(rule, now);
  const canEnd = state === "live" || state === "later";
  const revoke = button("Take back ...", () => acts.look({ action: "revoke", slot }), {
    class: "quiet small",
    disabled: isBusy,
    "aria-label": `Take back: ${sentence}`,
    "data-key": `revoke-${slot}`,
  });
  return el(
    "li",
    { class: `rule ${rule.kind}` },
    el("p", {}, `${sentence}.`),
    canEnd ? revoke : undefined,
    el("p", { class: "exact" }, `${escape(slot)}: ${escape(rule.says)}`),
  );
}
