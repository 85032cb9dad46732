/** What the page says of shoppers, products, places and events. */

import { _, formatter, language } from "./i18n.js";
import { shopper, state } from "./state.js";

const PLACES = {
  "table-1": () => _("Table"),
  "fitting-room": () => _("Fitting room"),
  "till-1": () => _("Till"),
  door: () => _("Door"),
};

export const place = (name) => PLACES[name]?.() ?? name;

/** A customer's name; of one without a phone here the id. */
export const called = (customer) => shopper(customer)?.name[language()] ?? customer;

/** A product in the page's language, by its GTIN; else as the event has it. */
export function product(gtin, given) {
  const known = state.store.products.find((each) => each.gtin === gtin);
  return known?.name[language()] ?? given?.name ?? gtin;
}

export function money(price) {
  if (!price) return "";
  return formatter(Intl.NumberFormat, { style: "currency", currency: price.currency, currencyDisplay: "narrowSymbol" }).format(price.amount);
}

/** In the store's time zone. */
export const time = (text) =>
  formatter(Intl.DateTimeFormat, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: state.store.timezone }).format(new Date(text));

const REASONS = {
  timeout: () => _("it timed out"),
  replaced: () => _("another card"),
  staff: () => _("staff ended it"),
  consent: () => _("no consent"),
};

const EVENTS = {
  "customer.identified": ({ who, where }) => _("%(who)s tapped at: %(where)s", { who, where }),
  "tap.unknown": ({ where }) => _("An unknown band at: %(where)s", { where }),
  "customer.resolved": ({ who }) => _("The unknown band is: %(who)s", { who }),
  "cart.item_added": ({ who, what }) => _("%(what)s for %(who)s", { who, what }),
  "cart.item_confirmed": () => _("The app has it"),
  "cart.item_removed": ({ who, what }) => _("%(what)s taken out for %(who)s", { who, what }),
  "scan.unclaimed": ({ what }) => _("Nobody's scan: %(what)s", { what }),
  "session.ended": ({ where, why }) => _("Session ended at %(where)s: %(why)s", { where, why }),
  "presence.entered": ({ who }) => _("%(who)s came in", { who }),
  "presence.left": ({ who }) => _("%(who)s left", { who }),
  "customer.erased": () => _("A customer's data was erased"),
  "journal.opened": () => _("The journal was opened"),
  "device.lost": () => _("A reader is out of order"),
  "device.recovered": () => _("A reader works again"),
};

/** An event that the platform has received, in a few words. */
export function told(event) {
  const values = {
    who: called(event.customer) ?? _("somebody"),
    where: place(event.read_point),
    what: product(event.gtin, event.product),
    why: REASONS[event.reason]?.() ?? "",
  };
  return EVENTS[event.type]?.(values) ?? event.type;
}
