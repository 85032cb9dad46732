/** Light or dark: as the system has it, until somebody chooses here. */

import { changed } from "./state.js";

const KEPT = "cartwire.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

export const dark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";

export function startTheme() {
  const kept = localStorage.getItem(KEPT);
  if (kept) document.documentElement.dataset.theme = kept;
  system.addEventListener("change", changed);
}

export function switchTheme() {
  const theme = dark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  localStorage.setItem(KEPT, theme);
  changed();
}
