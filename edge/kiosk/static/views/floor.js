/** The floor: who holds which read point, and what happens. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { guard } from "../vendor/lit-html/directives/guard.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { destroy, press, tell, working } from "../act.js";
import { call } from "../api.js";
import { clock } from "../format.js";
import { _, language, n_, number } from "../i18n.js";
import { icon } from "../icons.js";
import { adopt, link } from "../shoppers.js";
import { changed, left, may, state } from "../state.js";
import { seconds, told } from "../words.js";

const MANY = 500;
const CUE = 3000;

export const title = () => _("Floor");

export function view() {
  return html`<div class="head"><h1 tabindex="-1">${title()}</h1>${may("manager") ? close() : nothing}</div>
    <div class="floor">
      <section class="spots scroll" aria-labelledby="spots" tabindex="0">
        <h2 id="spots" class="sr">${_("Read points")}</h2>
        <ul>${repeat(state.floor, (spot) => spot.read_point, card)}</ul>
        ${state.floor.length ? nothing : html`<p>${_("There is no read point yet.")}</p>`}
      </section>
      <section class="feed" aria-labelledby="feed">
        ${feedHead()}
        ${feed()}
      </section>
    </div>`;
}

const close = () => html`<button class="secondary" aria-busy=${working("close")} @click=${destroy("close",
  { title: _("Close the store?"), text: _("All sessions end in 10 seconds. What was scanned stays in the carts."), yes: _("Close the store") },
  "POST", "/api/floor/close")}>${icon("exit")} ${_("Close the store")}</button>`;

function card(spot) {
  const { read_point: name, session, waiting, training } = spot;
  return html`<li class="card" data-read-point=${name}>
    <h3>${name}${spot.desk ? html` <span class="tone">${icon("search")} ${_("desk")}</span>` : nothing}
      ${training === null ? nothing : html` <span class="tone warn">${icon("training")} ${_("training, %(time)s", { time: seconds(left(training, state.floorAt)) })}</span>`}</h3>
    ${cue(name)}
    ${waiting ? html`<p class="tone warn">${icon("wait")} ${n_("%(n)s scan waits for a tap", "%(n)s scans wait for a tap", waiting)}</p>` : nothing}
    ${spot.here.length && may("clerk") ? html`<p class="here">${_("In the zone:")} ${spot.here.map((one) => html`<a href=${link(one.customer)}>${one.display ?? one.customer}</a> `)}</p>` : nothing}
    <div class="who">${session ? holder(session) : html`<span class="quiet">${spot.desk ? _("For staff: tap a band or scan here") : _("free")}</span>`}
      <div class="buttons">${buttons(spot)}</div></div>
  </li>`;
}

/** For three seconds what a shopper was told there, if it was no yes. */
function cue(name) {
  const { outcome, at } = state.cues[name] ?? { at: -CUE };
  if (performance.now() - at > CUE) return nothing;
  if (outcome === "unknown") return html`<p class="tone warn" data-cue="unknown">${icon("info")} ${_("Told: not known here")}</p>`;
  if (outcome === "cannot") return html`<p class="tone bad" data-cue="cannot">${icon("bad")} ${_("Told: cannot be kept now")}</p>`;
  return nothing;
}

function holder(session) {
  const time = html`<strong class="count">${seconds(left(session.left_seconds, state.floorAt))}</strong>`;
  if (session.customer && may("clerk")) {
    return html`<a class="person" href=${link(session.customer)}>${icon("shopper")} ${session.display ?? session.customer} ${time}</a>`;
  }
  return html`<span class="person">${icon(may("clerk") ? "band" : "shopper")} ${may("clerk") ? _("unknown band") : _("taken")} ${time}</span>`;
}

function buttons({ read_point: name, session, training, desk }) {
  const path = `/api/read-points/${encodeURIComponent(name)}`;
  const end = `end ${name}`;
  const train = `train ${name}`;
  return html`
    ${session?.pseudonym && may("clerk") ? html`<button class="small" @click=${() => adopt(session.pseudonym)}>${icon("band")} ${_("Whose band?")}</button>` : nothing}
    ${session && may("clerk") ? html`<button class="small secondary" aria-busy=${working(end)} aria-label=${_("End the session at %(place)s", { place: name })}
      @click=${press(end, () => call("DELETE", `${path}/session`))}>${icon("exit")} ${_("End")}</button>` : nothing}
    ${may("manager") && !desk ? html`<button class="small secondary" aria-busy=${working(train)} aria-pressed=${training !== null} aria-label=${_("Training at %(place)s", { place: name })}
      @click=${press(train, () => rehearse(path, training === null))}>${icon("training")}</button>` : nothing}`;
}

async function rehearse(path, on) {
  const floor = await call("PUT", `${path}/training`, { body: { on } });
  Object.assign(state, { floor: floor.read_points, floorAt: performance.now() });
  tell(on ? _("Training: nothing read here is kept or sent, for 30 minutes at most.") : _("Training has ended."));
}

function feedHead() {
  const paused = state.frozen !== null;
  const fresh = state.fresh > MANY ? `${number(MANY)}+` : number(state.fresh);
  return html`<div class="head">
    <h2 id="feed">${_("What happens")}</h2>
    ${paused ? html`<span class="tone warn" role="status">${_("%(n)s new", { n: fresh })}</span>` : nothing}
    <label class="filter"><span class="sr">${_("Read point")}</span>
      <select @input=${(event) => { state.filter = event.target.value; changed(); }}>
        <option value="" ?selected=${state.filter === ""}>${_("All read points")}</option>
        ${state.floor.map(({ read_point: name }) => html`<option value=${name} ?selected=${state.filter === name}>${name}</option>`)}
      </select></label>
    <button class="secondary" aria-pressed=${paused} @click=${pause}>${icon(paused ? "play" : "pause")} ${paused ? _("Go on") : _("Pause")}</button>
  </div>`;
}

function pause() {
  Object.assign(state, { frozen: state.frozen ? null : [...state.rows], fresh: 0 });
  changed();
}

function feed() {
  const all = state.frozen ?? state.rows;
  const rows = state.filter ? all.filter((row) => row.read_point === state.filter) : all;
  if (!rows.length) return html`<p class="quiet">${_("Nothing yet. Taps and scans come here as they happen.")}</p>`;
  return html`<ol class="rows scroll" tabindex="0" aria-labelledby="feed">
    ${repeat(rows, (row) => row.key, (row) => html`<li data-row=${row.id} data-kind=${row.kind}>${guard([row, language()], () => line(row))}</li>`)}
  </ol>`;
}

function line(row) {
  const [sign, words] = told(row);
  const inside = html`${icon(sign)}<time datetime=${row.time}>${clock(row.time)}</time>
    <span class="words">${row.training ? html`<em>${_("Training")}</em> ` : nothing}${words}</span><span class="place">${row.read_point ?? ""}</span>`;
  return row.customer && may("clerk")
    ? html`<a href=${link(row.customer)}>${inside}</a>`
    : html`<div>${inside}</div>`;
}
