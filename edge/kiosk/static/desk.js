/** What was read at the desk, by its reader or by a scanner that is a keyboard, opens what it is. */

import { tell } from "./act.js";
import { call } from "./api.js";
import { _ } from "./i18n.js";
import { dismiss } from "./parts/ask.js";
import { adopt, link } from "./shoppers.js";
import { may, state } from "./state.js";
import { wanted } from "./views/bands.js";

/** Opens what was read: a `Desk` of the API. */
export function show(read) {
  dismiss();
  if (wanted(read)) return;
  OPEN[read.kind]?.(read);
}

let asked = 0;

/** A code that a scanner typed: the last one counts. A viewer may look for products only. */
export async function typed(text) {
  const mine = ++asked;
  if (may("clerk")) {
    const read = await call("POST", "/api/desk", { body: { text } });
    if (mine === asked) show(read);
  } else if (state.session?.person) location.hash = `#/products?q=${encodeURIComponent(text)}`;
}

const OPEN = {
  shopper: ({ customer }) => { location.hash = link(customer); },
  band: ({ pseudonym }) => adopt(pseudonym),
  product: ({ gtin }) => { location.hash = `#/products/${gtin}`; },
  missing: ({ gtin }) => {
    tell(_("The catalogue lacks this code: %(gtin)s", { gtin }), { tone: "warn", desk: "missing" });
    location.hash = "#/products/missing";
  },
  unknown: () => tell(_("Nobody knows this code or band."), { tone: "warn", todo: _("Scan again, or search by name."), desk: "unknown" }),
};
