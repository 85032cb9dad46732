/** The three figures, and what is under way. */

import { html } from "../vendor/lit-html/lit-html.js";
import { _, number } from "../i18n.js";
import { state } from "../state.js";

export function counter() {
  const counts = state.scene?.counts;
  return html`<dl class="counter" aria-label=${_("What the platform and the phones count")}>
    ${figure("lost", _("lost"), counts?.lost)}
    ${figure("doubled", _("doubled"), counts?.doubled)}
    ${figure("wrong", _("wrong cart"), counts?.wrong)}
    ${figure("under_way", _("under way"), counts?.under_way)}
    ${figure("arrived", _("arrived"), counts?.arrived)}
  </dl>`;
}

const figure = (name, words, value) => html`<div data-count=${name} class=${value ? "some" : "none"}>
  <dt>${words}</dt><dd>${value === undefined ? "–" : number(value)}</dd></div>`;
