/** The one question before something is destroyed. */

import { html, nothing, render } from "../vendor/lit-html/lit-html.js";
import { _ } from "../i18n.js";
import { icon } from "../icons.js";

/**
 * @param {{title: string, text: string, yes: string}} question
 * @returns {Promise<boolean>}
 */
export function ask({ title, text, yes }) {
  const dialog = document.getElementById("ask");
  return new Promise((resolve) => {
    const close = (value) => (event) => {
      if (event.detail < 2) dialog.close(value);
    };
    render(
      html`<article>
        <h2 id="ask-title">${icon("warn")} ${title}</h2>
        <p id="ask-text">${text}</p>
        <footer>
          <button class="secondary" autofocus @click=${close("no")}>${_("Cancel")}</button>
          <button class="danger" @click=${close("yes")}>${yes}</button>
        </footer>
      </article>`,
      dialog,
    );
    dialog.returnValue = "no";
    dialog.addEventListener("close", () => {
      render(nothing, dialog); // it may have named a shopper
      resolve(dialog.returnValue === "yes");
    }, { once: true });
    dialog.showModal();
  });
}

/** Puts an open question away: no. */
export function dismiss() {
  const dialog = document.getElementById("ask");
  if (dialog.open) dialog.close("no");
}
