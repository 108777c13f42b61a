"""The pictures of README.md, taken from a running portal: `python -m tests.browser.pictures`."""

import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from tests.browser import scene, tour
from tests.browser.chromium import launched, open_window
from tests.browser.scene import Scene
from tests.support.world import world

FOLDER = Path(__file__).parents[2] / "docs" / "images"
PICTURES = {"pricing": "pricing", "success": "success"}  # file: place
SIZE = {"width": 1200, "height": 760}
COLORS = 64  # a palette keeps a page of text and flat surfaces sharp at a third of the bytes


def main() -> None:
    """Write every picture into docs/images."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp())
    with world(folder, f"sqlite:///{folder}/portal.db", "sqlite") as here, launched() as chromium:
        cast = scene.prepared(here)
        for name, place in PICTURES.items():
            take(chromium, cast, place, FOLDER / f"{name}.png")


def take(chromium: Browser, cast: Scene, wanted: str, path: Path) -> None:
    """One place at the top of its page, in light colors."""
    place = next(one for one in tour.PORTAL if one.name == wanted)
    cast.calm()
    window = open_window(chromium, cast.cookies(place.who), reduced_motion="reduce")
    place.reach(window.page, cast)
    window.page.get_by_role("heading", level=1).wait_for()
    window.page.emulate_media(color_scheme="light")
    window.page.set_viewport_size(SIZE)
    picture = Image.open(io.BytesIO(window.page.screenshot())).convert("RGB")
    picture.quantize(COLORS).save(path, optimize=True)
    window.context.close()


if __name__ == "__main__":
    main()
