"""A browser without JavaScript: real HTTP, real forms, for the portal's pages and the sandbox's."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import requests

if TYPE_CHECKING:
    from tests.support.world import World

CARD = "4242 4242 4242 4242"
DECLINED = "4000 0000 0000 0002"
AUTHENTICATE = "4000 0025 0000 3155"


def key_in(page: str) -> str:
    """The API key that a page shows."""
    found = re.search(r"key_(?:live|test)_\w{40,}", page)
    assert found, "no key on this page"
    return found[0]


@dataclass
class Form:
    """A form of a page: its action, its fields, and the labels of its buttons."""

    action: str
    method: str
    fields: dict[str, Any] = field(default_factory=dict)  # a text, or the texts of ticked boxes of one name
    buttons: dict[str, tuple[str, str] | None] = field(default_factory=dict)


class _Forms(HTMLParser):
    """Reads the forms of a page, so that tests only submit what a person could."""

    def __init__(self, page_url: str) -> None:
        super().__init__()
        self.page_url = page_url
        self.forms: list[Form] = []
        self._button: tuple[str, str] | None = None
        self._label: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            action = urljoin(self.page_url, given.get("action") or self.page_url)
            self.forms.append(Form(action, given.get("method", "get").lower()))
        elif not self.forms:
            return
        elif tag in ("input", "textarea", "select") and "name" in given:
            if given.get("type") not in ("checkbox", "radio") or "checked" in given:
                self._fill(given["name"], given.get("value", ""), several=given.get("type") == "checkbox")
        elif tag == "button":
            self._button = (given["name"], given.get("value", "")) if "name" in given else None
            self._label = []

    def _fill(self, name: str, value: str, *, several: bool) -> None:
        fields = self.forms[-1].fields
        if several and name in fields:
            fields[name] = [*([fields[name]] if isinstance(fields[name], str) else fields[name]), value]
        else:
            fields.setdefault(name, value)

    def handle_data(self, data: str) -> None:
        if self._label is not None:
            self._label.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "button" and self._label is not None:
            self.forms[-1].buttons[" ".join("".join(self._label).split())] = self._button
            self._label = None


class Browser:
    """Follows links and presses buttons by their labels. `page` is the last response."""

    def __init__(self, here: World) -> None:
        self.here = here
        self.http = requests.Session()
        self.http.trust_env = False  # it would look for a .netrc and for proxies at each request
        self.page: requests.Response = requests.Response()

    def open(self, path: str, **kwargs: object) -> requests.Response:
        """GET a page of the portal (or any URL), following redirects."""
        self.page = self.http.get(urljoin(self.here.base, path), timeout=30, **kwargs)  # type: ignore[arg-type]
        return self.page

    @property
    def text(self) -> str:
        """The words of the page, without markup."""
        words = re.sub(r"<(script|style|title)\b.*?</\1>|<[^>]+>", " ", self.page.text, flags=re.S)
        return " ".join(words.replace("&#39;", "'").replace("&amp;", "&").split())

    def forms(self) -> list[Form]:
        """The forms of the page."""
        parser = _Forms(self.page.url)
        parser.feed(self.page.text)
        return parser.forms

    def form(self, button: str) -> Form:
        """Return the form with this button; a part of the label is enough if only one form has it. A required
        reason is filled in, because a browser would not submit the form without it.
        """
        fitting = [form for form in self.forms() if any(button == label for label in form.buttons)]
        fitting = fitting or [form for form in self.forms() if any(button in label for label in form.buttons)]
        assert fitting, f"no button {button!r} on {self.page.url}: {self.text[:500]}"
        if fitting[0].fields.get("reason") == "":
            fitting[0].fields["reason"] = "Asked for by email"
        return fitting[0]

    def press(self, button: str, *, follow: bool = True, **values: Any) -> requests.Response:
        """Fill in and submit the form with this button. Field names as in the form, `_` for `-`."""
        form = self.form(button)
        label = next(label for label in form.buttons if label == button or button in label)
        data = form.fields | values
        if named := form.buttons[label]:
            data[named[0]] = named[1]
        self.page = self.http.request(form.method, form.action, data=data, timeout=30, allow_redirects=follow)
        return self.page

    def sign_in(self, email: str, password: str) -> None:
        """Sign in on the sign-in page."""
        self.open("/login")
        self.press("Sign in", email=email, password=password)
        assert self.page.ok, self.text

    def choose(self, price: str, *, follow: bool = True) -> requests.Response:
        """Press the button of a plan on the pricing page."""
        self.open("/pricing?cycle=" + ("year" if price.endswith("yearly") else "month"))
        form = next(form for form in self.forms() if form.fields.get("price") == price)
        self.page = self.http.post(form.action, data=form.fields, timeout=30, allow_redirects=follow)
        return self.page

    def pay(self, card: str = CARD, *, follow: bool = True, **values: str) -> requests.Response:
        """Fill in the hosted checkout page that is open, and pay."""
        assert "/c/pay/" in self.page.url or "/p/" in self.page.url, self.text
        label = next(
            label for form in self.forms() for label in form.buttons if label.startswith(("Pay", "Subscribe"))
        )
        filled = {
            "number": card,
            "expiration": "12 / 34",
            "cvc": "123",
            "name": "Test Person",
            "zip": "94107",
        } | values
        return self.press(label, follow=follow, **filled)

    def buy(self, price: str, card: str = CARD) -> requests.Response:
        """Buy a plan, from the pricing page to the success page."""
        self.choose(price)
        self.pay(card)
        assert "/billing/success" in self.page.url, self.text
        return self.page

    def link(self, words: str) -> str:
        """Return the URL of the first link with this text."""
        anchors = re.findall(r'<a\b[^>]*href="([^"]*)"[^>]*>(.*?)</a>', self.page.text, flags=re.S)
        found = [href for href, label in anchors if words in re.sub(r"<[^>]+>", " ", label)]
        assert found, f"no link {words!r} on {self.page.url}"
        return found[0].replace("&amp;", "&")

    def reveal(self) -> str:
        """Press "Reveal my API key" on the success page, and return the key."""
        self.press("Reveal my API key")
        return key_in(self.page.text)

    def receipt(self, key: str) -> requests.Response:
        """Return what the API says of this key."""
        headers = {"Authorization": f"Bearer {key}"}
        return requests.get(f"{self.here.base}/v1/receipt", headers=headers, timeout=30)
