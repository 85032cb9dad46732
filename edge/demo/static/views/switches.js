/** What can be cut, and what one sees then. */

import { html } from "../vendor/lit-html/lit-html.js";
import { _ } from "../i18n.js";
import { icon } from "../icons.js";
import { act, state } from "../state.js";
import { does } from "./floor.js";
import { called } from "../words.js";

export function switches() {
  const { on, gateway, consent } = state.scene ?? { on: {}, gateway: {}, consent: {} };
  const who = called(state.who);
  const agreed = consent[state.who] !== false;
  return html`<section class="switches" aria-label=${_("What can fail")}>
    ${cut("internet", "offline", _("Cut the internet"), _("Internet is cut · press to restore"), on.internet, {
      well: gateway.platform > 5 ? _("Back: what waited arrives, each once, in order.") : _("The central platform is out of reach then."),
      cut: _("Go on shopping: the carts fill all the same. What the platform must know waits."),
    })}
    ${cut("broker", "phone", _("Cut the broker"), _("Broker is cut · press to restore"), on.broker, {
      well: gateway.apps > 2 ? _("Back: what waited comes into the right carts.") : _("No phone is reached then."),
      cut: _("Go on shopping: nothing is lost. What was scanned is saved, and waits."),
    })}
    ${cut("power", "bad", _("Cut the power"), _("Power is cut · press to restore"), on.power, {
      well: gateway.state === "off" ? _("It starts, and goes on where it was.") : _("kill -9: the gateway gets no warning."),
      cut: _("The gateway is dark, its readers too. It is back in seconds."),
    })}
    ${cut("disk", "save", _("Fill the disk"), _("Disk is full · press to make room"), on.disk, {
      well: gateway.state === "full" ? _("There is room again; it takes some seconds.") : _("Not a scan more fits then."),
      cut: gateway.state === "full" ? _("It takes no more, and says so. What it has taken goes on.") : _("It notices within 10 seconds."),
    })}
    <div class="switch"><button data-act="stranger" @click=${() => does({ do: "stranger", customer: state.who })}>${icon("band")} ${_("A stranger's card")}</button>
      <p>${_("Held to the reader after %(who)s: the session ends, the card leaves no trace.", { who })}</p></div>
    ${toggle("consent", "lock", _("Withdraw the consent"), _("Consent withdrawn · press to restore"), agreed,
      agreed ? _("Of %(who)s, at the platform, which tells the store.", { who }) : _("The band of %(who)s is nobody's now; nothing more comes into the cart.", { who }),
      () => act({ do: "consent", customer: state.who, on: !agreed }))}
  </section>`;
}

const cut = (name, sign, words, undo, on, texts) =>
  toggle(name, sign, words, undo, on !== false, on !== false ? texts.well : texts.cut, () => act({ do: "switch", name, on: on === false }));

const toggle = (name, sign, words, undo, well, text, press) => html`<div class="switch ${well ? "" : "off"}">
  <button data-act=${name} aria-pressed=${!well} @click=${press}>${icon(sign)} <span>${well ? words : undo.replace(" ·", "\u00a0·")}</span></button><p>${text}</p></div>`;
