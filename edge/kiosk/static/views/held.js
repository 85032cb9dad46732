/** What the store holds on a shopper and on which consent; export and erasure. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { destroy, press, working } from "../act.js";
import { call } from "../api.js";
import { moment } from "../format.js";
import { _, n_ } from "../i18n.js";
import { icon } from "../icons.js";
import { path } from "../shoppers.js";
import { may } from "../state.js";
import { consent } from "../words.js";

export function held(shopper) {
  const { rows, oldest } = shopper.held;
  const name = shopper.display ?? shopper.id;
  return html`<section aria-labelledby="held"><h2 id="held">${_("What the store holds")}</h2>
    <p>${_("Agreed to:")}</p>
    ${shopper.consents.length ? html`<ul class="plain">${shopper.consents.map((each) => html`<li>${icon("ok")} ${consent(each)}</li>`)}</ul>` : html`<p>${icon("close")} ${_("nothing")}</p>`}
    <p>${_("Kept here: name, language, bands, and %(records)s from the last day. The export has everything.", { records: n_("%(n)s record", "%(n)s records", rows) })}
      ${oldest ? _("The oldest of these is from %(time)s.", { time: moment(oldest) }) : nothing}</p>
    ${may("manager")
      ? html`<div class="buttons">
          <button class="small secondary" aria-busy=${working("export")} @click=${press("export", () => save(shopper.id))}>${icon("save")} ${_("Export")}</button>
          <button class="small danger" aria-busy=${working("erase")} @click=${destroy("erase",
            { title: _("Erase all about %(name)s?", { name }), text: _("In 10 seconds name, bands and records are erased in this store. Afterwards nobody can bring them back."), yes: _("Erase") },
            "DELETE", path(shopper.id))}>${icon("trash")} ${_("Erase")}</button></div>`
      : nothing}
  </section>`;
}

async function save(id) {
  const all = await call("GET", `${path(id)}/export`);
  const url = URL.createObjectURL(new Blob([JSON.stringify(all, null, 2)], { type: "application/json" }));
  const link = Object.assign(document.createElement("a"), { href: url, download: `${id}.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
