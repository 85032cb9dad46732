/** The staff's page: starts it, finds the page for the address, draws it. */

import { render } from "./vendor/lit-html/lit-html.js";
import { failed, press, quiet } from "./act.js";
import { call, Problem, session, turned } from "./api.js";
import * as desk from "./desk.js";
import { chosen, speak } from "./i18n.js";
import * as live from "./live.js";
import * as lock from "./lock.js";
import { dismiss } from "./parts/ask.js";
import { pageName, PAGES, shell } from "./parts/shell.js";
import { listen } from "./scanner.js";
import * as shoppers from "./shoppers.js";
import { changed, drawWith, may, state } from "./state.js";
import { startTheme } from "./theme.js";
import * as devices from "./views/devices.js";
import * as floor from "./views/floor.js";
import * as login from "./views/login.js";
import * as me from "./views/me.js";
import * as people from "./views/people.js";
import * as products from "./views/products.js";
import * as shopper from "./views/shopper.js";
import * as sync from "./views/sync.js";

const VIEWS = { floor, shopper: { ...shopper, refresh: shoppers.refresh, every: 3000 }, products, sync, devices, people, me };
const SOON = 250;

/** Who is logged in, "" if nobody is. */
let name = "";
let asked = 0;
let pending = 0;
let focused = "";

/** What `work` cannot do is told the person; in the background (`silent`) it is tried again anyway. */
async function trying(work, silent = false) {
  try {
    await work();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (!silent) failed(problem);
  }
}

function draw() {
  const page = pageName();
  const view = VIEWS[page] ?? login;
  document.getElementById("begin")?.remove();
  render(shell(view.view(entered), view.title(), { speak: tongue, logOut }), document.getElementById("app"));
  document.title = `${view.title()} · ${state.session?.store ?? "cartwire"}`;
  focus(page);
}

/** A new page begins at its heading; what can be undone is under the hand at once. */
function focus(page) {
  if (state.undoable) {
    const bar = document.querySelector(`[data-intent="${state.undoable}"] button`);
    state.undoable = null;
    bar?.focus();
    return;
  }
  if (window !== top && !document.hasFocus()) return; // the hand is elsewhere on the page that shows this one
  const place = page + (state.route.id ?? "");
  if (place !== focused) {
    const first = focused === "";
    focused = place;
    const target = page === "login" || page === "setup" ? document.querySelector("main input") : document.querySelector("main h1");
    if (!first || page === "login") target?.focus({ preventScroll: true });
  } else if (document.activeElement === document.body && lostFocus) {
    document.querySelector("main h1")?.focus({ preventScroll: true });
  }
  lostFocus = false;
}

let lostFocus = false;

function route() {
  const [, page, id, query] = /^#\/([a-z]+)(?:\/([^?]+))?(?:\?(.*))?$/.exec(location.hash) ?? [];
  const known = page in VIEWS && may(PAGES[page] ?? "viewer") ? page : "floor";
  VIEWS[state.route.page].leave?.(known);
  state.route = { page: known, id: id ? decodeURIComponent(id) : null, q: new URLSearchParams(query).get("q") };
  asked = performance.now();
  if (state.session?.person) load(state.route);
  changed();
}

/** Fetches what the page at `to` is about; one has gone on to another page meanwhile: that one says when it is there. */
async function load(to) {
  state.loading = true;
  await trying(() => VIEWS[to.page].enter?.(to));
  if (state.route === to) state.loading = false;
  changed();
}

async function tongue(language) {
  await speak(language, true);
  changed();
}

/** Somebody has logged in: on with what the same person did before. */
function entered() {
  turned();
  state.locked = false;
  lock.begin();
  const before = state.resume;
  state.resume = null;
  name = state.session.person.name;
  live.start();
  if (before?.name === name && before.hash !== location.hash) location.hash = before.hash;
  else route();
}

const logOut = press("log out", async () => {
  await call("DELETE", "/api/session");
  await outside();
});

/** Nobody is logged in any more: nothing of the shoppers stays on the page. */
async function outside() {
  turned();
  if (name) state.resume = { name, hash: location.hash };
  name = "";
  dismiss();
  live.stop();
  shoppers.desk.shopper = null;
  if (state.session) state.session.person = null;
  quiet();
  await trying(session, true);
}

/** Tells the gateway that the time is over. */
async function lockUp() {
  try {
    await call("DELETE", "/api/session", { background: true });
  } catch (problem) {
    if (problem.status !== 401) throw problem;
  }
  turned();
  state.locked = false;
  await session();
}

function second() {
  live.watch();
  if (lock.over()) {
    state.locked = true;
    outside();
  }
  if (state.locked) trying(lockUp, true); // until it has heard
  const view = VIEWS[state.route.page];
  if (state.session?.person && view.every && performance.now() - asked > view.every && state.link === "live") again();
  if (!state.session) trying(begin, true);
  else if (name && !state.session.person) outside();
  else if (!name && state.session.person) entered();
  changed();
}

function again() {
  asked = performance.now();
  trying(() => VIEWS[state.route.page].refresh?.(), true);
}

/** A row about the shopper who is shown, and an intent that was done: look again soon. */
function hear(event, data) {
  if (event === "desk") desk.show(data);
  if (event === "locked") outside();
  if (event === "broken") trying(resume, true);
  const concerned = event === "intents" || event === "floor" || (event === "row" && data.customer === state.route.id);
  if (!concerned || !VIEWS[state.route.page].refresh || state.route.page === "sync") return;
  clearTimeout(pending);
  pending = setTimeout(again, SOON);
}

/** After a stream that could not go on: who is logged in is asked, and the stream begins anew. */
async function resume() {
  await trying(session, true);
  if (state.session?.person) live.start();
  else await outside();
}

async function begin() {
  await session();
  await speak(chosen(state.session.language));
  if (state.session.person && !name) entered();
}

startTheme();
drawWith(draw);
lock.watchTouches();
listen((text) => trying(() => desk.typed(text)));
live.follow(hear);
addEventListener("hashchange", route);
addEventListener("focusout", (event) => { lostFocus = !event.relatedTarget; });
setInterval(second, 1000);
changed();
await trying(begin, true);
