/** Numbers, money and times as the person's language writes them, in the store's time zone. */

import { _, formatter, language, number } from "./i18n.js";
import { state } from "./state.js";

/** @param {?{amount: string, currency: string}} price */
export function money(price) {
  if (!price) return "";
  if (!/^[A-Z]{3}$/.test(price.currency)) return `${price.amount} ${price.currency}`;
  return formatter(Intl.NumberFormat, { style: "currency", currency: price.currency }).format(price.amount);
}

const zone = () => state.session?.timezone || "UTC";

/** The time of day of an RFC 3339 text. */
export function clock(text) {
  const parts = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: zone() };
  return formatter(Intl.DateTimeFormat, parts).format(new Date(text));
}

/** Date and time of an RFC 3339 text, or of milliseconds since 1970. */
export function moment(when) {
  const parts = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: zone() };
  return formatter(Intl.DateTimeFormat, parts).format(new Date(when));
}

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** "3 minutes", of seconds. */
export function span(seconds) {
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? UNITS.at(-1);
  return formatter(Intl.NumberFormat, { style: "unit", unit, unitDisplay: "long" }).format(Math.floor(seconds / size));
}

/** "3 minutes ago", of seconds. */
export function ago(seconds) {
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? UNITS.at(-1);
  return formatter(Intl.RelativeTimeFormat, { numeric: "auto" }).format(-Math.floor(seconds / size), unit);
}

/** Decimal bytes: "1.2 GB". */
export function bytes(value) {
  const [unit, size] = [["gigabyte", 1e9], ["megabyte", 1e6], ["kilobyte", 1e3]].find(([, s]) => value >= s) ?? ["byte", 1];
  const shape = { style: "unit", unit, maximumFractionDigits: 1 };
  return formatter(Intl.NumberFormat, shape).format(value / size);
}

/** A product's name in the person's language, else any: `{text, lang}`. */
export function named(names) {
  const order = [language(), "", ...Object.keys(names)];
  const key = order.find((lang) => names[lang]);
  return key === undefined ? { text: _("No name"), lang: language() } : { text: names[key], lang: key || language() };
}

/** What the platform gave, in whatever form: a number, a text, or an object of these. */
export function given(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return number(value);
  if (Array.isArray(value)) return value.map(given).join(", ");
  if (typeof value === "object") return Object.entries(value).map(([key, each]) => `${key}: ${given(each)}`).join(", ");
  return String(value);
}
