/**
 * A scanner that is a keyboard types wherever the focus is, much faster than a person. Six keys within 210 ms are a scan:
 * what all keys since the last silence have written is taken back, the rest is swallowed, and the text goes to `found`. It
 * ends with Enter, Tab, or 150 ms of silence. A busy machine stretches a gap, yet hardly six in a row; it brings keys
 * late, too, and when they were pressed tells that they belong to a scan that seemed over: the whole goes to `found` anew.
 */

const KEYS = 6;
const FAST = 210;
const SILENCE = 150;
const LIMIT = 2048;

const SHIFTED = { Digit1: "!", Digit2: "@", Digit3: "#", Digit4: "$", Digit5: "%", Digit6: "^", Digit7: "&", Digit8: "*",
  Digit9: "(", Digit0: ")", Minus: "_", Equal: "+", Slash: "?", Semicolon: ":", Quote: '"', Comma: "<", Period: ">",
  BracketLeft: "{", BracketRight: "}", Backslash: "|", Backquote: "~" };
const PLAIN = { Minus: "-", Equal: "=", Slash: "/", Semicolon: ";", Quote: "'", Comma: ",", Period: ".",
  BracketLeft: "[", BracketRight: "]", Backslash: "\\", Backquote: "`", Space: " " };

let typed = "";
let times = [];
let burst = false;
let over = false;
let field = null;
let timer = 0;

/** Listens to all keys from now on. */
export function listen(found) {
  const end = () => {
    burst = false;
    over = true;
    restore(field);
    found(typed);
  };
  addEventListener("keydown", (event) => key(event, end), { capture: true });
  for (const kind of ["keypress", "beforeinput"]) {
    addEventListener(kind, (event) => burst && event.cancelable && event.preventDefault(), { capture: true });
  }
}

function key(event, end) {
  if (event.key === "Shift") return;
  if (event.repeat || event.timeStamp - (times.at(-1) ?? 0) > SILENCE) {
    if (burst) end();
    forget();
  }
  const ends = event.key === "Enter" || event.key === "Tab" || event.code === "Enter" || event.code === "Tab";
  if ((burst || over) && ends) {
    swallow(event);
    if (burst) end();
    forget();
    return;
  }
  const letter = event.repeat ? "" : character(event);
  if (!letter) {
    if (burst) swallow(event);
    else if (!over) forget();
    return;
  }
  if (over || !typed) field = remembered();
  typed = (typed + letter).slice(0, LIMIT);
  times = [...times, event.timeStamp].slice(-KEYS);
  if (over || (!burst && times.length === KEYS && event.timeStamp - times[0] < FAST)) {
    burst = true;
    over = false;
    restore(field);
    if (field.value !== null) field.element.blur(); // an input method stays out of it
  }
  if (burst) {
    swallow(event);
    clearTimeout(timer);
    timer = setTimeout(end, SILENCE);
  }
}

function forget() {
  clearTimeout(timer);
  typed = "";
  burst = false;
  over = false;
  field = null;
  times = [];
}

function swallow(event) {
  event.preventDefault();
  event.stopImmediatePropagation();
}

/** What the key would type with a Latin layout; an input method hides it behind `Process` or Hangul. */
function character(event) {
  if (event.ctrlKey && event.code === "BracketRight") return "\u001d";
  if (event.ctrlKey || event.altKey || event.metaKey) return "";
  if (/^[ -~]$/.test(event.key)) return event.key;
  if (event.key.length === 1 || event.key === "Process") {
    const [, kind, value] = /^(Key|Digit|Numpad)(\w)$/.exec(event.code) ?? [];
    if (kind === "Key") return event.shiftKey ? value : value.toLowerCase();
    if (kind === "Digit" && event.shiftKey) return SHIFTED[event.code];
    return value ?? (event.shiftKey ? SHIFTED : PLAIN)[event.code] ?? "";
  }
  return "";
}

function remembered() {
  const element = document.activeElement;
  const types = element && "value" in element && element.localName !== "button";
  const caret = types && "selectionStart" in element ? [element.selectionStart, element.selectionEnd] : null;
  return { element: element === document.body ? null : element, value: types ? element.value : null, caret };
}

function restore({ element, value, caret }) {
  if (!element?.isConnected) return;
  if (value !== null && element.value !== value) {
    element.value = value;
    element.dispatchEvent(new Event("input", { bubbles: true }));
  }
  element.focus({ preventScroll: true });
  if (caret && caret[0] !== null) element.setSelectionRange(...caret);
}
