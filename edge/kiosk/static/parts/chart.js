/** `<minute-chart>`: three lines over the last hour, in the colours of the page. The library comes with the first chart. */

import { language } from "../i18n.js";

const HEIGHT = 180;
const DASHES = [[], [6, 3], [2, 3]];

class MinuteChart extends HTMLElement {
  #plot = null;
  #values = [];
  #size = new ResizeObserver(() => this.#plot?.setSize({ width: this.clientWidth, height: HEIGHT }));
  #theme = new MutationObserver(() => this.#anew());

  /** Seconds since 1970, then the values of each line. */
  set values(values) {
    this.#values = values;
    this.setAttribute("aria-label", this.names.join(", "));
    this.#plot?.setData(values);
  }

  connectedCallback() {
    this.setAttribute("role", "img");
    this.#size.observe(this);
    this.#theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme", "lang"] });
    this.#anew();
  }

  disconnectedCallback() {
    this.#size.disconnect();
    this.#theme.disconnect();
    this.#plot?.destroy();
    this.#plot = null;
  }

  async #anew() {
    const { default: Plot } = await import("../vendor/uplot/uPlot.esm.js");
    if (!this.isConnected) return;
    this.#plot?.destroy();
    const style = getComputedStyle(this);
    const colour = (name) => style.getPropertyValue(name);
    const hour = new Intl.DateTimeFormat(language(), { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: this.zone });
    const axis = { stroke: style.color, grid: { stroke: colour("--line"), width: 1 } };
    const line = (label, at) => ({ label, stroke: colour(`--series-${at + 1}`), dash: DASHES[at], width: 2, points: { show: false }, scale: at === 2 ? "queue" : "y" });
    this.#plot = new Plot(
      {
        width: this.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        axes: [{ ...axis, values: (_plot, ticks) => ticks.map((tick) => hour.format(tick * 1000)) }, axis, { ...axis, side: 1, scale: "queue", grid: { show: false } }],
        scales: { y: { range: rising }, queue: { range: rising } },
        series: [{}, ...this.names.map(line)],
      },
      this.#values,
      this,
    );
  }
}

const rising = (_plot, _least, most) => [0, Math.max(5, most ?? 0)];

customElements.define("minute-chart", MinuteChart);
