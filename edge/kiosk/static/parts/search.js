/** A field that searches as one types; an answer that has been overtaken is not shown. */

import { html } from "../vendor/lit-html/lit-html.js";
import { failed } from "../act.js";
import { Problem } from "../api.js";
import { changed } from "../state.js";

const PAUSE = 100;

/** A search: `ask(text)` fetches; `found` is its last answer, null before one. */
export class Search {
  constructor(ask) {
    this.ask = ask;
    this.text = "";
    this.found = null;
    this.turn = 0;
    this.timer = 0;
  }

  type(text) {
    this.text = text;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.run(), PAUSE);
  }

  async run() {
    const turn = ++this.turn;
    try {
      const found = await this.ask(this.text.trim());
      if (turn === this.turn) this.found = found;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (turn === this.turn) failed(problem);
    }
    changed();
  }

  clear() {
    clearTimeout(this.timer);
    this.turn += 1;
    this.text = "";
    this.found = null;
  }

  field(label, hint) {
    return html`<form role="search" class="search" @submit=${(event) => { event.preventDefault(); this.run(); }}>
      <label for="search" class="sr">${label}</label>
      <input id="search" type="search" autocomplete="off" spellcheck="false" placeholder=${hint} .value=${this.text}
        @input=${(event) => this.type(event.target.value)}>
    </form>`;
  }
}
