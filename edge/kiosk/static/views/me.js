/** The person's own PIN. */

import { html } from "../vendor/lit-html/lit-html.js";
import { press, tell, working } from "../act.js";
import { call } from "../api.js";
import { _ } from "../i18n.js";
import { icon } from "../icons.js";
import { state } from "../state.js";
import { ROLE } from "../words.js";

export const title = () => _("My PIN");

export function view() {
  const { name, role } = state.session.person;
  return html`<div class="head"><h1 tabindex="-1">${title()}</h1><span class="tone">${icon("shopper")} ${name}, ${ROLE[role]()}</span></div>
    <form class="narrow" @submit=${press("secret", save)}>
      <input type="hidden" name="username" autocomplete="username" .value=${name}>
      <label>${_("Current PIN or password")}<input name="secret" type="password" autocomplete="current-password" required></label>
      <label>${_("New PIN (4 digits or more) or password (8 characters or more)")}<input name="fresh" type="password" minlength="4" autocomplete="new-password" required></label>
      <button aria-busy=${working("secret")}>${icon("ok")} ${_("Save")}</button></form>`;
}

async function save(event) {
  const form = event.target;
  await call("PUT", "/api/session/secret", { body: { secret: form.elements.secret.value, new: form.elements.fresh.value } });
  form.reset();
  tell(_("The new PIN is valid from now on."));
}
