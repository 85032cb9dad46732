/** Devices: each with its level, since when, and what to do. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { press, tell, working } from "../act.js";
import { call } from "../api.js";
import { moment } from "../format.js";
import { _ } from "../i18n.js";
import { icon } from "../icons.js";
import { may, state } from "../state.js";
import { advice, called, condition, LEVEL } from "../words.js";

const ORDER = ["bad", "warn", "ok"];

export const title = () => _("Devices");

export function view() {
  const devices = [...(state.status?.devices ?? [])].sort((a, b) => ORDER.indexOf(a.level) - ORDER.indexOf(b.level));
  return html`<div class="head"><h1 tabindex="-1">${title()}</h1></div>
    <ul class="lines scroll" tabindex="0" aria-label=${title()}>${repeat(devices, ({ name }) => name, line)}</ul>`;
}

function line(device) {
  const { name, level, state: how, since, reason } = device;
  const [sign, words] = LEVEL[level]();
  return html`<li data-device=${name} data-level=${level}>
    <span class="tone ${level} level">${icon(sign)} ${words}</span>
    <div class="words"><strong>${called(name)}</strong> ${condition(how)}
      <small>${since ? _("since %(time)s", { time: moment(since) }) : ""} ${reason}</small>
      ${level === "ok" ? nothing : html`<p class="todo">${advice(device)}</p>`}</div>
    <div class="buttons">${may("clerk") ? buttons(device) : nothing}</div>
  </li>`;
}

const buttons = ({ name, can_restart: restart, can_beep: beep }) => html`
  ${beep ? button(`beep ${name}`, "bell", _("Test beep"), _("Test beep: %(name)s", { name: called(name) }), `${path(name)}/beep`, _("It has beeped.")) : nothing}
  ${restart ? button(`restart ${name}`, "sync", _("Restart"), _("Restart: %(name)s", { name: called(name) }), `${path(name)}/restart`, _("It starts again.")) : nothing}`;

const path = (name) => `/api/drivers/${encodeURIComponent(name)}`;

const button = (key, sign, words, label, route, done) => html`<button class="small secondary" aria-label=${label} aria-busy=${working(key)}
  @click=${press(key, async () => { await call("POST", route); tell(done); })}>${icon(sign)} ${words}</button>`;
