/** A shopper's app, written from the contract: an MQTT client of its own that stores, then acknowledges. */

import mqtt from "./vendor/mqtt/mqtt.esm.js";
import { open } from "./shelf.js";

const SOURCE = /^\/stores\/([a-z0-9-]{1,32})\/gateways\/([a-z0-9-]{1,32})$/;
/** Milliseconds until a broker that refused is asked again. */
const REFUSED = 1000;
const TYPES = ["cartwire.cart.item_added.v1", "cartwire.cart.item_removed.v1"];

export class Phone {
  /**
   * `changed` is called after each change, `took` when something was taken, before that is acknowledged. `state`: "off",
   * "on", or "elsewhere": another window has this phone.
   */
  constructor(cart, changed, took) {
    this.cart = cart;
    this.changed = changed;
    this.took = took;
    this.state = "off";
    this.repeats = 0;
    this.taken = [];
    this.id = "";
  }

  /** Starts the app of one run of the demo. */
  async start(run) {
    this.shelf = await open(run, this.cart);
    await this.look();
    this.id = `phone-${this.cart}-${device()}`;
    this.windows = new BroadcastChannel(`${run} ${this.cart}`);
    this.windows.onmessage = () => this.rest();
    this.resume();
  }

  /** What is in the cart, the newest first. */
  get items() {
    return this.taken.filter((item) => item.state === "cart").map((item) => item.event).reverse();
  }

  /** Connects; a window that had this phone before lets it go. */
  resume() {
    this.windows.postMessage("mine");
    this.client = mqtt.connect(`${location.origin.replace(/^http/, "ws")}/mqtt`, {
      clientId: this.id,
      clean: false,
      keepalive: 30,
      reconnectPeriod: 1000,
      connectTimeout: 5000,
      protocolVersion: 4,
      resubscribe: false,
      timerVariant: "native",
    });
    this.client.handleMessage = (packet, next) => { this.take(packet).then(() => next(), next); };
    this.client.on("connect", () => this.subscribe(this.client));
    this.client.on("close", () => { if (this.state === "on") this.become("off"); });
    this.client.on("error", () => {});
    this.become("off");
  }

  /** A broker that could not subscribe us says so once, and sends nothing then: so it is asked again. */
  subscribe(client) {
    client.subscribe(`cartwire/v1/carts/${this.cart}/items`, { qos: 1 }, async (error) => {
      await this.look();
      if (client !== this.client || !client.connected || client.disconnecting) return;
      if (error) setTimeout(() => client.connected && this.subscribe(client), REFUSED);
      else this.become("on");
    });
  }

  /** Another window has this phone now: two with one client id would throw each other out for ever. */
  rest() {
    this.client.end(true);
    this.become("elsewhere");
  }

  /** Another window may have taken something meanwhile. */
  async look() {
    this.taken = await this.shelf.items();
  }

  /** A message: stored, then acknowledged, the broker's PUBACK after that. What is none of ours is let by. */
  async take(packet) {
    const event = parsed(packet.payload);
    const [, store, gateway] = SOURCE.exec(event?.source) ?? [];
    if (!gateway || typeof event.id !== "string" || !TYPES.includes(event.type)) return;
    if (await this.shelf.take(event)) await this.look();
    else this.repeats += 1;
    this.took(this);
    this.client.publish(`cartwire/v1/gateways/${store}/${gateway}/acks`, JSON.stringify({ id: event.id }), { qos: 1 });
    this.changed();
  }

  /** Out of the shop with it. */
  async pay() {
    await this.shelf.pay();
    await this.look();
    this.changed();
  }

  become(state) {
    this.state = state;
    this.changed();
  }
}

function parsed(payload) {
  try {
    return JSON.parse(new TextDecoder().decode(payload));
  } catch {
    return null;
  }
}

/** This browser's name for itself. */
function device() {
  const KEPT = "cartwire-demo-device";
  const made = [...crypto.getRandomValues(new Uint8Array(6))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (!localStorage.getItem(KEPT)) localStorage.setItem(KEPT, made);
  return localStorage.getItem(KEPT);
}
