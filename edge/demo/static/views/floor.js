/** The shop from above: its read points, the shoppers, and the shelf of what they can hold up. */

import { html, nothing, svg } from "../vendor/lit-html/lit-html.js";
import { _, language } from "../i18n.js";
import { icon } from "../icons.js";
import { camera } from "../camera.js";
import { carry } from "../drag.js";
import { flow } from "./flow.js";
import { act, changed, placeOf, state } from "../state.js";
import { called, place, product } from "../words.js";

const SHELF = 8;

export const floor = () => html`<section class="card floor" aria-labelledby="floor">
  <header><h2 id="floor">${icon("floor")} ${_("The shop")}</h2>${day()}</header>
  <div class="plan">
    ${walls()}
    ${state.store.read_points.map(spot)}
    ${state.store.shoppers.map(figure)}
  </div>
  ${hand()}
  ${flow()}
</section>`;

const walls = () => html`<svg viewBox="0 0 440 270" aria-hidden="true" focusable="false">${svg`
  <path class="wall" d="M40 266H8a4 4 0 0 1-4-4V8a4 4 0 0 1 4-4H432a4 4 0 0 1 4 4V262a4 4 0 0 1-4 4H108"/>
  <path class="door" d="M40 266v-34M108 266v-34"/>
  <circle class="zone" cx="74" cy="246" r="62"/>
  <rect class="thing" x="34" y="40" width="150" height="46" rx="8"/><path class="line" d="M52 52h22v20H52zM86 56h26v16H86zM126 50h16v24h-16zM152 56h18v16h-18z"/>
  <path class="thing" d="M250 4h182v76H250z"/><path class="line" d="M312 4v70M374 4v70M258 80q6-7 12 0t12 0 12 0 12 0M320 80q6-7 12 0t12 0 12 0 12 0M382 80q6-7 12 0t12 0 12 0 12 0"/>
  <path class="thing" d="M262 216h150v30H262z"/><path class="line" d="M280 224h34v14h-34zM330 231h64"/>
  <path class="thing" d="M196 120h54v40h-54z"/><path class="line" d="M204 128h10v24h-10zM220 128h10v24h-10zM236 128h8v24h-8z"/>`}</svg>`;

/** A read point: tap there as who one is. The door has no reader; what is heard there are beacons. */
function spot(name) {
  if (name === "door") return door();
  const holder = state.scene?.holders[name];
  const held = name in (state.scene?.holders ?? {});
  const at = state.store.shoppers.findIndex((each) => each.customer === holder);
  return html`<button class="spot ${at < 0 ? "" : `who-${at}`} ${held ? "held" : ""}" data-spot=${name} data-holder=${holder ?? ""} @click=${() => tap(name)}>
    <span class="name">${icon("tap")} ${place(name)}</span>
    <span class="holder">${held ? called(holder) ?? _("an unknown band") : _("free")}</span>
    <span class="sr">${_("%(who)s taps here", { who: called(state.who) })}</span>
  </button>`;
}

function door() {
  const inside = state.scene?.inside.includes(state.who);
  const here = Object.keys(state.scene?.zones ?? {}).map(called);
  const words = inside ? _("Walk out with the beacon") : _("Walk in with the beacon");
  return html`<button class="spot" data-spot="door" data-here=${here.join()} @click=${() => does({ do: "walk", customer: state.who })}>
    <span class="name">${icon("online")} ${words}</span><span class="holder">${here.length ? here.join(", ") : _("nobody is heard")}</span>
    <span class="sr">${called(state.who)}</span></button>`;
}

/** A shopper: pressed, the visitor is that one; carried to a read point, they tap there. */
const figure = ({ customer, name }, at) => html`<button class="figure who-${at}" data-figure=${customer} data-place=${placeOf(customer)}
    aria-pressed=${customer === state.who} aria-label=${_("Be %(who)s", { who: name[language()] })}
    @click=${() => become(customer)} @pointerdown=${(event) => carry(event, (spot) => { become(customer); if (spot === "door") does({ do: "walk", customer }); else tap(spot); })}>
  <svg viewBox="0 0 24 24" aria-hidden="true" focusable="false"><circle cx="12" cy="7" r="5"/><path d="M3 23c0-6 4-9 9-9s9 3 9 9z"/></svg>
  <span>${name[language()].slice(0, language() === "ko" ? 3 : 5).trim()}</span></button>`;

function become(customer) {
  state.who = customer;
  changed();
}

const tap = (spot) => does({ do: "tap", read_point: spot, customer: state.who });

/** Holds a product up where the shopper stands. */
export const hold = (text, symbology = "EAN13") => does({ do: "scan", customer: state.who, text, symbology });

/** Something that has to do with a reader. */
export async function does(what) {
  const { gateway } = state.scene ?? {};
  state.refused = gateway && gateway.state !== "off" ? gateway.refused : Infinity;
  const answer = await act(what);
  state.held = what.do === "scan" && answer?.read ? { customer: what.customer, at: answer.at } : null;
  if (!answer) say(_("That did not get through."));
  else if (!answer.at) say(_("First tap at a reader."));
  else if (!answer.read) say(_("Nobody reads there: the gateway has no power."));
  else say(null);
}

function say(words) {
  state.notice = words;
  changed();
}

/** What became of a reading is known when the gateway has said it. */
function notice() {
  const { gateway, consent, holders } = state.scene ?? {};
  if (gateway?.refused > state.refused) return _("Refused: the disk is full. Nothing was taken, nothing is lost.");
  if (state.held && consent?.[state.held.customer] === false && !holders?.[state.held.at])
    return _("Without the consent of %(who)s the scan is nobody's.", { who: called(state.held.customer) });
  return state.notice;
}

function hand() {
  const told = notice();
  return html`<div class="hand">
    <div class="shelf" role="group" aria-label=${_("%(who)s holds up …", { who: called(state.who) })}>
      <p>${icon("scan")} ${_("%(who)s holds up …", { who: called(state.who) })}
        ${window.BarcodeDetector && navigator.mediaDevices
          ? html`<button class="small" aria-pressed=${state.camera} @click=${() => camera(hold, () => say(_("The camera cannot be used.")))}>${_("Camera")}</button>` : nothing}</p>
      ${state.store.products.slice(0, SHELF).map((each) => html`<button data-product=${each.gtin} @click=${() => hold(each.gtin.slice(1))}>${product(each.gtin)}</button>`)}
    </div>
    <p class="notice ${told ? "told" : ""}" role="status">${told ?? _("Press a reader: a tap. Then hold something up.")}</p>
  </div>`;
}

function day() {
  const plays = state.scene?.day;
  return html`<button class="small" data-act="day" aria-pressed=${Boolean(plays)} @click=${() => act({ do: "day", on: !plays })}>
    ${icon(plays ? "pause" : "play")} ${plays ? _("A day plays") : _("Play the day")}</button>`;
}
