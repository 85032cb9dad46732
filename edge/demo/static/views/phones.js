/** The shoppers' phones: what is in the app, and what the store has saved that is not there yet. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { _, language, n_ } from "../i18n.js";
import { icon } from "../icons.js";
import { post, changed, state } from "../state.js";
import { money, product } from "../words.js";

const SHOWN = 60;

export const phones = () => html`<section class="phones" aria-label=${_("The shoppers' phones")}>
  ${state.store.shoppers.map((shopper, at) => phone(shopper, at, html`<a class="small" href="/phone/${shopper.cart}" target="_blank"
    aria-label=${_("%(who)s's phone alone", { who: shopper.name[language()] })}>${icon("phone")}</a>`))}
  ${state.store.asks ? another() : nothing}
</section>`;

/** One phone as the whole page. */
export function alone(app, tools) {
  const at = state.store.shoppers.findIndex((each) => each.cart === app?.cart);
  if (at < 0) return html`<main class="alone"><h1>${_("There is no such phone here.")}</h1></main>`;
  return html`<main class="alone">${phone(state.store.shoppers[at], at, tools, "h1")}</main>`;
}

function phone(shopper, at, tools, level = "h2") {
  const app = state.phones.get(shopper.cart);
  const items = app?.items ?? [];
  const here = new Set(app?.taken.map((item) => item.event.id));
  const saved = (state.scene?.under_way[shopper.cart] ?? []).filter((event) => !here.has(event.id)).reverse();
  const sum = items.reduce((all, event) => all + Number(event.data.product?.price?.amount ?? 0), 0);
  const name = shopper.name[language()];
  return html`<article class="phone who-${at}" data-phone=${shopper.cart} data-state=${app?.state ?? "off"}>
    <header>${level === "h1" ? html`<h1>${name}</h1>` : html`<h2>${name}</h2>`}${tools}</header>
    <p class="link">${link(app)}</p>
    <p class="sum"><strong>${money({ amount: String(sum), currency: "KRW" })}</strong> <span>${n_("%(n)s item", "%(n)s items", items.length)}</span></p>
    <ul tabindex="0" aria-label=${_("%(who)s's cart", { who: name })}>
      ${repeat([...saved.map((event) => row(event, "saved")), ...items.slice(0, SHOWN).map((event) => row(event, "app"))], (each) => each.id, (each) => each.line)}
      ${saved.length + items.length ? nothing : html`<li class="empty">${_("The cart is empty.")}</li>`}
    </ul>
    <button class="pay" ?disabled=${!items.length} @click=${() => app.pay()}>${_("Pay")}</button>
  </article>`;
}

function row(event, where) {
  const { gtin, product: given } = event.data ?? event;
  const [sign, words] = where === "app" ? ["ok", _("in your app")] : ["wait", _("saved")];
  return { id: event.id, line: html`<li data-item=${event.id} data-gtin=${gtin} data-state=${where}>
    <span class="what">${product(gtin, given)}</span><span class="price">${money(given?.price)}</span>
    <span class="state">${icon(sign)} ${words}</span></li>` };
}

function link(app) {
  if (app?.state === "on") return html`<span class="tone ok">${_("connected")}</span>`;
  if (app?.state !== "elsewhere") return html`<span class="tone warn">${_("no connection")}</span>`;
  return html`<span class="tone warn">${_("open in another window")}</span>
    <button class="small" @click=${() => app.resume()}>${_("Use it here")}</button>`;
}

/** With `--listen`: links for other devices, each good for once. */
const another = () => html`<p class="another"><button @click=${() => make("/")}>${_("Another device")}</button>
  ${state.store.shoppers.map((each) => html`<button @click=${() => make(`/phone/${each.cart}`)}>${icon("phone")} ${each.name[language()]}</button>`)}
  ${state.link ? html`<output>${_("Works once, within 10 minutes:")} <code>${state.link}</code></output>` : nothing}</p>`;

async function make(path) {
  state.link = (await post("/links", { path }))?.url ?? "";
  changed();
}
