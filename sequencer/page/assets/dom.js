// Elements from plain values. Whatever is shown is set as text: nothing that a node, a chain or a
// file says can become an element.

/** An element: attributes, then children, which are elements or text. Absent ones are left out. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return element;
}

export function button(text, onclick, attributes = {}) {
  return el("button", { type: "button", onclick, ...attributes }, text);
}

/** A list of terms and what they are. */
export function facts(list) {
  return el(
    "dl",
    { class: "facts" },
    list
      .filter(Boolean)
      .map(([term, value, wide]) =>
        el("div", { class: wide ? "wide" : undefined }, el("dt", {}, term), el("dd", {}, value)),
      ),
  );
}

const ROLES = {
  TABLE: "table",
  THEAD: "rowgroup",
  TBODY: "rowgroup",
  TR: "row",
  TD: "cell",
  CAPTION: "caption",
};

const HEADERS = { col: "columnheader", row: "rowheader" };

/** A table, which stays one for screen readers where its rows are laid out as sheets. */
export function table(attributes, ...children) {
  const made = el("table", attributes, ...children);
  for (const element of [made, ...made.querySelectorAll("*")]) {
    const role = HEADERS[element.getAttribute("scope")] ?? ROLES[element.nodeName];
    if (role !== undefined) element.setAttribute("role", role);
  }
  return made;
}

/** A notice with a heading; `kind` is good, bad, warn or nothing, and the words say it, too. */
export function notice({ kind = "", title, key }, ...children) {
  // No alert of its own: views are made anew, and it would be read out each time. What happens is
  // said once, in the live region.
  const heading = { "data-key": key, tabindex: key === undefined ? undefined : "-1" };
  return el("section", { class: `notice ${kind}` }, el("h2", heading, title), ...children);
}
