/** This visit's items of a shopper, what can be done with each, and scans that nobody claimed. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { destroy, press, tell, working } from "../act.js";
import { call } from "../api.js";
import { clock, money } from "../format.js";
import { _ } from "../i18n.js";
import { icon } from "../icons.js";
import { refresh } from "../shoppers.js";
import { changed, state } from "../state.js";
import { ITEM } from "../words.js";

let unclaimed = null;

export function items(shopper) {
  return html`<section class="items" aria-labelledby="items">
    <div class="head"><h2 id="items">${_("This visit")}</h2>
      ${shopper.sessions.length ? html`<button class="small secondary" aria-expanded=${unclaimed !== null} aria-busy=${working("unclaimed")}
        @click=${press("unclaimed", look)}>${icon("gift")} ${_("Give a scan")}</button>` : nothing}</div>
    <div class="scroll" tabindex="0" role="group" aria-labelledby="items">
      ${unclaimed && shopper.sessions.length ? choose(shopper) : nothing}
      ${shopper.items.length ? nothing : html`<p class="quiet">${_("Nothing was scanned in this visit.")}</p>`}
      <ul class="lines">${repeat(shopper.items, (item) => item.id, (item) => line(item))}</ul>
    </div>
  </section>`;
}

function line(item) {
  const [sign, tone, words] = ITEM[item.state]?.() ?? ["info", "none", item.state];
  const name = item.product ?? item.gtin;
  return html`<li data-item=${item.id} data-state=${item.state}>
    <div class="words"><strong class=${item.state === "removed" ? "gone" : ""}>${name}</strong>
      <small>${money(item.price)} <time datetime=${item.time}>${clock(item.time)}</time> ${item.read_point}</small></div>
    <span class="tone ${tone}">${icon(sign)} ${words}</span>
    ${item.state === "removed" ? nothing : html`<div class="buttons">${buttons(item, name)}</div>`}
  </li>`;
}

function buttons(item, name) {
  const again = `push ${item.id}`;
  const remove = `remove ${item.id}`;
  const waits = item.state === "saved" || item.state === "pushed" || item.state === "refused";
  return html`${waits
    ? html`<button class="small secondary" aria-busy=${working(again)} aria-label=${_("Push again: %(name)s", { name })} @click=${press(again, async () => {
        await call("POST", `/api/items/${item.seq}/push`, { body: { id: item.id } });
        tell(_("It is pushed again as soon as the broker is reached."));
      })}>${icon("push")} ${_("Push again")}</button>`
    : nothing}
    <button class="small danger" aria-busy=${working(remove)} aria-label=${_("Remove: %(name)s", { name })} @click=${destroy(remove,
      { title: _("Take it out of the cart?"), text: name, yes: _("Remove") },
      "POST", `/api/items/${item.seq}/removal`, { id: item.id })}>${icon("trash")} ${_("Remove")}</button>`;
}

async function look() {
  unclaimed = unclaimed ? null : (await call("GET", "/api/unclaimed")).scans;
  changed();
}

/** Another shopper: what was opened is closed. */
export function settle() {
  unclaimed = null;
}

const choose = (shopper) => html`<section class="gift" aria-labelledby="gift"><h3 id="gift">${_("Which one was it?")}</h3>
  ${unclaimed.length ? nothing : html`<p class="quiet">${_("There is no unclaimed scan.")}</p>`}
  <ul class="lines">${repeat(unclaimed, (scan) => scan.id, (scan) => html`<li data-unclaimed=${scan.id}>
    <div class="words"><strong>${scan.product ?? scan.gtin}</strong> <small><time datetime=${scan.time}>${clock(scan.time)}</time> ${scan.read_point}</small></div>
    <button class="small" aria-busy=${working(`give ${scan.id}`)} aria-label=${_("Give: %(name)s", { name: scan.product ?? scan.gtin })}
      @click=${press(`give ${scan.id}`, () => give(scan, shopper))}>${icon("gift")} ${_("Give")}</button></li>`)}</ul></section>`;

async function give(scan, shopper) {
  await call("POST", `/api/unclaimed/${scan.seq}/gift`, { body: { id: scan.id, customer: shopper.id } });
  settle();
  tell(_("It is in %(name)s's cart.", { name: shopper.display ?? shopper.id }));
  if (state.route.id === shopper.id) await refresh();
}
