/** The page's words in the person's language. Catalogues are made from `locales/*.po` by `make locales`. */

export const LANGUAGES = { ko: "한국어", en: "English" };
const KEPT = "cartwire.language";

let messages = {};
let spoken = "ko";

/** @returns {string} the language in use: `ko` or `en` */
export const language = () => spoken;

/** The language that the address asks for (`?lang=`, for a page that shows this one), that the person chose here, the store's, English. */
export function chosen(store) {
  const asked = new URLSearchParams(location.search).get("lang");
  const kept = localStorage.getItem(KEPT);
  return [asked, kept, store].find((name) => name in LANGUAGES) ?? "en";
}

/** Speaks `name` from now on; `keep`: also the next time. */
export async function speak(name, keep = false) {
  const answer = await fetch(`/static/locales/${name}.json`);
  if (!answer.ok) return;
  messages = await answer.json();
  spoken = name;
  document.documentElement.lang = name;
  if (keep) localStorage.setItem(KEPT, name);
}

/** @returns {string} the translation of `text`, with `%(name)s` filled in from `values` */
export function _(text, values) {
  return filled(messages[text] ?? text, values);
}

/** As `_`, in the form that `n` of them take; `%(n)s` is filled in. */
export function n_(one, many, n, values) {
  const forms = messages[one] ?? [one, many];
  return filled(forms[Math.min(forms.length - 1, n === 1 ? 0 : 1)], { n: number(n), ...values });
}

/** As `_`, for values that are templates: the pieces of the sentence in order. */
export function sentence(text, values) {
  return text.split(/%\((\w+)\)s/).map((piece, at) => (at % 2 ? values[piece] : piece));
}

function filled(text, values) {
  return values ? text.replace(/%\((\w+)\)s/g, (_whole, name) => String(values[name])) : text;
}

const made = new Map();

/** One formatter for each language and kind: making them is slow. */
export function formatter(Kind, options) {
  const key = spoken + Kind.name + JSON.stringify(options);
  if (!made.has(key)) made.set(key, new Kind(spoken, options));
  return made.get(key);
}

export const number = (value) => formatter(Intl.NumberFormat, {}).format(value);
