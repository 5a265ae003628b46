// Drawings of the last hours. The same figures stand in the cards: a drawing is for a glance, its
// words say the last and the greatest value, and the drawing itself is hidden from screen readers.

import { button, el } from "../dom.js";
import { extent, shareOf } from "./model.js";
import * as text from "./text.js";

const HEIGHT = 140;
const STROKES = [
  { colour: "--accent", dash: [] },
  { colour: "--warn", dash: [6, 4] },
  { colour: "--good", dash: [2, 3] },
];

/** A card with all drawings and a choice of how far they reach back. */
export class Charts {
  #ring;
  #span = text.SPANS.at(-1)[1];
  #drawn = [];
  #uPlot;
  #reach = el("span", { class: "reach" });

  constructor(ring) {
    this.#ring = ring;
    this.#drawn = text.CHARTS.map((chart) => {
      const place = el("div", { class: "chart", "aria-hidden": "true" });
      const words = el("figcaption");
      return { chart, place, words, figure: el("figure", {}, words, place), plot: undefined };
    });
    this.card = el(
      "section",
      { class: "card", "aria-labelledby": "card-charts" },
      el("div", { class: "heading" }, el("h2", { id: "card-charts" }, text.HOURS), this.#spans()),
      el(
        "div",
        { class: "charts" },
        this.#drawn.map(({ figure }) => figure),
      ),
    );
  }

  #spans() {
    const choices = text.SPANS.map(([label, ms]) =>
      button(label, () => this.#choose(ms), { class: "quiet small", "data-span": ms }),
    );
    const show = () => {
      for (const one of choices) {
        one.setAttribute("aria-pressed", String(Number(one.dataset.span) === this.#span));
      }
    };
    this.showChoice = show;
    show();
    const group = { class: "actions", role: "group", "aria-label": "How far back" };
    return el("div", group, this.#reach, choices);
  }

  #choose(ms) {
    this.#span = ms;
    this.showChoice();
    // What draws them is here by now: somebody has seen the drawings.
    void this.update();
  }

  /** Writes what is kept into every drawing. */
  async update() {
    const from = this.#ring.from(this.#span);
    const times = this.#ring.times.slice(from);
    this.card.hidden = times.length < 2;
    if (this.card.hidden) return;
    this.#reach.textContent = text.spanWords(times.at(-1) - times[0]);
    const seconds = times.map((ms) => ms / 1000);
    for (const drawn of this.#drawn) {
      const rows = drawn.chart.series.map((one) => this.#valuesOf(one).slice(from));
      drawn.words.textContent = text.chartWords(drawn.chart, rows.map((row) => extent(times, row)));
      drawn.values = [seconds, ...rows];
    }
    await this.#draw();
  }

  #valuesOf([name, , most]) {
    const values = this.#ring.row(name);
    if (most === undefined) return values;
    const limits = this.#ring.row(most);
    return values.map((value, at) => shareOf(value ?? undefined, limits[at]) ?? null);
  }

  /** Draws anew, as after a change of colours or of the width. */
  async redraw() {
    for (const drawn of this.#drawn) {
      drawn.plot?.destroy();
      drawn.plot = undefined;
    }
    if (!this.card.hidden) await this.#draw();
  }

  // The library is loaded when something is drawn first.
  async #draw() {
    this.#uPlot ??= (await import("../vendor/uplot.js")).uPlot;
    for (const drawn of this.#drawn) {
      const { chart, place, values } = drawn;
      // Another view may be shown by now, or nothing be there yet.
      if (!place.isConnected || values === undefined) continue;
      if (drawn.plot !== undefined) drawn.plot.setData(values);
      else drawn.plot = new this.#uPlot(optionsOf(chart, place), values, place);
    }
  }
}

function optionsOf({ series }, place) {
  const colour = (name) => getComputedStyle(place).getPropertyValue(name).trim();
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 } };
  const values = (_, splits) => splits.map((value) => text.axis(series[0], value));
  const minutes = (_, splits) => splits.map(text.minute);
  return {
    width: Math.max(1, place.clientWidth),
    height: HEIGHT,
    cursor: { show: false },
    legend: { show: series.length > 1 },
    // What is none or never changes has a scale, too.
    scales: { x: { time: true }, y: { range: (_, __, most) => [0, most > 0 ? most * 1.05 : 1] } },
    axes: [
      { ...axis, grid: { show: false }, space: 70, values: minutes },
      { ...axis, size: 68, values },
    ],
    series: [
      {},
      ...series.map(([, label], at) => ({
        label,
        stroke: colour(STROKES[at].colour),
        width: 1.5,
        dash: STROKES[at].dash,
        points: { show: false },
      })),
    ],
  };
}
