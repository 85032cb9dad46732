/** What the page asks the gateway. The routes are those of `openapi.yaml`. */

import { changed, state } from "./state.js";

/** An answer that is none: `code` is what `problems.js` has words for. */
export class Problem extends Error {
  constructor(code, status = 0, body = {}) {
    super(body.title ?? code);
    this.code = code;
    this.status = status;
    this.detail = body.detail ?? "";
    this.wait = body.wait_seconds ?? 0;
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {{body?: object, background?: boolean}} [how] `background`: nobody touched anything; the idle lock goes on
 * @returns {Promise<?object>} the answer's JSON, null if it has none
 * @throws {Problem}
 */
export async function call(method, path, how = {}) {
  const who = name();
  try {
    return await once(method, path, how);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.code === "csrf") {
      await session();
      if (who !== name()) throw problem; // it would be done in another's name
      return once(method, path, how);
    }
    if (problem.status === 401 && state.session?.person) await session();
    throw problem;
  }
}

const name = () => state.session?.person?.name;

let turn = 0;

/** Somebody came or went: who is named by an answer that is still under way is not here. */
export function turned() {
  turn += 1;
}

/** Asks who is logged in and keeps the answer. */
export async function session(background = true) {
  const asked = turn;
  const answer = await once("GET", "/api/session", { background });
  if (asked !== turn) return;
  if (state.locked) answer.person = null;
  state.session = answer;
  changed();
}

const PATIENCE = { background: 3000, touched: 10000 };

async function once(method, path, { body, background }) {
  const headers = {};
  if (method !== "GET") headers["X-CSRF-Token"] = state.session?.csrf ?? "";
  if (body) headers["Content-Type"] = "application/json";
  if (background) headers["X-Idle"] = "1";
  let answer, text;
  try {
    const signal = AbortSignal.timeout(background ? PATIENCE.background : PATIENCE.touched);
    answer = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store", signal });
    text = await answer.text();
  } catch {
    throw new Problem("unreachable");
  }
  const json = parsed(text);
  if (!answer.ok) throw new Problem(json?.code ?? "unreachable", answer.status, json ?? {});
  return json;
}

function parsed(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}
