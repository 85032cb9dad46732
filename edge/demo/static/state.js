/** What the page shows, in one place; the picture of the store comes by Server-Sent Events. */

export const state = {
  /** What never changes: shoppers, products, read points. */ store: null,
  /** What the store looks like now, see `scene.py`. */ scene: null,
  /** Whether the pictures come. */ live: false,
  /** @type {Map<string, import("./phone.js").Phone>} by cart */ phones: new Map(),
  /** Who the visitor is. */ who: "",
  /** What the visitor was just told. */ notice: null,
  /** What the visitor held up last, and where: `customer`, `at`. */ held: null,
  /** How many readings the gateway had refused before the visitor's last one. */ refused: Infinity,
  /** A link for another device. */ link: "",
  camera: false,
};

/** Milliseconds until a new try. */
const AGAIN = 3000;

let draw = () => {};
let waiting = false;

export function drawWith(painter) {
  draw = painter;
}

export function changed() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
  });
}

/** Listens; `opened` is called with what never changes, at each new connection. */
export function listen(opened) {
  const source = new EventSource("/events");
  source.addEventListener("store", ({ data }) => {
    const store = JSON.parse(data);
    if (state.store && state.store.run !== store.run) return location.reload(); // another demo: other carts
    state.store = store;
    opened();
    changed();
  });
  source.addEventListener("scene", ({ data }) => {
    state.scene = JSON.parse(data);
    state.live = true;
    changed();
  });
  source.onerror = () => {
    state.live = false;
    changed();
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(opened), AGAIN); // refused: another demo asks for a link
  };
}

let under = 0;
let acted = null;

/**
 * Does what the visitor did, one after the other: a scan does not overtake the tap before it. What waits for one that
 * does not get through is not done either. As `post`.
 */
export function act(what) {
  const before = under ? acted : Promise.resolve(true);
  under += 1;
  acted = before.then((well) => well && post("/acts", what)).finally(() => { under -= 1; });
  return acted;
}

/** `keepalive`: also if the page is closed. @returns {Promise<?object>} the answer's JSON; null if there is none */
export async function post(path, body, keepalive = false) {
  try {
    const how = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), keepalive };
    const answer = await fetch(path, { ...how, signal: AbortSignal.timeout(10000) });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

export const shopper = (customer) => state.store.shoppers.find((each) => each.customer === customer);
export const placeOf = (customer) => state.scene?.place[customer] ?? "door";
