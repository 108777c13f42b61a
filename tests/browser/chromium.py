"""The system's Chromium, and windows of it that remember what went wrong in them."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

PROGRAMS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
)  # the first takes half the time
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--in-process-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
WAIT_MS = 30_000


def program(names: tuple[str, ...] = PROGRAMS) -> str | None:
    """Return the path of a Chromium on this machine, or None."""
    return next((path for name in names if (path := shutil.which(name))), None)


@contextlib.contextmanager
def launched() -> Iterator[Browser]:
    """A running Chromium without a screen."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program(), args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Window:
    """A browser profile of its own with one page, its errors, and the other hosts that it called."""

    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def listen(self) -> None:
        """Write down policy violations, script errors and the hosts of all requests."""
        self.context.on("console", self._console)
        self.context.on("weberror", lambda error: self.complaints.append(f"script: {error.error}"))
        self.context.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def _console(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.complaints.append(message.text)


def open_window(browser: Browser, cookies: list[Any] | None = None, **options: Any) -> Window:
    """A window with these cookies; options are Playwright's for a context."""
    context = browser.new_context(**options)
    context.set_default_timeout(WAIT_MS)
    context.add_cookies(cookies or [])
    window = Window(context, context.new_page())
    window.listen()
    return window
