/** Carrying a shopper to a read point with mouse or finger. */

const FAR = 8;

/** From a `pointerdown` on a figure; `dropped` is called with the read point it is let go at. */
export function carry(down, dropped) {
  const figure = down.currentTarget;
  let far = false;
  const move = ({ clientX, clientY }) => {
    const [x, y] = [clientX - down.clientX, clientY - down.clientY];
    far ||= Math.hypot(x, y) > FAR;
    if (!far) return;
    figure.classList.add("carried");
    figure.style.translate = `${x}px ${y}px`;
  };
  const end = ({ type, clientX, clientY }) => {
    figure.removeEventListener("pointermove", move);
    figure.removeEventListener("pointerup", end);
    figure.removeEventListener("pointercancel", end);
    figure.classList.remove("carried");
    figure.style.translate = "";
    if (type === "pointerup" && far) {
      const spot = nearest(clientX, clientY);
      if (spot) dropped(spot);
    }
  };
  figure.setPointerCapture(down.pointerId);
  figure.addEventListener("pointermove", move);
  figure.addEventListener("pointerup", end);
  figure.addEventListener("pointercancel", end);
}

const REACH = 90;

function nearest(x, y) {
  const spots = [...document.querySelectorAll("[data-spot]")].map((spot) => {
    const { left, right, top, bottom } = spot.getBoundingClientRect();
    return { name: spot.dataset.spot, far: Math.hypot((left + right) / 2 - x, (top + bottom) / 2 - y) };
  });
  const [first] = spots.sort((a, b) => a.far - b.far);
  return first.far < REACH ? first.name : null;
}
