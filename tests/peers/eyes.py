"""What can be measured on a page: how large its targets are, whether the focus can be seen, whether it is too wide."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

TARGET = 48  # CSS pixels
SHARED = """
const targets = () => [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [role=button], '
  + '[role=tab], [role=switch], [tabindex]')].filter(each => each.checkVisibility({visibilityProperty: true})
  && !each.closest('[inert]') && each.tabIndex >= 0 && !each.disabled);
const words = each => each.outerHTML.slice(0, 120);
"""
SMALL = """least => { %s
  return targets().flatMap(each => {
    const boxes = [each, ...(each.labels ?? [])].map(part => part.getBoundingClientRect());
    const box = boxes.reduce((a, b) => a.width * a.height < b.width * b.height ? b : a);
    const hidden = box.right <= 0 || box.bottom <= 0 || box.width <= 1;
    return hidden || (box.width >= least - 0.5 && box.height >= least - 0.5) ? []
      : [`${box.width.toFixed(0)}x${box.height.toFixed(0)} ${words(each)}`];
  });
}"""
LOOKS = """
const look = each => {
  const style = getComputedStyle(each);
  return [style.outlineStyle === "none" ? "" : style.outline, style.boxShadow].join();
};
"""
BEFORE = """() => { %s
  document.activeElement?.blur();
  window.unfocused = new Map(targets().map(each => [each, look(each)]));
  return window.unfocused.size;
}"""
FOCUSED = """() => { %s
  const each = document.activeElement;
  if (!each || each === document.body || !window.unfocused.has(each)) return null;
  const same = look(each) === window.unfocused.get(each);
  window.unfocused.delete(each);
  return same ? words(each) : '';
}"""
LEFT = "() => { %s return [...window.unfocused.keys()].filter(each => each.isConnected).map(words) }"


def small_targets(page: Page, least: float = TARGET) -> list[str]:
    """Return what one can touch and is smaller than `least` squared; with a label the larger of the two counts."""
    found: list[str] = page.evaluate(SMALL % SHARED, least)
    return found


def too_wide(page: Page) -> int:
    """Return by how many pixels the page is wider than the screen."""
    wide = page.evaluate("document.scrollingElement.scrollWidth - document.documentElement.clientWidth")
    return max(0, int(wide))


def too_high(page: Page) -> int:
    """Return by how many pixels the page is higher than the screen."""
    return max(0, int(page.evaluate("document.scrollingElement.scrollHeight - innerHeight")))


def unseen_focus(page: Page) -> list[str]:
    """Go through the page with Tab; return what looks the same with the focus, and what Tab does not reach.

    Radio buttons of a group and rows of a list are reached by arrows and count as one.
    """
    code = SHARED + LOOKS
    count = int(page.evaluate(BEFORE % code))
    faults = []
    for _ in range(2 * count + 10):  # the page may have got more since, and its end is a stop too
        page.keyboard.press("Tab")
        if unseen := page.evaluate(FOCUSED % code):
            faults.append(f"focus not seen: {unseen}")
        if not page.evaluate(LEFT % SHARED):
            break
    left = [each for each in page.evaluate(LEFT % SHARED) if 'type="radio"' not in each]
    return faults + [f"not reached: {each}" for each in left]
