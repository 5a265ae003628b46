// How much happened, batch by batch. The same numbers stand in the table: the drawing is for a
// glance, and hidden from screen readers.

import { isSettled } from "./checks.js";
import { el } from "./dom.js";
import { count } from "./text.js";

/** Fewest batches that make a picture, and most that are drawn. */
const BATCHES_MIN = 2;
const BATCHES_MAX = 120;
const HEIGHT = 150;

const SERIES = [
  { field: "collect", label: "collected", colour: "--accent", dash: [] },
  { field: "access", label: "accesses", colour: "--good", dash: [6, 4] },
  { field: "breakGlass", label: "broken glass", colour: "--bad", dash: [2, 3] },
];

/** A card with the drawing; `undefined` of too few batches. */
export function chartCard({ rows }) {
  const drawn = rows.filter(isSettled).slice(-BATCHES_MAX);
  if (drawn.length < BATCHES_MIN) return undefined;
  const place = el("div", { class: "chart", "aria-hidden": "true" });
  const most = Math.max(
    ...drawn.map(({ collect, access, breakGlass }) => collect + access + breakGlass),
  );
  const [first, last] = [drawn[0], drawn.at(-1)].map(({ number }) => number);
  const words = `Claims in batches ${first} to ${last}, at most ${count(most)} in one.`;
  requestAnimationFrame(() => draw(place, drawn));
  return el("figure", { class: "card" }, el("figcaption", {}, words), place);
}

// Loaded when something is drawn first: whoever verifies does not need it.
async function draw(place, rows) {
  const { uPlot } = await import("./vendor/uplot.js");
  // Another view may be shown by now.
  if (!place.isConnected) return;
  const colour = (name) => getComputedStyle(place).getPropertyValue(name).trim();
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 } };
  const options = {
    width: place.clientWidth,
    height: HEIGHT,
    cursor: { show: false },
    scales: { x: { time: false } },
    axes: [
      { ...axis, grid: { show: false }, incrs: [1, 2, 5, 10, 20, 50, 100] },
      { ...axis, size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000] },
    ],
    series: [
      { label: "batch" },
      ...SERIES.map(({ label, colour: name, dash }) => ({
        label,
        stroke: colour(name),
        width: 2,
        dash,
        points: { show: rows.length < 40, size: 6, fill: colour(name) },
      })),
    ],
  };
  const values = SERIES.map(({ field }) => rows.map((row) => row[field]));
  new uPlot(options, [rows.map(({ number }) => number), ...values], place);
}
