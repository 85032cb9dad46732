/** Signs, drawn by ourselves on 24 × 24. They stand beside words, never for them, and are hidden from readers. */

import { html } from "./vendor/lit-html/lit-html.js";

const PATHS = {
  floor: "M3 10l2-6h14l2 6M4 10v10h16V10M3 10h18M9 20v-6h6v6",
  shopper: "M12 12a4 4 0 1 0 0-8a4 4 0 0 0 0 8M4 21c0-4 4-6 8-6s8 2 8 6",
  products: "M3 8l9-5 9 5v8l-9 5-9-5zM3 8l9 5 9-5M12 13v8",
  sync: "M4 12a8 8 0 0 1 14-5l2 2M20 4v5h-5M20 12a8 8 0 0 1-14 5l-2-2M4 20v-5h5",
  devices: "M4 5h16v11H4zM9 20h6M12 16v4",
  people: "M9 11a3.500 3.500 0 1 0 0-7a3.500 3.500 0 0 0 0 7M2 20c0-4 3-6 7-6s7 2 7 6M16 4a3.500 3.500 0 0 1 0 7M18 14c3 1 4 3 4 6",
  ok: "M4 12l6 6L20 6",
  warn: "M12 3L2 20h20zM12 9v5M12 17v.500",
  bad: "M8 3h8l5 5v8l-5 5H8l-5-5V8zM9 9l6 6M15 9l-6 6",
  info: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M12 11v6M12 7.500v.500",
  offline: "M3 3l18 18M7 9a5 5 0 0 0 0 10h11M10 5a6 6 0 0 1 8 5a4 4 0 0 1 3 6",
  online: "M7 19a5 5 0 0 1 0-10a6 6 0 0 1 11 1a4.500 4.500 0 0 1 0 9z",
  dead: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M12 7v5l3 3M3 3l18 18",
  wait: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M12 7v5l3 3",
  tap: "M12 20a2 2 0 1 0 0-4a2 2 0 0 0 0 4M8 13a6 6 0 0 1 8 0M5 9a11 11 0 0 1 14 0M3 5a15 15 0 0 1 18 0",
  scan: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M8 8v8M12 8v8M16 8v8",
  cart: "M3 4h2l3 11h9l3-8H6M9 20v.010M17 20v.010",
  phone: "M7 3h10v18H7zM11 18h2",
  exit: "M10 4H4v16h6M9 12h12M17 8l4 4-4 4",
  band: "M7 12a5 5 0 1 0 10 0a5 5 0 0 0-10 0M9 7l1-4h4l1 4M9 17l1 4h4l1-4",
  undo: "M9 14L4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
  push: "M12 19V5M6 11l6-6 6 6",
  pause: "M8 5v14M16 5v14",
  play: "M7 4l13 8-13 8z",
  lock: "M5 11h14v10H5zM8 11V7a4 4 0 0 1 8 0v4",
  moon: "M20 14A8 8 0 1 1 10 4a7 7 0 0 0 10 10z",
  sun: "M12 8a4 4 0 1 0 0 8a4 4 0 0 0 0-8M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1 1M18 18l1 1M5 19l1-1M18 6l1-1",
  globe: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M3 12h18M12 3c5 5 5 13 0 18c-5-5-5-13 0-18",
  search: "M10 4a6 6 0 1 0 0 12a6 6 0 0 0 0-12M15 15l6 6",
  gift: "M4 11h16v10H4zM3 7h18v4H3zM12 7v14M12 7c-6 0-6-5-3-5s3 5 3 5c0 0 0-5 3-5s3 5-3 5",
  plus: "M12 5v14M5 12h14",
  save: "M12 4v12M7 11l5 5 5-5M4 20h16",
  training: "M2 9l10-5 10 5-10 5zM6 11v5c3 3 9 3 12 0v-5M22 9v6",
  bell: "M6 17V11a6 6 0 0 1 12 0v6l2 2H4zM10 21h4",
  close: "M6 6l12 12M18 6L6 18",
};

/** @param {keyof PATHS} name */
export const icon = (name) =>
  html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d=${PATHS[name] ?? PATHS.info}></path></svg>`;
