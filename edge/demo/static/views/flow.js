/** What the gateway holds: for a tap that has not come, for the phones, for the platform. A dot for each, up to a row. */

import { html } from "../vendor/lit-html/lit-html.js";
import { _, number } from "../i18n.js";
import { icon } from "../icons.js";
import { state } from "../state.js";

const ROW = 24;

export function flow() {
  const { state: how = "off", held = 0, apps = 0, platform = 0 } = state.scene?.gateway ?? {};
  const words = { on: _("on"), off: _("without power"), full: _("full: takes nothing new") }[how];
  return html`<dl class="flow" data-gateway=${how}>
    <div><dt>${icon("devices")} ${_("Gateway")}</dt><dd class="tone ${how === "on" ? "ok" : "bad"}">${words}</dd></div>
    ${queue("held", "tap", _("waits for a tap"), held)}
    ${queue("apps", "phone", _("waits for the phones"), apps)}
    ${queue("platform", "online", _("waits for the platform"), platform)}
  </dl>`;
}

const queue = (name, sign, words, n) => html`<div data-queue=${name} class=${n ? "some" : "none"}><dt>${icon(sign)} ${words}</dt>
  <dd><span class="dots" aria-hidden="true">${Array.from({ length: Math.min(n, ROW) }, () => html`<i></i>`)}</span> ${number(n)}</dd></div>`;
