/** The idle lock: who has not touched the page for `lock_seconds` is logged out. */

import { Problem, session } from "./api.js";
import { state } from "./state.js";

const TOLD = 60000;
let touched = Date.now();
let told = Date.now();

/** Watches touches and keys from now on; the gateway is told of them once a minute. */
export function watchTouches() {
  for (const kind of ["pointerdown", "keydown", "wheel"]) addEventListener(kind, touch, { capture: true, passive: true });
}

/** Starts the time anew: somebody has logged in. */
export function begin() {
  touched = told = Date.now();
}

/** Whether the time is over. */
export function over() {
  const limit = state.session?.lock_seconds ?? Infinity;
  return Boolean(state.session?.person) && Date.now() - touched > limit * 1000;
}

async function touch() {
  if (over()) return;
  touched = Date.now();
  if (!state.session?.person || touched - told < TOLD) return;
  told = touched;
  try {
    await session(false);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
  }
}
