/** What is around every page: the bar at the top, the ways to the pages, the banners. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { icon } from "../icons.js";
import { _, language, LANGUAGES } from "../i18n.js";
import { may, state } from "../state.js";
import { dark, switchTheme } from "../theme.js";
import { banners, notice, undoBar } from "./banners.js";

/** Each page and the least role that sees it. */
export const PAGES = { floor: "viewer", shopper: "clerk", products: "viewer", sync: "viewer", devices: "viewer", people: "manager" };

const NAMES = {
  floor: () => _("Floor"),
  shopper: () => _("Shopper"),
  products: () => _("Products"),
  sync: () => _("Sync"),
  devices: () => _("Devices"),
  people: () => _("People"),
};

/** The whole page around `main`, which has this `title`. `doing`: `{speak(language), logOut}`. */
export function shell(main, title, doing) {
  const person = state.session?.person;
  const still = Boolean(person) && state.link === "dead";
  return html`<div class="shell ${person ? "" : "outside"} ${still ? "still" : ""}">
    <a class="skip" href="#main" @click=${skip}>${_("To the content")}</a>
    ${top(doing)}
    ${person ? ways(still) : nothing}
    <div class="middle">
      ${person ? banners() : nothing}
      <aside class="low" aria-label=${_("Notes")}>${notice()}<div ?inert=${still}>${person ? undoBar() : nothing}</div></aside>
      <main id="main" tabindex="-1" data-page=${pageName()} aria-busy=${busy()} ?inert=${still}>${main}</main>
      ${still ? html`<main class="sr"><h1>${title}</h1></main>` : nothing}
    </div>
  </div>`;
}

/** Whether what the page is about has not come yet. */
function busy() {
  if (!state.session?.person) return !state.session;
  return state.loading || !state.status;
}

/** `login` and `setup` while nobody is logged in, else the page's name. */
export function pageName() {
  if (!state.session?.person) return state.session?.setup ? "setup" : "login";
  return state.route.page;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function top({ speak, logOut }) {
  const person = state.session?.person;
  const other = language() === "ko" ? "en" : "ko";
  return html`<header class="top">
    <p class="store"><strong>${state.session?.store ?? "cartwire"}</strong>${online()}</p>
    <div class="tools">
      <button class="plain" lang=${other} @click=${() => speak(other)}>${icon("globe")} ${LANGUAGES[other]}</button>
      <button class="plain" aria-label=${dark() ? _("Light colours") : _("Dark colours")} @click=${switchTheme}>${icon(dark() ? "sun" : "moon")}</button>
      ${person
        ? html`<a class="plain" role="button" href="#/me" aria-current=${state.route.page === "me" ? "page" : nothing}>${icon("shopper")} ${person.name}</a>
          <button class="plain" @click=${logOut}>${icon("lock")} <span class="long">${_("Log out")}</span></button>`
        : nothing}
    </div>
  </header>`;
}

function online() {
  const { status, link } = state;
  if (!status || link !== "live" || !status.online) return nothing;
  return html` <span class="tone ok">${icon("online")} ${_("Online")}</span>`;
}

const ways = (still) => html`<nav aria-label=${_("Pages")} ?inert=${still}><ul>
  ${Object.entries(PAGES)
    .filter(([, least]) => may(least))
    .map(([page]) => html`<li><a href="#/${page}" aria-current=${state.route.page === page ? "page" : nothing}>${icon(page)}<span>${NAMES[page]()}</span>${alarm(page)}</a></li>`)}
</ul></nav>`;

function alarm(page) {
  const devices = state.status?.devices ?? [];
  const bad = page === "devices" && devices.some(({ level }) => level !== "ok");
  return bad ? html`<span class="alarm">${icon("warn")}<span class="sr">${_("Look at it")}</span></span>` : nothing;
}
