/** What the central platform has received, by its own account. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { _, n_ } from "../i18n.js";
import { icon } from "../icons.js";
import { state } from "../state.js";
import { time, told } from "../words.js";

export function platform() {
  const scene = state.scene;
  return html`<section class="card platform" aria-labelledby="platform">
    <header><h2 id="platform">${icon("online")} ${_("Central platform")}</h2>
      <span class="count" data-received>${n_("%(n)s event", "%(n)s events", scene?.received ?? 0)}</span></header>
    ${scene && !scene.on.internet ? html`<p class="tone warn">${icon("offline")} ${_("It hears nothing: the internet is cut.")}</p>` : nothing}
    <ol tabindex="0" aria-labelledby="platform">${repeat(scene?.platform ?? [], (event) => event.n, (event) => html`<li data-event=${event.type}>
      <time datetime=${event.time}>${time(event.time)}</time> <span>${told(event)}</span></li>`)}</ol>
  </section>`;
}
