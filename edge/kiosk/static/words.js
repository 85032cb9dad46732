/** Rows of the feed, states and devices in the words that staff use. */

import { money } from "./format.js";
import { _, n_, number } from "./i18n.js";

const who = (row) => row.display ?? row.customer ?? _("A shopper");
const what = (row) => row.product ?? row.gtin ?? _("Something");
const thing = (row) => (row.price ? `${what(row)}, ${money(row.price)}` : what(row));

const ENDED = {
  timeout: () => _("time was over"),
  replaced: () => _("somebody else tapped"),
  staff: () => _("ended by staff"),
  consent: () => _("consent was taken back"),
};

const OPENED = {
  created: () => _("A new journal was begun"),
  salvaged: () => _("The journal was rescued from a damaged disk"),
  restored: () => _("The journal was restored"),
};

const DONE = {
  push: () => _("had an item pushed again"),
  end: () => _("ended a session"),
  close: () => _("closed the store"),
  retry: () => _("had refused events sent again"),
  drop: () => _("dropped a refused event"),
  pull: () => _("asked the platform for changes"),
  restart: () => _("restarted a device"),
  beep: () => _("tested a beep"),
  train: () => _("switched training on or off"),
  export: () => _("exported a shopper's data"),
  erase: () => _("erased a shopper"),
  take_back: () => _("took something back"),
  person: () => _("added or changed a person"),
  dismiss: () => _("removed a person"),
  secret: () => _("changed the own PIN"),
};

/** Of each kind of row: its sign, and its sentence. */
const ROWS = {
  "customer.identified": (row) => ["tap", row.method === "code" ? _("%(who)s showed a code", { who: who(row) }) : _("%(who)s tapped", { who: who(row) })],
  "tap.unknown": () => ["band", _("A band that nobody knows tapped")],
  "customer.resolved": (row) => ["shopper", _("The unknown band is %(who)s's", { who: who(row) })],
  "cart.item_added": (row) => ["cart", row.staff
    ? _("%(staff)s gave %(who)s: %(thing)s", { staff: row.staff, who: who(row), thing: thing(row) })
    : _("Into %(who)s's cart: %(thing)s", { who: who(row), thing: thing(row) })],
  "cart.item_confirmed": (row) => ["phone", row.product || row.gtin ? _("In %(who)s's app: %(thing)s", { who: who(row), thing: what(row) }) : _("%(who)s's app has got it", { who: who(row) })],
  "cart.item_removed": (row) => ["undo", _("%(staff)s took out of %(who)s's cart: %(thing)s", { staff: row.staff ?? _("Staff"), who: who(row), thing: what(row) })],
  "scan.unclaimed": (row) => ["scan", _("Nobody claimed: %(thing)s", { thing: thing(row) })],
  "inside.scan_held": (row) => ["wait", _("Scanned, waits for a tap: %(thing)s", { thing: thing(row) })],
  "inside.session_extended": (row) => ["tap", _("%(who)s tapped again", { who: who(row) })],
  "session.ended": (row) => ["exit", _("%(who)s's session ended: %(why)s", { who: who(row), why: ENDED[row.reason]?.() ?? row.reason })],
  "presence.entered": (row) => ["shopper", _("%(who)s came in", { who: who(row) })],
  "presence.left": (row) => ["exit", _("%(who)s left after %(time)s", { who: who(row), time: n_("%(n)s minute", "%(n)s minutes", Math.round((row.dwell_seconds ?? 0) / 60)) })],
  "band.bound": (row) => ["band", _("%(staff)s gave %(who)s a band", { staff: row.staff ?? _("Staff"), who: who(row) })],
  "band.unbound": (row) => ["band", _("%(staff)s took a band from %(who)s", { staff: row.staff ?? _("Staff"), who: who(row) })],
  "customer.erased": () => ["trash", _("A shopper's data was erased")],
  "device.lost": (row) => ["bad", _("%(device)s does not work: %(why)s", { device: row.driver, why: row.reason ?? "" })],
  "device.recovered": (row) => ["ok", _("%(device)s works again", { device: row.driver })],
  "clock.adjusted": () => ["wait", _("The clock was set right")],
  "journal.opened": (row) => ["info", OPENED[row.reason]?.() ?? _("A journal was opened")],
  "inside.staff": (row) => ["people", _("%(staff)s %(did)s", { staff: row.staff ?? _("Staff"), did: DONE[row.action]?.() ?? row.action ?? "" })],
};

