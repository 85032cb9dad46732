/** What must be seen on every page: a dead stream, no network, no readings, what just happened, what can be undone. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { quiet, undo, working } from "../act.js";
import { moment, span } from "../format.js";
import { _, n_ } from "../i18n.js";
import { icon } from "../icons.js";
import { left, may, state } from "../state.js";
import { INTENT, seconds } from "../words.js";

export function banners() {
  const { link, status } = state;
  return html`<section class="banners" aria-label=${_("State of the store")}>
    <div role="status">${link === "dead" ? dead() : status && !status.online ? offline(status) : nothing}</div>
    <div role="alert">${link !== "dead" && status?.trouble ? trouble(status.trouble) : nothing}</div>
  </section>`;
}

const dead = () => html`<p class="banner bad" data-banner="dead">
  ${icon("dead")}<span><strong>${_("This page is not up to date.")}</strong>
  ${state.heardAt ? _("Nothing has come from the gateway since %(time)s.", { time: moment(state.heardAt) }) : _("The gateway does not answer.")}
  ${_("It goes on by itself.")}</span>
</p>`;

const offline = ({ queued, oldest_seconds: oldest }) => html`<p class="banner warn" data-banner="offline">
  ${icon("offline")}<span><strong>${_("Offline.")}</strong> ${_("Taps and scans are saved here.")}
  ${n_("%(n)s waits to be sent", "%(n)s wait to be sent", queued)}${oldest === null ? "" : `, ${_("the oldest for %(time)s", { time: span(oldest) })}`}.</span>
</p>`;

const trouble = (reason) => html`<p class="banner bad" data-banner="trouble">
  ${icon("bad")}<span><strong>${_("No taps or scans can be taken now.")}</strong> ${reason}.
  ${_("All that was saved is still there.")} ${_("Look at the devices, or call support.")}</span>
</p>`;

/** What just happened. Errors stay until they are put away. */
export function notice() {
  const told = state.notice;
  return html`<div class="notice" role=${told?.tone === "bad" ? "alert" : "status"}>${told
    ? html`<div class="banner ${told.tone}" data-desk=${told.desk || nothing}>
        ${icon(told.tone === "none" ? "info" : told.tone)}
        <p><strong>${told.happened}</strong> ${told.safe ?? ""} ${told.todo ?? ""}</p>
        <button class="plain" aria-label=${_("Dismiss")} @click=${quiet}>${icon("close")}</button>
      </div>`
    : nothing}</div>`;
}

/** What is about to be done, with the seconds left to take it back. */
export function undoBar() {
  if (!may("clerk")) return nothing;
  const waiting = state.intents.filter((intent) => left(intent.left_seconds, state.intentsAt) > 0);
  return html`<section class="undo" aria-label=${_("Can still be undone")} ?hidden=${!waiting.length}>
    ${repeat(waiting, (intent) => intent.id, bar)}
  </section>`;
}

const bar = (intent) => html`<div class="banner warn" data-intent=${intent.id}>
  ${icon("wait")}
  <p><span role="status">${INTENT[intent.action]?.(intent) ?? intent.action}</span>
    <strong class="count">${seconds(left(intent.left_seconds, state.intentsAt))}</strong></p>
  <button aria-busy=${working(`undo ${intent.id}`)} @click=${undo(intent)}>${icon("undo")} ${_("Undo")}</button>
</div>`;
