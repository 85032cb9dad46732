/** What went wrong in three sentences: what happened, what is safe, what to do. */

import { _ } from "./i18n.js";

const unchanged = () => _("Nothing was changed.");
const kept = () => _("All that was saved is still there.");
const once = () => _("What was saved stays saved; nothing is done twice.");

const WORDS = {
  unreachable: () => [_("The gateway does not answer."), once(), _("Wait a moment and try again. If it stays so, check the store's machine.")],
  starting: () => [_("The gateway is still starting."), kept(), _("Wait half a minute and try again.")],
  full: () => [_("The disk is full."), kept(), _("Connect the store to the network so that it can be sent, and call support.")],
  busy: () => [_("Too many pages are open."), kept(), _("Close this page on a screen that nobody uses.")],
  "wrong-secret": () => [_("Name and PIN do not match."), unchanged(), _("Try again. After five wrong tries one has to wait.")],
  "wrong-code": () => [_("This is not the setup code."), unchanged(), _("Look for the code in what the gateway printed at its start.")],
  wait: () => [_("There were too many wrong tries."), unchanged(), _("Wait until the time is over, then try again.")],
  "not-logged-in": () => [_("You are not logged in any more."), unchanged(), _("Log in again.")],
  forbidden: () => [_("Your role does not allow this."), unchanged(), _("Ask a manager.")],
  csrf: () => [_("The page was out of date."), unchanged(), _("Reload the page and try again.")],
  host: () => [_("The page was opened at another address."), unchanged(), _("Open it at the address that the gateway printed at its start.")],
  "not-found": () => [_("It is not there any more."), unchanged(), _("Look again: somebody else may have been faster.")],
  "too-late": () => [_("It cannot be taken back any more."), _("Nothing is done twice."), _("Look again: it was done, or taken back already.")],
  "no-consent": () => [_("This shopper has not agreed to the cart."), unchanged(), _("The shopper can agree in the app. Then try again.")],
  "not-here": () => [_("The shopper is not here now."), unchanged(), _("Have the shopper tap a band at a till, then try again.")],
  "already-given": () => [_("This scan was given to somebody else already."), unchanged(), _("Scan the product again for this shopper.")],
  "already-removed": () => [_("It was taken out already."), _("The cart is as it should be."), _("There is nothing to do.")],
  confirmed: () => [_("The app has it already."), _("The item is in the app."), _("Have the shopper open the cart in the app.")],
  expired: () => [_("It is too old to be pushed."), kept(), _("Scan the product again for this shopper.")],
  "band-taken": () => [_("This band belongs to another shopper."), unchanged(), _("Use another band, or unbind it there first.")],
  "last-manager": () => [_("There must be one manager."), unchanged(), _("Make somebody else a manager first.")],
  "set-up-already": () => [_("The page was set up already."), unchanged(), _("Log in, or have a manager add you.")],
  "weak-secret": () => [_("This PIN or password is too short."), unchanged(), _("Use 4 digits or more, or 8 characters or more.")],
  "bad-request": () => [_("Something you entered is not right."), unchanged(), _("Check what you entered and try again.")],
  internal: () => [_("The gateway has made a mistake."), _("Taps and scans go on."), _("Try again. If it stays so, call support.")],
};

const SAME = { origin: "csrf", method: "not-found", "too-large": "bad-request", "media-type": "bad-request" };

/**
 * @param {import("./api.js").Problem} problem
 * @returns {[string, string, string]} what happened, what is safe, what to do
 */
export function sentences({ code }) {
  const known = WORDS[SAME[code] ?? code];
  return known?.() ?? [_("That did not work."), once(), _("Try again. If it stays so, call support and say: %(code)s", { code })];
}
