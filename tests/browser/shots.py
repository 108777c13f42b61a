"""Every page as PNG, for people to look at: `python -m tests.browser.shots DIR [PART OF A NAME]`."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.browser import hosted_places, scene, tour
from tests.browser.checks import SCHEMES
from tests.browser.chromium import launched, open_window
from tests.browser.places import Place
from tests.browser.scene import Scene
from tests.support.world import world

WIDTHS = (1280, 768, 320)


def main() -> None:
    """Write every page that fits into the folder, at three widths, light and dark."""
    target, wanted = Path(sys.argv[1]), (sys.argv[2:] or [""])[0]
    target.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp())
    with world(folder, f"sqlite:///{folder}/portal.db", "sqlite") as here, launched() as chromium:
        cast = scene.prepared(here)
        for place in [*tour.PORTAL, *hosted_places.PLACES]:
            if wanted in place.name:
                shoot(chromium, cast, place, target)


def shoot(chromium: Browser, cast: Scene, place: Place, target: Path) -> None:
    """Take screenshots of one page in all its sizes and colors."""
    cast.calm()
    window = open_window(chromium, cast.cookies(place.who), reduced_motion="reduce")
    place.reach(window.page, cast)
    window.page.get_by_role("heading", level=1).wait_for()
    for scheme in SCHEMES:
        for width in WIDTHS:
            picture(window.page, scheme, width, target / f"{slug(place)}-{width}-{scheme}.png")
    window.context.close()


def picture(page: Page, scheme: str, width: int, path: Path) -> None:
    """The whole length of a page."""
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.screenshot(path=path, full_page=True)


def slug(place: Place) -> str:
    """A place's name as a file's."""
    return "".join(letter if letter.isalnum() else "-" for letter in place.name.lower()).replace("--", "-")


if __name__ == "__main__":
    main()
