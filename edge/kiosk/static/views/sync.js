/** Sync: whether the store is connected, what waits to be sent, the last hour, and what was refused. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { destroy, press, tell, working } from "../act.js";
import { call } from "../api.js";
import { bytes, moment, span } from "../format.js";
import { _, n_, number } from "../i18n.js";
import { icon } from "../icons.js";
import { changed, may, state } from "../state.js";
import { called, condition } from "../words.js";
import "../parts/chart.js";

let history = null;
let rejected = null;

export const title = () => _("Sync");
export const every = 60000;

export const enter = () => load(false);
export const refresh = () => load(true);

async function load(background) {
  [history, rejected] = await Promise.all([
    call("GET", "/api/history", { background }),
    may("clerk") ? call("GET", "/api/rejected", { background }).then((answer) => answer.rejected) : null,
  ]);
  changed();
}

export function view() {
  const { status } = state;
  return html`<div class="head"><h1 tabindex="-1">${title()}</h1>
      ${status ? html`<span class="tone ${status.online ? "ok" : "warn"}">${icon(status.online ? "online" : "offline")} ${status.online ? _("Online") : _("Offline")}</span>` : nothing}
      ${may("clerk") ? html`<button class="secondary" aria-busy=${working("pull")} @click=${press("pull", pull)}>${icon("sync")} ${_("Pull now")}</button>` : nothing}</div>
    <div class="scroll" tabindex="0" role="group" aria-label=${title()}>
      ${status ? html`<ul class="cards">${Object.entries(status.sinks).map(sink)}${space(status)}</ul>` : nothing}
      ${history ? hour() : nothing}
      ${may("clerk") && rejected ? refused() : nothing}
    </div>`;
}

const TONE = { ok: "ok", connecting: "warn", stopped: "warn" };

const sink = ([name, { state: how, queued, oldest_seconds: oldest, unconfirmed, rejected: count, reason }]) => html`<li class="card" data-sink=${name}>
  <h2>${called(name === "platform" ? name : "cart")}</h2>
  <p class="tone ${TONE[how] ?? "bad"}">${icon(TONE[how] ?? "bad")} ${condition(how)}${reason ? html` <small>${reason}</small>` : nothing}</p>
  <p>${n_("%(n)s waits to be sent", "%(n)s wait to be sent", queued)}${oldest === null ? "" : `, ${_("the oldest for %(time)s", { time: span(oldest) })}`}</p>
  <p>${unconfirmed ? n_("%(n)s not in the app yet", "%(n)s not in the app yet", unconfirmed) : ""} ${count ? n_("%(n)s refused", "%(n)s refused", count) : ""}</p></li>`;

const space = ({ space: { used, capacity, hours_left: hours }, held }) => html`<li class="card"><h2>${_("Room on the disk")}</h2>
  <p>${hours === null || hours === undefined ? _("Time left is not known yet") : n_("%(n)s hour left", "%(n)s hours left", Math.floor(hours))}</p>
  <p>${_("%(used)s of %(all)s used", { used: bytes(used), all: bytes(capacity) })}</p>
  <p>${held ? n_("%(n)s scan waits for its shopper", "%(n)s scans wait for their shopper", held) : ""}</p></li>`;

async function pull() {
  await call("POST", "/api/pull");
  tell(_("The platform is asked for changes."));
}

function hour() {
  const names = [_("Taps"), _("Scans"), _("Queue")];
  const { minutes, taps, scans, queue } = history;
  return html`<section aria-labelledby="hour"><div class="head"><h2 id="hour">${_("The last hour")}</h2>
      <ul class="legend">${names.map((name, at) => html`<li class="series-${at + 1}"><svg viewBox="0 0 30 6" aria-hidden="true"><path d="M0 3h30"></path></svg> ${name}</li>`)}</ul></div>
    <minute-chart .names=${names} .values=${[minutes, taps, scans, queue]} .zone=${state.session.timezone}></minute-chart>
    <details><summary>${_("As a table")}</summary><div class="scroll table" tabindex="0" role="group" aria-label=${_("As a table")}><table>
      <thead><tr><th scope="col">${_("Minute")}</th>${names.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
      <tbody>${minutes.map((minute, at) => html`<tr><th scope="row">${moment(minute * 1000)}</th><td>${number(taps[at])}</td><td>${number(scans[at])}</td>
        <td>${queue[at] === null ? "–" : number(queue[at])}</td></tr>`)}</tbody></table></div></details></section>`;
}

function refused() {
  return html`<section aria-labelledby="rejected"><div class="head"><h2 id="rejected">${_("Refused")}</h2>
      ${rejected.length ? html`<button class="small" aria-busy=${working("retry")} @click=${again("retry", [])}>${icon("push")} ${_("Send all again")}</button>
        ${may("manager") ? drop("drop", [], _("Drop all")) : nothing}` : nothing}</div>
    ${rejected.length ? nothing : html`<p class="tone ok">${icon("ok")} ${_("Nothing was refused.")}</p>`}
    <ul class="lines">${repeat(rejected, (each) => each.sink + each.id, (each) => html`<li data-rejected=${each.id}>
      <div class="words"><strong>${called(each.sink === "platform" ? each.sink : "cart")}</strong> ${each.gtin ?? each.type}
        <small><time datetime=${each.time}>${moment(each.time)}</time> ${each.reason}</small></div>
      <div class="buttons"><button class="small secondary" aria-busy=${working(`retry ${each.id}`)} @click=${again(`retry ${each.id}`, [each.id])}>${icon("push")} ${_("Send again")}</button>
        ${may("manager") ? drop(`drop ${each.id}`, [each.id], _("Drop")) : nothing}</div></li>`)}</ul></section>`;
}

const again = (key, ids) => press(key, async () => {
  const { count } = await call("POST", "/api/rejected/retry", { body: { ids } });
  tell(n_("%(n)s is sent again.", "%(n)s are sent again.", count));
  await enter();
});

const drop = (key, ids, words) => html`<button class="small danger" aria-busy=${working(key)} @click=${destroy(key,
  { title: _("Drop it for good?"), text: _("In 10 seconds it is dropped and does not reach the other side any more."), yes: words }, "POST", "/api/rejected/drop", { ids })}>
  ${icon("trash")} ${words}</button>`;
