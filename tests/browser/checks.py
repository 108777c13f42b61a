"""What every page owes its reader, each check a list of what is wrong."""

import functools
import gzip

import requests
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

SCHEMES = ("light", "dark")
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]
MOST_REQUESTS = 6
MOST_BYTES = 40 * 1024  # gzipped
NARROW = {"width": 320, "height": 640}
WIDE = {"width": 1280, "height": 800}

OPTIONS = {"resultTypes": ["violations"], "runOnly": WCAG, "rules": {"target-size": {"enabled": True}}}
# A scheme changes nothing but colors (tests/web/test_styles.py holds the stylesheets to that).
COLORS = {"resultTypes": ["violations"], "runOnly": ["color-contrast", "link-in-text-block"]}
AXE = """(options) => axe.run(options).then((found) => found.violations.flatMap(
    (one) => one.nodes.map((node) => `${one.id}: ${node.target} ${node.failureSummary}`)))"""

STICKING_OUT = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll("body *")]
        .filter(one => one.getBoundingClientRect().right > innerWidth + 0.5)
        .map(one => `${one.tagName}.${one.className} sticks out: ${one.textContent.trim().slice(0, 40)}`)"""

MOVING = """() => document.getAnimations().map(one => `moves: ${one.animationName ?? one.transitionProperty}`)
    .concat([...document.querySelectorAll("body *")]
        .filter(one => parseFloat(getComputedStyle(one).transitionDuration) > 0.01)
        .map(one => `would move: ${one.tagName}.${one.className}`))"""

# Of the answers to one question Tab reaches the chosen one; the arrows choose.
TABBABLE = """() => {
    const named = (name, state) => document.querySelector(`[name="${name}"]${state}`);
    const answer = name => named(name, ":checked") ?? named(name, "");
    return [...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
        .filter(one => one.checkVisibility() && !one.disabled && one.type !== "hidden" && one.tabIndex >= 0)
        .filter(one => one.type !== "radio" || one === answer(one.name)).length;
}"""

# A date's field has a stop each for day, month, year and the calendar.
FURTHER_STOPS = (
    """() => 3 * [...document.querySelectorAll("input[type=date]")].filter(one => one.checkVisibility()).length"""
)

# Writes down what gets the focus: its number in the document, its name, and whether one can see that it has it.
LISTEN = """() => {
    window.focusedOnes = [];
    document.addEventListener("focusin", ({target: one}) => {
        const style = getComputedStyle(one), box = one.getBoundingClientRect();
        const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
        window.focusedOnes.push({
            number: [...document.querySelectorAll("*")].indexOf(one),
            name: `${one.tagName} ${one.textContent.trim().slice(0, 30) || one.name}`,
            visible: (ring || style.boxShadow !== "none") && box.width > 1 && box.bottom > 0 && box.right > 0,
        });
    });
}"""


def accessible(page: Page) -> list[str]:
    """Return axe's findings against WCAG 2.0 to 2.2, A and AA, and against its rules of color in both schemes."""
    page.emulate_media(reduced_motion="reduce")  # no colour is caught halfway
    page.evaluate(AXE_SCRIPT)
    found = []
    for scheme, options in (("light", OPTIONS), ("dark", COLORS)):
        page.emulate_media(color_scheme=scheme)
        found += [f"{scheme}: {violation}" for violation in page.evaluate(AXE, options)]
    return found


def narrow(page: Page) -> list[str]:
    """List what makes a page scroll sideways at 320 pixels. The viewport stays that narrow."""
    page.set_viewport_size(NARROW)
    found: list[str] = page.evaluate(STICKING_OUT)
    return found


def calm(page: Page) -> list[str]:
    """List what moves although reduced motion was requested, and what disappears in forced colors."""
    page.emulate_media(reduced_motion="reduce", forced_colors="active")
    found: list[str] = page.evaluate(MOVING)
    if not page.get_by_role("heading", level=1).is_visible():
        found.append("forced colours hide the heading")
    page.emulate_media(forced_colors="none")
    return found


def keyboard(page: Page) -> list[str]:
    """List the controls that Tab does not reach, or whose focus is not visible."""
    expected = page.evaluate(TABBABLE)
    page.evaluate(LISTEN)
    for _ in range(expected + 3 + page.evaluate(FURTHER_STOPS)):
        page.keyboard.press("Tab")
    focused = page.evaluate("window.focusedOnes")
    reached = {one["number"]: one["name"] for one in focused}
    first = {one["number"]: one for one in reversed(focused)}  # as each was reached the first time
    found = [f"focus cannot be seen on {one['name']}" for one in first.values() if not one["visible"]]
    if len(reached) < expected:
        found.append(f"Tab reaches {len(reached)} of {expected} controls: {list(reached.values())}")
    return found


@functools.cache  # nearly all pages ask for the same files
def zipped(address: str) -> int:
    """Return a file's size in bytes, compressed."""
    return len(gzip.compress(requests.get(address, timeout=30).content))


def light(page: Page) -> list[str]:
    """List what makes a page heavy: too many requests, or too many bytes."""
    addresses: list[str] = page.evaluate("performance.getEntriesByType('resource').map(one => one.name)")
    weight = len(gzip.compress(page.content().encode())) + sum(zipped(one) for one in addresses)
    found = []
    if 1 + len(addresses) > MOST_REQUESTS:
        found.append(f"{1 + len(addresses)} requests: {addresses}")
    if weight > MOST_BYTES:
        found.append(f"{weight} bytes")
    return found
