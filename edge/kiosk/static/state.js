/** The one state of the page. Who changes it says `changed()`; the page is drawn ten times a second at most. */

const EVERY = 100;

export const state = {
  /** @type {?object} `Session` of the API */ session: null,
  /** The time was over, and the gateway has not heard of it yet: whoever it says is logged in is not. */ locked: false,
  route: { page: "floor", id: null },
  /** Whether what this page is about is still being fetched. */ loading: false,
  /** @type {"connecting" | "live" | "dead"} */ link: "connecting",
  /** When something last came: milliseconds of `performance.now()`, and of the clock. */ heard: 0,
  heardAt: 0,
  /** Newest first, 500 at most. */ rows: [],
  /** While paused: the rows as they were, and how many came since. */ frozen: null,
  fresh: 0,
  filter: "",
  floor: [],
  floorAt: 0,
  /** By read point: what a shopper was told there last, `{outcome, at}`. */ cues: {},
  /** @type {?object} `Status` of the API */ status: null,
  intents: [],
  intentsAt: 0,
  /** @type {?object} what is told the person at the top of the page */ notice: null,
  /** Where to go on after a new log-in: `{name, hash}`. */ resume: null,
};

let draw = () => {};
let waiting = false;
let drawn = 0;

export function drawWith(painter) {
  draw = painter;
}

export function changed() {
  if (waiting) return;
  waiting = true;
  setTimeout(() => requestAnimationFrame(paint), Math.max(0, drawn + EVERY - performance.now()));
}

function paint() {
  waiting = false;
  drawn = performance.now();
  draw();
}

const ROLES = ["viewer", "clerk", "manager"];

/** Whether who is logged in may do what takes the role `least`. */
export function may(least) {
  const person = state.session?.person;
  return Boolean(person) && ROLES.indexOf(person.role) >= ROLES.indexOf(least);
}

/** Seconds left now of `seconds` that were left at `at` (milliseconds of `performance.now()`). */
export function left(seconds, at) {
  return Math.max(0, Math.ceil(seconds - (performance.now() - at) / 1000));
}
