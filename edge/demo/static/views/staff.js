/** The staff's page as it is shipped, in a frame: the gateway is told that this page may show it. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { _, language } from "../i18n.js";
import { icon } from "../icons.js";
import { state } from "../state.js";

/** The page is for this machine alone, and its cookie for its own address. */
const HERE = location.hostname === "127.0.0.1";

let there = false;

/** The frame waits for the gateway: once loaded, the page itself goes on over a power cut. */
export function staff() {
  const { clerk } = state.store;
  const address = `${state.store.staff}/?lang=${language()}`;
  there ||= Boolean(state.scene) && state.scene.gateway.state !== "off";
  return html`<section class="card staff" aria-labelledby="staff">
    <header><h2 id="staff">${icon("people")} ${_("Staff's page")}</h2>
      <span class="code">${clerk.name} · PIN <code>${clerk.pin}</code></span>
      <a href=${address} target="_blank" rel="noopener" aria-label=${_("The staff's page alone")}>${icon("exit")}</a></header>
    ${HERE ? there ? html`<iframe src=${address} title=${_("Staff's page")}></iframe>` : nothing
      : html`<p>${_("It is for the machine that the demo runs on:")} <code>${state.store.staff}</code></p>`}
    ${HERE ? html`<p class="narrow"><a href=${address} target="_blank" rel="noopener">${_("It wants a larger screen: open it alone.")}</a></p>` : nothing}
  </section>`;
}
