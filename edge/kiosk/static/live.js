/** The stream of what happens. A stream that says nothing for 6 s is dead, and the page says so. */

import { changed, state } from "./state.js";

const ROWS = 500;
const DEAD = 6000;
const AGAIN = 500;
const LOST = 8000;
const ANEW = 5000;
const STALL = 2000;

let source = null;
let opened = 0;
let retry = 0;
let rehearsed = 0;
let looked = performance.now();
let stalled = false;
const followers = new Set();

/** Calls `hear(event, data)` at each `row`, `floor`, `intents`, `desk`, `locked` from now on. */
export function follow(hear) {
  followers.add(hear);
}

export function start() {
  if (source) return;
  opened = performance.now();
  source = new EventSource("/api/events");
  for (const [name, take] of Object.entries(TAKE)) source.addEventListener(name, (event) => heard(name, take, event));
  source.onerror = () => {
    state.link = state.heard ? "dead" : "connecting";
    if (source?.readyState === EventSource.CLOSED) again();
    changed();
  };
}

export function stop() {
  clearTimeout(retry);
  source?.close();
  source = null;
  Object.assign(state, { link: "connecting", heard: 0, rows: [], frozen: null, fresh: 0, floor: [], cues: {}, status: null, intents: [] });
}

function again() {
  source?.close();
  source = null;
  clearTimeout(retry);
  retry = setTimeout(() => tell("broken", {}), AGAIN);
}

/** Looks whether the stream is alive; once a second. After 8 s of silence a new one is opened, every 5 s. */
export function watch() {
  const now = performance.now();
  stalled = !stalled && now - looked > STALL; // what came meanwhile is still to be heard
  looked = now;
  if (!source || stalled) return;
  const silent = now - Math.max(state.heard, opened);
  if (silent > DEAD && state.link !== "dead") state.link = "dead";
  if (silent > LOST && now - opened > ANEW) again();
}

function heard(name, take, event) {
  state.link = "live";
  state.heard = performance.now();
  state.heardAt = Date.now();
  const data = JSON.parse(event.data || "{}");
  take(data, event);
  tell(name, data);
  changed();
}

function tell(name, data) {
  for (const hear of followers) hear(name, data);
}

function keep(row, event) {
  if (row.kind === "cart.item_confirmed") {
    const { customer, display, gtin, product, price } = state.rows.find((known) => known.id === row.event) ?? {};
    Object.assign(row, { customer, display, gtin, product, price });
  }
  row.key = row.seq === null ? `training-${++rehearsed}` : event.lastEventId;
  if (state.rows.some((known) => known.key === row.key)) return;
  state.rows.unshift(row);
  state.rows.length = Math.min(state.rows.length, ROWS);
  if (state.frozen) state.fresh += 1;
}

const TAKE = {
  reset: () => { state.rows = []; },
  row: keep,
  floor: (data) => Object.assign(state, { floor: data.read_points, floorAt: performance.now() }),
  status: (data) => { state.status = data; },
  intents: (data) => Object.assign(state, { intents: data.intents, intentsAt: performance.now() }),
  desk: () => {},
  cue: ({ read_point: place, outcome }) => { state.cues[place] = { outcome, at: performance.now() }; },
  locked: () => {},
};
