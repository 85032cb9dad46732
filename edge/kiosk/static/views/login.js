/** Logging in, and the first setup: by touch, with a pad of digits. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { press, quiet, working } from "../act.js";
import { call, Problem } from "../api.js";
import { _ } from "../i18n.js";
import { icon } from "../icons.js";
import { changed, left, state } from "../state.js";
import { seconds } from "../words.js";

const SECRET = "secret";
let chosen = "";
let target = SECRET;
let wait = { seconds: 0, at: 0 };

const waiting = () => left(wait.seconds, wait.at);
const field = (id) => document.getElementById(id);

export const title = () => (state.session?.setup ? _("First setup") : _("Log in"));

/** @param {() => void} entered what is done when somebody has logged in */
export function view(entered) {
  if (!state.session) return html`<h1 tabindex="-1">${_("Connecting …")}</h1>`;
  return html`<div class="login">
    <div><h1 tabindex="-1">${title()}</h1>${state.session.setup ? setup(entered) : logIn(entered)}</div>
    ${pad()}
  </div>`;
}

function logIn(entered) {
  const { people } = state.session;
  const name = () => chosen || state.resume?.name || (people.length === 1 ? people[0] : "");
  const enter = send(entered, "/api/session", () => ({ name: people.length ? name() : field("name").value.trim(), secret: field(SECRET).value }));
  return html`<form @submit=${enter}>
    ${people.length
      ? html`<fieldset class="tiles"><legend>${_("Who are you?")}</legend>
          ${people.map((each) => html`<button type="button" class="tile" aria-pressed=${each === name()} @click=${() => pick(each)}>
            ${icon(each === name() ? "ok" : "shopper")} ${each}</button>`)}</fieldset>`
      : html`<label>${_("Name")}<input id="name" name="name" autocomplete="username" autocapitalize="none" required
          pattern="[a-z0-9\\-]{1,32}" .defaultValue=${state.resume?.name ?? ""}></label>`}
    <label>${_("PIN or password")}${secret("current-password")}</label>
    ${button(_("Log in"))}
  </form>`;
}

function setup(entered) {
  const enter = send(entered, "/api/setup", () => ({ code: field("code").value.trim(), name: field("name").value.trim(), secret: field(SECRET).value }));
  return html`<form @submit=${enter}>
    <p>${_("The gateway has printed a setup code at its start. It is valid once.")}</p>
    <label>${_("Setup code")}<input id="code" name="code" autocomplete="one-time-code" inputmode="numeric" required @focus=${aim}></label>
    <label>${_("Your name: small letters, digits, -")}<input id="name" name="name" autocomplete="username" autocapitalize="none" required
      pattern="[a-z0-9\\-]{1,32}" .defaultValue=${"manager"}></label>
    <label>${_("New PIN (4 digits or more) or password (8 characters or more)")}${secret("new-password")}</label>
    ${button(_("Set up"))}
  </form>`;
}

const secret = (autocomplete) =>
  html`<input id=${SECRET} name="secret" type="password" autocomplete=${autocomplete} required @focus=${aim}>`;

function button(words) {
  const time = waiting();
  return html`<button class="go" aria-busy=${working("enter")} ?disabled=${time > 0}>${words}</button>
    <p role="status" class="tone bad">${time > 0 ? html`${icon("wait")} ${_("Too many wrong tries. Wait %(time)s.", { time: seconds(time) })}` : nothing}</p>`;
}

function send(entered, path, body) {
  return press("enter", async () => {
    try {
      state.session = await call("POST", path, { body: body() });
    } catch (problem) {
      if (problem instanceof Problem && problem.wait) wait = { seconds: problem.wait, at: performance.now() };
      field(SECRET).value = "";
      field(SECRET).focus();
      throw problem;
    }
    quiet();
    chosen = "";
    entered();
  });
}

function pick(name) {
  chosen = name;
  field(SECRET).value = "";
  field(SECRET).focus();
  changed();
}

function aim(event) {
  target = event.target.id;
}

function pad() {
  const type = (text) => () => {
    const input = field(target) ?? field(SECRET);
    input.value = text === null ? input.value.slice(0, -1) : input.value + text;
  };
  return html`<div class="pad" role="group" aria-label=${_("Digits")}>
    ${["1", "2", "3", "4", "5", "6", "7", "8", "9", state.session.setup ? "-" : ""].map((digit) =>
      digit ? html`<button type="button" class="secondary" @click=${type(digit)}>${digit}</button>` : html`<span></span>`)}
    <button type="button" class="secondary" @click=${type("0")}>0</button>
    <button type="button" class="secondary" aria-label=${_("Delete the last digit")} @click=${type(null)}>⌫</button>
  </div>`;
}