/** @returns {[string, string]} sign and sentence of a `Row` */
export const told = (row) => ROWS[row.kind]?.(row) ?? ["info", row.kind];

/** Of an item's state: sign, tone, words. */
export const ITEM = {
  saved: () => ["save", "warn", _("saved here")],
  pushed: () => ["push", "warn", _("pushed")],
  confirmed: () => ["phone", "ok", _("in the app")],
  refused: () => ["bad", "bad", _("refused")],
  expired: () => ["wait", "bad", _("too old to push")],
  removed: () => ["undo", "none", _("taken out")],
};

/** What waits for its 10 s. */
export const INTENT = {
  remove: (intent) => _("Takes out of the cart: %(name)s", { name: intent.name ?? intent.gtin ?? "" }),
  unbind: (intent) => _("Unbinds a band of %(name)s", { name: intent.name ?? intent.customer ?? "" }),
  erase: (intent) => _("Erases all about %(name)s", { name: intent.name ?? intent.customer ?? "" }),
  close: () => _("Closes the store: ends all sessions"),
  drop: () => _("Drops refused events"),
  dismiss: (intent) => _("Removes %(name)s from the people", { name: intent.name ?? "" }),
};

const STATES = {
  ok: () => _("works"),
  lost: () => _("lost"),
  done: () => _("finished"),
  connecting: () => _("connecting"),
  unavailable: () => _("not reached"),
  refused: () => _("refused"),
  full: () => _("full"),
  stopped: () => _("stopped"),
  low: () => _("running low"),
  unsynchronised: () => _("not set by the network"),
};

/** A state in words; one that is new to the page as it is. */
export const condition = (state) => STATES[state]?.() ?? state;

const KINDS = {
  broker: () => _("Cart broker"),
  platform: () => _("Central platform"),
  disk: () => _("Disk"),
  clock: () => _("Clock"),
  cart: () => _("Shoppers' carts"),
  nfc: () => _("Band reader"),
  camera: () => _("Camera"),
  hid: () => _("Scanner"),
  serialport: () => _("Scanner"),
  ble: () => _("Beacon receiver"),
  replay: () => _("Recorded day"),
};

/** What a device or sink is called: `nfc@till-1` is the band reader at till-1. */
export function called(name) {
  const [kind, place] = name.split("@");
  const words = KINDS[kind]?.() ?? kind;
  return place ? _("%(device)s at %(place)s", { device: words, place }) : words;
}

const ADVICE = {
  nfc: () => _("Pull the reader's cable out and put it in again. Then press Restart."),
  camera: () => _("Check the camera's cable and wipe its glass. Then press Restart."),
  hid: () => _("Check the scanner's cable or battery. Then press Restart."),
  serialport: () => _("Check the scanner's cable or battery. Then press Restart."),
  ble: () => _("Check that Bluetooth is on. Then press Restart."),
  replay: () => _("Check the recorded file. Then press Restart."),
  broker: () => _("Check the network cable and the router. Taps and scans are saved here meanwhile."),
  platform: () => _("Check the network cable and the router. Taps and scans are saved here meanwhile."),
  disk: () => _("Connect the store to the network so that what is saved can be sent. If it gets no better, call support."),
  clock: () => _("Connect the store to the network. Times are set right afterwards."),
  refused: () => _("Call support: the other side does not accept this store's password or data. All is kept here."),
};

/** What to do about a device that is not ok. */
export function advice({ name, kind, state }) {
  const key = state === "refused" && kind !== "disk" ? "refused" : kind === "driver" ? name.split("@")[0] : kind;
  return ADVICE[key]?.() ?? _("Press Restart. If it gets no better, call support.");
}

/** A level's sign and words. */
export const LEVEL = { ok: () => ["ok", _("OK")], warn: () => ["warn", _("Look at it")], bad: () => ["bad", _("Not working")] };

const CONSENTS = {
  cart: () => _("Cart: scans go into the shopper's cart in the app."),
  presence: () => _("Presence: the store notes when the shopper comes into a zone and leaves it."),
  personalisation: () => _("Personalisation: the platform may use what happened for suggestions."),
};

export const consent = (name) => CONSENTS[name]?.() ?? name;

export const ROLE = { viewer: () => _("viewer"), clerk: () => _("clerk"), manager: () => _("manager") };

export const seconds = (n) => _("%(n)s s", { n: number(n) });
