"""A form that is sent several times at once, as by a double click, and what its pages say."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import requests

from tests.support.browsing import Browser, Form


def at_once(browser: Browser, *forms: Form, **filled: str) -> list[requests.Response]:
    """Send forms at the same moment, each over a connection of its own, and return the pages that they lead to.

    `filled` are fields that a person fills in, the same in all.
    """
    start, cookies = Barrier(len(forms)), browser.http.cookies.get_dict()

    def send(form: Form) -> requests.Response:
        with requests.Session() as http:
            http.cookies.update(cookies)
            start.wait(30)
            return http.post(form.action, data=form.fields | filled, timeout=60)

    with ThreadPoolExecutor(len(forms)) as pool:
        pages = list(pool.map(send, forms))
    for page in pages:
        says_what_is_so(page)
    return pages


def again(browser: Browser, form: Form, **filled: str) -> requests.Response:
    """Send a form of an earlier page: by the back button, or from another tab."""
    browser.page = browser.http.post(form.action, data=form.fields | filled, timeout=60)
    says_what_is_so(browser.page)
    return browser.page


def says_what_is_so(page: requests.Response) -> None:
    """Check that a page is no error of ours, and asks nobody to do again what happened."""
    assert page.status_code < 500, page.text
    assert page.status_code != 429, "the test sends more than a person may"
    assert "try again" not in page.text.lower(), page.text
