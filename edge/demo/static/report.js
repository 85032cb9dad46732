/** What the phones have put into their carts, told the counter in order; again from the same place if no answer came. */

import { post, state } from "./state.js";

const EVERY = 300;
const MANY = 200;
/** Of about 600 bytes each; what two phones tell while the page is closed may have 64 kB. */
const LAST = 40;
const told = new Map();
const telling = new Set();

export function reportAlways() {
  addEventListener("pagehide", () => state.phones.forEach((phone) => tell(phone, true)));
  again();
}

function again() {
  setTimeout(async () => {
    for (const phone of state.phones.values()) await report(phone);
    again();
  }, EVERY);
}

/** Tells what the phone has taken since; while an answer is awaited nothing more. */
export async function report(phone) {
  if (telling.has(phone)) return;
  telling.add(phone);
  while (await tell(phone));
  telling.delete(phone);
}

/** Returns whether something was told. `leaving`: the page is closed, and the answer is nobody's any more. */
async function tell(phone, leaving = false) {
  const before = Math.max(told.get(phone) ?? 0, leaving ? phone.taken.length - LAST : 0);
  const took = phone.taken.slice(before, before + MANY).map((item) => item.event);
  if (!took.length) return false;
  const window = `${phone.id} ${performance.timeOrigin}`;
  const answered = await post(`/phones/${phone.cart}`, { phone: window, from: before, took }, leaving);
  if (answered) told.set(phone, Math.max(told.get(phone) ?? 0, before + took.length));
  return Boolean(answered);
}
