/** Products: found as one types or scans; price, stock and reviews with their age; codes that the catalogue lacks. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { call } from "../api.js";
import { ago, given, moment, money, named } from "../format.js";
import { _, n_ } from "../i18n.js";
import { icon } from "../icons.js";
import { Search } from "../parts/search.js";
import { changed, state } from "../state.js";

const MISSING = "missing";
const search = new Search((q) => call("GET", `/api/products?q=${encodeURIComponent(q)}`));
let shown = null;
let missing = null;

const link = (gtin) => `#/products/${gtin}`;

export const title = () => (shown && state.route.id === shown.product.gtin ? named(shown.product.names).text : _("Products"));

export async function enter({ id, q }) {
  search.clear();
  shown = null;
  if (q) search.text = q;
  if (id === MISSING) missing = (await call("GET", "/api/missing")).codes;
  else if (id) {
    const answer = await call("GET", `/api/products/${encodeURIComponent(id)}`);
    if (state.route.id === id) shown = answer;
  } else await search.run();
  changed();
}

export function view() {
  const { id } = state.route;
  return html`<div class="head find">${search.field(_("Find a product"), _("Number, name or initials (초성)"))}
      <a class="plain" role="button" href=${id === MISSING ? "#/products" : link(MISSING)}>${icon(id === MISSING ? "products" : "warn")} ${id === MISSING ? _("All") : _("Missing codes")}</a></div>
    ${search.text || !id ? list() : id === MISSING ? lacking() : one()}`;
}

function list() {
  const { products, age_seconds: age } = search.found ?? { products: [], age_seconds: null };
  return html`<div class="head"><h1 tabindex="-1">${_("Products")}</h1>${search.found ? asOf(age) : nothing}</div>
    <p class="sr" role="status">${search.found ? n_("%(n)s found", "%(n)s found", products.length) : ""}</p>
    <ul class="found scroll">${repeat(products, ({ gtin }) => gtin, line)}</ul>
    ${search.found && !products.length ? html`<p>${_("No product found.")}</p>` : nothing}`;
}

function line(product) {
  const { text, lang } = named(product.names);
  return html`<li data-product=${product.gtin}><a class="line" href=${link(product.gtin)} @click=${() => search.clear()}>
    <span class="words"><span lang=${lang}>${text}</span> <small>${product.gtin}</small></span>
    <span class="place">${money(product.price)} · ${_("Stock %(n)s", { n: given(product.stock) })}</span></a></li>`;
}

const asOf = (age) => html`<span class="tone ${age === null || age > 3600 ? "warn" : ""}">${icon("wait")}
  ${age === null ? _("never up to date yet") : _("as of %(time)s", { time: ago(age) })}</span>`;

const LANGUAGES = { ko: () => _("Korean"), en: () => _("English"), "": () => _("Name") };

function one() {
  if (!shown) return html`<h1 tabindex="-1">${_("Products")}</h1>`;
  const { product, age_seconds: age } = shown;
  const { text, lang } = named(product.names);
  return html`<article class="product" data-product=${product.gtin} data-desk="product">
    <div class="head"><h1 tabindex="-1" lang=${lang}>${text}</h1>${asOf(age)}</div>
    <p class="price">${money(product.price) || _("No price")}</p>
    <dl>
      ${pair(_("Stock"), given(product.stock))}
      ${pair(_("Rating"), given(product.rating))}
      ${pair(_("Reviews"), given(product.reviews))}
      ${pair(_("Number (GTIN)"), product.gtin)}
      ${Object.entries(product.names).map(([tongue, name]) => pair(LANGUAGES[tongue]?.() ?? tongue, html`<span lang=${tongue || nothing}>${name}</span>`))}
    </dl>
  </article>`;
}

const pair = (name, value) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;

function lacking() {
  const codes = missing ?? [];
  return html`<h1 tabindex="-1">${_("Missing codes")}</h1>
    <p>${_("Scanned in the last day, and not in the catalogue. Tell whoever keeps the catalogue.")}</p>
    <ul class="lines scroll">${repeat(codes, ({ gtin }) => gtin, ({ gtin, count, last }) => html`<li data-missing=${gtin}>
      <strong class="words">${gtin}</strong><span>${n_("%(n)s time", "%(n)s times", count)}, ${_("last %(time)s", { time: moment(last) })}</span></li>`)}</ul>
    ${missing && !codes.length ? html`<p class="tone ok">${icon("ok")} ${_("The catalogue has all that was scanned.")}</p>` : nothing}`;
}
