/** What a touch does: once, with its errors told; and what destroys asks first and can be undone for 10 s. */

import { call, Problem } from "./api.js";
import { _ } from "./i18n.js";
import { ask } from "./parts/ask.js";
import { sentences } from "./problems.js";
import { changed, state } from "./state.js";

const busy = new Set();
const SHOWN = 6000;
let fading = 0;

/** Whether what `key` names is under way. */
export const working = (key) => busy.has(key);

/** A handler that runs `work` once, however often it is touched; `key` names what is done. */
export function press(key, work) {
  return async (event) => {
    event?.preventDefault();
    if (busy.has(key) || event?.detail > 1) return;
    busy.add(key);
    changed();
    try {
      await work(event);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      failed(problem);
    } finally {
      busy.delete(key);
      changed();
    }
  };
}

/** Tells what happened, what is safe, what to do; it stays until it is put away. */
export function failed(problem) {
  clearTimeout(fading);
  const [happened, safe, todo] = sentences(problem);
  state.notice = { tone: "bad", happened, safe, todo };
  changed();
}

/** Tells something good or neutral, for six seconds; `desk`: what was read at the desk. Who has gone is told nothing. */
export function tell(happened, { tone = "ok", todo = "", desk = "" } = {}) {
  if (!state.session?.person) return;
  clearTimeout(fading);
  state.notice = { tone, happened, todo, desk };
  fading = setTimeout(quiet, SHOWN);
  changed();
}

export function quiet() {
  state.notice = null;
  changed();
}

/** A handler that asks, then has it done in 10 s. `question`: `{title, text, yes}`. */
export function destroy(key, question, method, path, body) {
  return press(key, async () => {
    if (!(await ask(question))) return;
    const intent = await call(method, path, { body });
    state.intents = [intent, ...state.intents.filter((known) => known.id !== intent.id)];
    state.intentsAt = performance.now();
    state.undoable = intent.id;
  });
}

/** Takes back what waits. */
export const undo = (intent) =>
  press(`undo ${intent.id}`, async () => {
    try {
      await call("DELETE", `/api/intents/${intent.id}`);
    } catch (problem) {
      throw problem.code === "not-found" ? new Problem("too-late") : problem;
    }
    state.intents = state.intents.filter((known) => known.id !== intent.id);
    tell(_("Taken back: nothing was done."));
  });
