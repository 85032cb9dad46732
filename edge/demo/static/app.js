/** The demo store's page, or one phone of it alone: starts it, draws it from one state. */

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { _, language, LANGUAGES, speak } from "./i18n.js";
import { Phone } from "./phone.js";
import { report, reportAlways } from "./report.js";
import { changed, drawWith, listen, state } from "./state.js";
import { counter } from "./views/counter.js";
import { floor } from "./views/floor.js";
import { alone, phones } from "./views/phones.js";
import { platform } from "./views/platform.js";
import { staff } from "./views/staff.js";
import { switches } from "./views/switches.js";

const [, only] = /^\/phone\/([A-Za-z0-9_-]+)$/.exec(location.pathname) ?? [];

function draw() {
  if (!state.store) return;
  document.title = `${_("The demo store")} · cartwire`;
  document.body.classList.toggle("still", !state.live);
  render(only ? alone(state.phones.get(only), tongue()) : page(), document.getElementById("app"));
}

const page = () => html`
  <header class="top">
    <img src="/static/icon.svg" alt="" width="32" height="32">
    <div class="name"><h1>cartwire</h1><p>${_("A tap and a scan reach the shopper's cart. Once, and whatever fails.")}</p></div>
    ${counter()}
    <div class="tools">${tongue()}</div>
  </header>
  ${state.live ? nothing : html`<p class="closed" role="alert">${_("The store does not answer: the demo was closed, or is busy.")}</p>`}
  <main class="store">
    ${floor()}
    ${phones()}
    <div class="back">${platform()}${staff()}</div>
    ${switches()}
  </main>`;

function tongue() {
  const other = language() === "ko" ? "en" : "ko";
  return html`<button class="plain" lang=${other} @click=${() => say(other, true)}>${LANGUAGES[other]}</button>`;
}

async function say(name, keep = false) {
  await speak(name, keep);
  changed();
}

/** The language chosen here, else the one the demo was started with, else the visitor's. */
function preferred() {
  const visitors = navigator.languages.map((each) => each.slice(0, 2));
  return [localStorage.getItem("cartwire.language"), state.store.language, ...visitors].find((each) => each in LANGUAGES) ?? "en";
}

let begun = false;

/** The phones are switched on once; a new connection is nothing to them. */
async function opened() {
  if (begun) return;
  begun = true;
  state.who = state.store.shoppers[0].customer;
  await say(preferred());
  reportAlways();
  for (const { cart } of state.store.shoppers.filter((each) => !only || each.cart === only)) {
    const phone = new Phone(cart, changed, report);
    state.phones.set(cart, phone);
    await phone.start(state.store.run);
  }
  changed();
}

drawWith(draw);
listen(opened);
