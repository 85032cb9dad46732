/** A bar code held to the laptop's camera, where the browser can read one. Pictures stay in the browser. */

import { changed, state } from "./state.js";

const FORMATS = { ean_13: "EAN13", ean_8: "EAN8", upc_a: "UPCA" };
const EVERY = 150;
/** A code is out of sight after so many milliseconds, if so many looks were without it: a look may take long. */
const AWAY = 1500;
const MISSED = 2;

let stream = null;

/** Switches the camera on or off; `found` is called with each code that is held up, and its symbology; `failed` if it cannot be used. */
export async function camera(found, failed) {
  if (stream) return off();
  try {
    const opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    off(); // pressed twice while the browser asked
    stream = opened;
    state.camera = true;
    changed();
    const video = Object.assign(document.createElement("video"), { srcObject: stream, muted: true });
    await video.play();
    return await look(video, new BarcodeDetector({ formats: Object.keys(FORMATS) }), found);
  } catch {
    off();
    return failed();
  }
}

async function look(video, detector, found) {
  let last = "";
  let seen = 0;
  let missed = 0;
  while (stream === video.srcObject) {
    const [code] = await detector.detect(video).catch(() => []);
    const away = missed >= MISSED && performance.now() - seen > AWAY;
    if (code && (code.rawValue !== last || away)) found(code.rawValue, FORMATS[code.format]);
    missed = code ? 0 : missed + 1;
    if (code) [last, seen] = [code.rawValue, performance.now()];
    await new Promise((resolve) => { setTimeout(resolve, EVERY); });
  }
}

function off() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  state.camera = false;
  changed();
}
