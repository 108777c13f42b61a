"""The hosted pages, opened and submitted as a browser does."""

import html
import re
from dataclasses import dataclass

import requests

CARD = {"email": "buyer@example.com", "expiration": "12 / 34", "cvc": "123", "name": "Bea Buyer"}


@dataclass(frozen=True)
class Page:
    """A hosted page: its status, its redirect, and its error messages."""

    response: requests.Response

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def leads_to(self) -> str:
        return self.response.headers.get("Location", "")

    @property
    def complaints(self) -> list[str]:
        return [html.unescape(text) for text in re.findall(r'role="alert">(.*?)<', self.response.text)]

    @property
    def text(self) -> str:
        return self.response.text


def visit(url: str) -> Page:
    return Page(requests.get(url, timeout=30))


def submit(url: str, number: str = "4242 4242 4242 4242", **typed: str) -> Page:
    """Fill in the page's form and send it, without following the redirect."""
    return Page(requests.post(url, CARD | {"number": number} | typed, allow_redirects=False, timeout=30))
