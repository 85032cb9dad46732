/** A shopper's bands: bind a new one, unbind a lost one. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { destroy, press, tell, working } from "../act.js";
import { _ } from "../i18n.js";
import { icon } from "../icons.js";
import { bind, path } from "../shoppers.js";
import { changed, state } from "../state.js";

/** The shopper for whom a band is to be tapped at the desk, or null. */
let wanting = null;

const TYPES = { nfc: () => _("Band"), code: () => _("Loyalty code"), ibeacon: () => _("Beacon"), altbeacon: () => _("Beacon"), "eddystone-uid": () => _("Beacon") };

export function bands(shopper) {
  const nameless = state.floor.filter(({ session }) => session?.pseudonym);
  return html`<section aria-labelledby="bands"><div class="head"><h2 id="bands">${_("Bands")}</h2>
      ${wanting === shopper.id ? nothing : html`<button class="small" @click=${() => want(shopper.id)}>${icon("plus")} ${_("Bind a new band")}</button>`}</div>
    ${wanting === shopper.id
      ? html`<div class="banner warn" role="status">${icon("tap")}<p><strong>${_("Tap the new band at the desk now.")}</strong></p>
          <button class="small secondary" @click=${() => want(null)}>${_("Cancel")}</button></div>
        ${nameless.map(({ read_point: place, session }) => html`<button class="small secondary" aria-busy=${working("bind")}
          @click=${press("bind", () => bound(shopper.id, session.pseudonym))}>${icon("band")} ${_("It is the band at %(place)s", { place })}</button>`)}`
      : nothing}
    <ul class="lines">${repeat(shopper.bands, (band) => band.pseudonym, (band) => html`<li data-band=${band.pseudonym}>
      <span class="words">${icon(band.type === "code" ? "scan" : "band")} ${TYPES[band.type]?.() ?? band.type} <small>${band.pseudonym.slice(0, 6)}${band.by_staff ? ` · ${_("bound by staff")}` : ""}</small></span>
      <button class="small danger" aria-busy=${working(`unbind ${band.pseudonym}`)} aria-label=${_("Unbind: %(name)s", { name: band.pseudonym.slice(0, 6) })}
        @click=${destroy(`unbind ${band.pseudonym}`, { title: _("Unbind this band?"), text: _("Taps with it are nobody's then. Do so if it is lost."), yes: _("Unbind") },
          "DELETE", `${path(shopper.id)}/bands/${band.pseudonym}`)}>${icon("close")} ${_("Unbind")}</button></li>`)}</ul>
    ${shopper.bands.length ? nothing : html`<p class="quiet">${_("No band yet.")}</p>`}
  </section>`;
}

/** Waits for a band at the desk for the shopper with this id; null: does not wait. */
export function want(id) {
  wanting = id;
  changed();
}

async function bound(id, pseudonym) {
  want(null);
  await bind(id, pseudonym);
}

/** What was read at the desk, if a band is waited for. @returns {boolean} whether that is all to be done with it */
export function wanted(read) {
  const id = wanting;
  if (id === null || id !== state.route.id) return false;
  if (read.kind === "band") {
    press("bind", () => bound(id, read.pseudonym))();
    return true;
  }
  if (read.kind !== "shopper") return false;
  tell(read.customer === id ? _("This shopper has that band already.") : _("This band belongs to another shopper."),
    { tone: "warn", todo: _("Use another band."), desk: read.kind });
  return true;
}
