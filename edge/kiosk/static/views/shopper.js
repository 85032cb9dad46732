/** A shopper: found by a band at the desk, or by name; this visit's items; bands; what the store holds. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { press, working } from "../act.js";
import { call } from "../api.js";
import { typed } from "../desk.js";
import { _, n_ } from "../i18n.js";
import { icon } from "../icons.js";
import { Search } from "../parts/search.js";
import { bind, desk, link, load } from "../shoppers.js";
import { changed, left, state } from "../state.js";
import { seconds } from "../words.js";
import { bands, want } from "./bands.js";
import { held } from "./held.js";
import { items, settle } from "./items.js";

const search = new Search(async (q) => (await call("GET", `/api/shoppers?q=${encodeURIComponent(q)}`)).shoppers);

export const title = () => (desk.shopper && desk.shopper.id === state.route.id ? desk.shopper.display ?? desk.shopper.id : _("Shopper"));

/** Shows who is there, or the shopper of the route. */
export async function enter({ id }) {
  search.clear();
  if (desk.shopper?.id !== id) {
    desk.shopper = null;
    want(null);
    settle();
  }
  if (id) await load(id);
  else await search.run();
}

export function leave() {
  desk.orphan = null;
  want(null);
}

export function view() {
  const { id } = state.route;
  return html`<div class="head find">${search.field(_("Find a shopper"), _("Id, name or initials (초성)"))}
      ${id ? html`<a class="plain" role="button" href="#/shopper">${icon("people")} ${_("All")}</a>` : nothing}</div>
    ${id && !search.text ? one(desk.shopper) : list()}`;
}

function list() {
  const found = search.found ?? [];
  return html`<h1 tabindex="-1">${desk.orphan ? _("Whose band is this?") : _("Shopper")}</h1>
    ${desk.orphan
      ? html`<div class="banner warn" data-desk="band">${icon("band")}<p>${_("Nobody has this band yet. Find the shopper and bind it.")}</p>
          <button class="secondary small" @click=${giveUp}>${_("Cancel")}</button></div>`
      : html`<p>${_("Tap a band at the desk, scan a loyalty code, or type.")}</p>`}
    <p class="sr" role="status">${search.found ? n_("%(n)s found", "%(n)s found", found.length) : ""}</p>
    <ul class="found scroll">${repeat(found, (each) => each.id, (each) => html`<li data-shopper=${each.id}>
      ${desk.orphan
        ? html`<button class="line secondary" aria-busy=${working("bind")} @click=${press("bind", () => bind(each.id, desk.orphan))}>${who(each)}<span>${icon("band")} ${_("Bind the band")}</span></button>`
        : html`<a class="line" href=${link(each.id)} @click=${() => search.clear()}>${who(each)}</a>`}</li>`)}</ul>
    ${search.found && !found.length ? html`<p>${search.text ? _("No shopper found.") : _("Nobody is here now.")}</p>` : nothing}
    ${search.found && !found.length && search.text ? html`<div class="buttons"><button class="secondary" aria-busy=${working("code")}
      @click=${press("code", () => typed(search.text.trim()))}>${icon("scan")} ${_("Is it a code?")}</button></div>` : nothing}`;
}

function giveUp() {
  desk.orphan = null;
  changed();
}

const who = ({ id, display, here }) => html`<span class="words">${icon("shopper")} ${display ?? id} <small>${display ? id : ""}</small></span>
  <span class="place">${here.length ? html`${icon("floor")} ${here.join(", ")}` : nothing}</span>`;

function one(shopper) {
  if (!shopper) return html`<h1 tabindex="-1">${_("Shopper")}</h1><p aria-busy="true">${_("Looking …")}</p>`;
  return html`<div class="shopper" data-shopper=${shopper.id}>
    <div class="head"><h1 tabindex="-1">${shopper.display ?? shopper.id}</h1>${sessions(shopper)}</div>
    <div class="columns">${items(shopper)}
      <div class="side scroll" tabindex="0" role="group" aria-label=${_("More about the shopper")}>${bands(shopper)}${held(shopper)}</div></div>
  </div>`;
}

function sessions(shopper) {
  if (!shopper.sessions.length) {
    return html`<span class="tone">${icon("exit")} ${shopper.presence ? _("in the zone %(place)s", { place: shopper.presence }) : _("not here now")}</span>`;
  }
  return shopper.sessions.map(({ read_point: place, left_seconds: time }) => html`
    <span class="tone ok">${icon("tap")} ${place}, ${seconds(left(time, desk.at))}</span>
    <button class="small secondary" aria-busy=${working(`end ${place}`)} aria-label=${_("End the session at %(place)s", { place })}
      @click=${press(`end ${place}`, async () => {
        await call("DELETE", `/api/read-points/${encodeURIComponent(place)}/session`);
        await load(shopper.id);
      })}>${icon("exit")} ${_("End")}</button>`);
}
