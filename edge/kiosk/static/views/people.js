/** People who may log in: added, given another role or PIN, removed. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { destroy, press, tell, working } from "../act.js";
import { call, Problem } from "../api.js";
import { _ } from "../i18n.js";
import { icon } from "../icons.js";
import { changed } from "../state.js";
import { ROLE } from "../words.js";

let people = [];
let edited = null;

export const title = () => _("People");

export const enter = () => load(false);
export const refresh = () => load(true);
export const every = 15000;

async function load(background) {
  people = (await call("GET", "/api/people", { background })).people;
  changed();
}

export function leave() {
  edited = null;
}

const path = (name) => `/api/people/${encodeURIComponent(name)}`;

function edit(person) {
  edited = person;
  changed();
}

export function view() {
  return html`<div class="head"><h1 tabindex="-1">${title()}</h1>
      <button @click=${() => edit({ name: "", role: "clerk" })}>${icon("plus")} ${_("Add a person")}</button></div>
    <div class="scroll" tabindex="0" role="group" aria-label=${title()}>
    ${edited ? form() : nothing}
    <ul class="lines">${repeat(people, ({ name }) => name, line)}</ul>
    <p class="quiet">${_("A viewer sees the store but no shopper. A clerk helps shoppers. A manager does the rest.")}</p></div>`;
}

const line = (person) => html`<li data-person=${person.name}>
  <span class="words">${icon("shopper")} <strong>${person.name}</strong> <small>${ROLE[person.role]()}</small></span>
  <div class="buttons"><button class="small secondary" aria-label=${_("Role, PIN: %(name)s", { name: person.name })} @click=${() => edit(person)}>${icon("lock")} ${_("Role, PIN")}</button>
    <button class="small danger" aria-label=${_("Remove person: %(name)s", { name: person.name })} aria-busy=${working(`dismiss ${person.name}`)} @click=${destroy(`dismiss ${person.name}`,
      { title: _("Remove %(name)s?", { name: person.name }), text: _("In 10 seconds this person cannot log in any more."), yes: _("Remove person") }, "DELETE", path(person.name))}>
      ${icon("trash")} ${_("Remove person")}</button></div></li>`;

function form() {
  const fresh = !edited.name;
  return html`<form class="card" @submit=${press("person", save)}>
    <h2>${fresh ? _("Add a person") : _("Change: %(name)s", { name: edited.name })}</h2>
    <div class="fields">
    ${fresh ? html`<label>${_("Name: small letters, digits, -")}<input name="name" required pattern="[a-z0-9\\-]{1,32}" autocapitalize="none" autocomplete="off"></label>` : nothing}
    <label>${_("Role")}<select name="role">${Object.entries(ROLE).map(([role, words]) => html`<option value=${role} ?selected=${role === edited.role}>${words()}</option>`)}</select></label>
    <label>${fresh ? _("PIN or password") : _("New PIN or password (empty: as it was)")}<input name="secret" type="password" minlength="4" autocomplete="new-password" ?required=${fresh}></label></div>
    <div class="buttons"><button class="small" aria-busy=${working("person")}>${icon("ok")} ${_("Save")}</button>
      <button type="button" class="small secondary" @click=${() => edit(null)}>${_("Cancel")}</button></div></form>`;
}

async function save(event) {
  const { name, role, secret } = event.target.elements;
  await call("PUT", path(name?.value ?? edited.name), { body: { role: role.value, ...(secret.value ? { secret: secret.value } : {}) } });
  edited = null;
  tell(_("Saved."));
  await refresh().catch((problem) => { // who changed their own PIN is logged out
    if (!(problem instanceof Problem)) throw problem;
  });
}
