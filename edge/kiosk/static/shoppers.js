/** The shopper who is shown, and the band that is to be given to somebody. */

import { tell } from "./act.js";
import { call, Problem } from "./api.js";
import { _ } from "./i18n.js";
import { changed, state } from "./state.js";

/** `shopper`: as the API gave it at `at` (milliseconds of `performance.now()`); `orphan`: pseudonym of nobody's band. */
export const desk = { shopper: null, at: 0, orphan: null };

let asking = 0;

export const path = (id) => `/api/shoppers/${encodeURIComponent(id)}`;
export const link = (id) => `#/shopper/${encodeURIComponent(id)}`;

/** Shows the shopper as an answer gave them. */
export function take(shopper) {
  Object.assign(desk, { shopper, at: performance.now() });
  changed();
}

/** Asks for the shopper with this id and shows them, unless somebody else is wanted meanwhile. */
export async function load(id, background = false) {
  const turn = ++asking;
  const shopper = await call("GET", path(id), { background });
  if (turn === asking && state.route.id === id) take(shopper);
}

/** Asks anew for the shopper who is shown, though nobody touched anything. */
export async function refresh() {
  const { page, id } = state.route;
  if (page !== "shopper" || !id) return;
  try {
    await load(id, true);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status === 404) location.hash = "#/shopper";
  }
}

/** Somebody is to be found for the band with this pseudonym. */
export function adopt(pseudonym) {
  desk.orphan = pseudonym;
  location.hash = "#/shopper";
  changed();
}

/** Gives the band to the shopper and shows them. */
export async function bind(id, pseudonym) {
  const shopper = await call("POST", `${path(id)}/bands`, { body: { pseudonym } });
  desk.orphan = null;
  location.hash = link(id);
  take(shopper);
  tell(_("The band is %(name)s's now.", { name: shopper.display ?? id }));
}
