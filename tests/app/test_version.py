"""The portal's version: one constant, shown by the probe, the command and the admin pages."""

import re

from flask import Flask
from flask.testing import FlaskClient

from portal import __version__
from tests.conftest import Person
from tests.support.world import World


def test_the_probe_and_the_command_show_the_version(app: Flask, client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "ok", "version": __version__}
    assert app.test_cli_runner().invoke(args=["version"]).output == f"Portal {__version__}\n"
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_the_admin_pages_show_the_version(here: World, ada: Person) -> None:
    ada.browser.open("/admin")
    assert f"Portal {__version__}" in ada.browser.text


def test_customers_pages_do_not_show_the_version(here: World, alice: Person) -> None:
    alice.browser.open("/account")
    assert __version__ not in alice.browser.text
